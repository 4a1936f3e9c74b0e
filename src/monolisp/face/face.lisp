;;;; What the core of `monolisp sbcl` holds beside SBCL: executables are handed over to linkage/dump.c with the names that
;;;; they will look up, and whoever requires a contrib that is not there is told why. A dumped executable has none of it.

(defpackage #:monolisp-face
  (:use #:common-lisp)
  (:export #:install))

(in-package #:monolisp-face)

(defvar *absent* '() "Contribs that are not there: (name . why).")

(defvar *names* '() "C symbols that were looked up by those who saved this core.")

(defmacro call (name (result &rest types) &rest arguments)
  "Call a function of the build runtime, without a reference to it in the linkage table."
  `(sb-alien:alien-funcall
    (sb-alien:sap-alien (sb-sys:int-sap (sb-sys:find-foreign-symbol-address ,name)) (function ,result ,@types))
    ,@arguments))

(defun note (what name)
  "Add a line to the journal of linkage/clerk.c."
  (call "monolisp_note" (sb-alien:void sb-alien:c-string sb-alien:c-string) what name))

(defun looked-up ()
  "The C symbols that were looked up so far; linkage/dump.c keeps those of this process."
  (loop for index from 0
        for name = (call "monolisp_kept_name" (sb-alien:c-string sb-alien:unsigned-long) index)
        while name do (pushnew name *names* :test #'string=)
        finally (return *names*)))

(defun explain-absence (name)
  (let ((found (assoc name *absent* :test #'string-equal)))
    (when found
      (error "The contrib ~a is not part of a static SBCL: ~a." (car found) (cdr found)))))

(defun dump (function core &rest options &key executable callable-exports &allow-other-keys)
  "In the place of SAVE-LISP-AND-DIE."
  (cond ((member executable '(nil :elf-object))
         (looked-up)
         (apply function core options))
        (callable-exports
         (error "~s ~s: a static executable cannot be loaded by a C program, so it has nobody to export functions to."
                :callable-exports callable-exports))
        (t
         (dolist (name (append *names* (monolisp-names:names))) (note "export" name))
         (uninstall)
         ;; Left only when nothing was saved.
         (unwind-protect (apply function core options)
           (install *absent*)))))

(defun install (absent)
  (setf *absent* absent
        sb-ext:*module-provider-functions*
        (append (remove 'explain-absence sb-ext:*module-provider-functions*) '(explain-absence)))
  (sb-int:encapsulate 'sb-ext:save-lisp-and-die 'monolisp #'dump))

(defun uninstall ()
  (setf sb-ext:*module-provider-functions* (remove 'explain-absence sb-ext:*module-provider-functions*))
  (sb-int:unencapsulate 'sb-ext:save-lisp-and-die 'monolisp)
  (dolist (name '("MONOLISP-FACE" "MONOLISP-NAMES"))
    (when (find-package name) (delete-package name))))
