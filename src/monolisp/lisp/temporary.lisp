;;;; Build side: TMPDIR says where whoever builds has temporary files. That is for UIOP while the program is loaded (CFFI's
;;;; groveler writes there), and for other processes; the program does not see it, since one with CL-FAD would keep it.

(in-package #:monolisp-build)

(defvar *temporary* nil "What TMPDIR says, while it is hidden.")

(defun hiding-temporary (function name)
  (unless (and *temporary* (equal name "TMPDIR"))
    (funcall function name)))

(defun hide-temporary-directory ()
  (let ((told (sb-ext:posix-getenv "TMPDIR")))
    (when (plusp (length told))
      (setf *temporary* told)
      (sb-int:encapsulate 'sb-ext:posix-getenv 'monolisp #'hiding-temporary))))

(defun show-temporary-directory ()
  (when (shiftf *temporary* nil)
    (sb-int:unencapsulate 'sb-ext:posix-getenv 'monolisp)))

(defun uiop-default () (find-symbol "DEFAULT-TEMPORARY-DIRECTORY" "UIOP"))

(defun told-temporary (function)
  "What UIOP asks for now, and when it is loaded again."
  (if *temporary*
      (sb-ext:parse-native-namestring *temporary* nil *default-pathname-defaults* :as-directory t)
      (funcall function)))

(defun tell-uiop-temporary ()
  (sb-int:encapsulate (uiop-default) 'monolisp #'told-temporary)
  (setf (symbol-value (find-symbol "*TEMPORARY-DIRECTORY*" "UIOP")) nil))

(defun untell-uiop-temporary ()
  (sb-int:unencapsulate (uiop-default) 'monolisp))
