;;;; Build side: what ASDF is at, and which compiled files it may use: those of these sources, compiled as they would be now.

(in-package #:monolisp-build)

(defvar *file* nil "The file being loaded or compiled.")
(defvar *line* nil "The line on which the form being loaded begins.")
(defvar *watching* nil "True once ASDF tells which file it is at.")
(defvar *features-of-systems* '() "The features that files of systems pushed while they were loaded.")
(defvar *compiled-places* (make-hash-table :test 'equal) "Where ASDF would put a compiled file → where it is.")

;;; From when on

(defun provide-asdf (name)
  "A provider of modules: once REQUIRE has loaded ASDF, ASDF is watched, even within one form that goes on to load systems."
  (when (and (string-equal name "ASDF") ; a symbol, too
             (some (lambda (provider) (funcall provider name))
                   (remove 'provide-asdf sb-ext:*module-provider-functions*)))
    (watch-asdf)
    t))

(defun expect-asdf ()
  (push 'provide-asdf sb-ext:*module-provider-functions*))

(defun watch-asdf ()
  "From when ASDF is there, however it came."
  (when (and (not *watching*) (find-package "ASDF") (find-symbol "PERFORM" "ASDF"))
    (setf *watching* t)
    (watch-files)
    (tell-uiop-temporary)
    (sb-int:encapsulate (find-symbol "SAFE-FILE-WRITE-DATE" "UIOP") 'monolisp #'written-or-brought)
    (asdf "INITIALIZE-OUTPUT-TRANSLATIONS"
          '(:output-translations (t (:function compiled-place)) :ignore-inherited-configuration))))

(defun unwatch-asdf ()
  (setf sb-ext:*module-provider-functions* (remove 'provide-asdf sb-ext:*module-provider-functions*)
        *compiled-places* nil)
  (when (shiftf *watching* nil)
    (unwatch-files)
    (untell-uiop-temporary)
    (sb-int:unencapsulate (find-symbol "SAFE-FILE-WRITE-DATE" "UIOP") 'monolisp)
    (asdf "CLEAR-OUTPUT-TRANSLATIONS")
    (setf (symbol-value (find-symbol "*OUTPUT-TRANSLATIONS-PARAMETER*" "ASDF/OUTPUT-TRANSLATIONS")) nil)))

;;; Where it is

(defun watch-files ()
  (let ((perform (find-symbol "PERFORM" "ASDF"))
        (file-class (find-symbol "SOURCE-FILE" "ASDF")))
    (eval `(defmethod ,perform :around ((operation t) (component ,file-class))
             (declare (ignore operation))
             (let* ((*file* (namestring (asdf "COMPONENT-PATHNAME" component)))
                    (*line* nil)
                    (system (asdf "COMPONENT-SYSTEM" component)))
               (tell "file" :file *file* :system (asdf "COMPONENT-NAME" system))
               (let ((before *features*))
                 (multiple-value-prog1 (call-next-method)
                   (setf *features-of-systems* (union (set-difference *features* before) *features-of-systems*)))))))))

(defun unwatch-files ()
  (let* ((perform (fdefinition (find-symbol "PERFORM" "ASDF")))
         (method (find-method perform '(:around) (list (find-class t) (find-class (find-symbol "SOURCE-FILE" "ASDF")))
                              nil)))
    (when method (remove-method perform method))))

;;; Which compiled files

(defun conditions ()
  "What SBCL compiles by, besides sources: a program sets it for what it loads, another one finds the compiled files."
  (list (sort (mapcar #'string (set-difference *features* *features-of-systems*)) #'string<)
        *read-default-float-format*
        (sb-c::policy-to-decl-spec sb-c::*policy*)
        (multiple-value-list (sb-ext:restrict-compiler-policy))))

(defun condition-place ()
  "The directory of what is compiled as things are now."
  (let* ((text (with-standard-io-syntax (prin1-to-string (conditions))))
         (directory (sb-ext:parse-native-namestring
                     (format nil "~a~(~36r~)/" (sb-ext:posix-getenv "MONOLISP_FASLS") (sxhash text)))))
    (monolisp-seal:call-place (namestring directory) nil)
    directory))

(defun compiled-place (pathname source)
  "Where ASDF keeps the compiled file that it would put at PATHNAME, beside its source. What was asked once stays where it
is: a system that is loaded is not compiled again because something else is to be compiled in another way."
  (declare (ignore source))
  (if (compiled-p pathname)
      pathname
      (let ((name (namestring pathname)))
        (or (gethash name *compiled-places*)
            (setf (gethash name *compiled-places*)
                  (make-pathname :directory (append (pathname-directory (condition-place))
                                                    (rest (pathname-directory pathname)))
                                 :defaults pathname))))))

(defun written-or-brought (function pathname)
  "ASDF takes a compiled file for good if its source was written before. What comes out of a package or an archive was
written long ago: its inode tells when it came."
  (let ((written (funcall function pathname)))
    (if (and (integerp written) (not (compiled-p pathname)))
        (max written (+ (brought pathname) (encode-universal-time 0 0 0 1 1 1970 0)))
        written)))

(defun brought (pathname)
  "When the inode of PATHNAME, which is there, last changed, in seconds since 1970."
  (nth-value 11 (sb-unix:unix-stat (native pathname))))

(defun native (pathname)
  (sb-ext:native-namestring (translate-logical-pathname pathname)))

(defun compiled-p (pathname)
  (let ((root (sb-ext:posix-getenv "MONOLISP_FASLS")))
    (eql (mismatch root (native pathname)) (length root))))
