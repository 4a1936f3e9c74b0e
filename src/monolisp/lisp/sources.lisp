;;;; Build side: what a program was loaded from, told once it is.

(in-package #:monolisp-build)

(defun asdf (name &rest arguments)
  (apply (find-symbol name "ASDF") arguments))

(defun source-files (component)
  "The namestrings of every source file below COMPONENT."
  (if (typep component (find-symbol "PARENT-COMPONENT" "ASDF"))
      (mapcan #'source-files (asdf "COMPONENT-CHILDREN" component))
      (let ((pathname (asdf "COMPONENT-PATHNAME" component)))
        (when pathname (list (namestring pathname))))))

(defun tell-sources ()
  "Tell the source files of every system that was loaded: those whose compiled files were still good were not read."
  (when (find-package "ASDF")
    (dolist (name (asdf "ALREADY-LOADED-SYSTEMS"))
      (let* ((system (asdf "REGISTERED-SYSTEM" name))
             (definition (and system (asdf "SYSTEM-SOURCE-FILE" system))))
        (when definition
          (tell "sources" :system name
                          :version (text-in system "COMPONENT-VERSION")
                          :licence (text-in system "SYSTEM-LICENCE")
                          :author (text-in system "SYSTEM-AUTHOR")
                          :files (cons (namestring definition) (source-files system))))))))

(defun text-in (system reader)
  "What a definition says with READER, as text; NIL where it says nothing."
  (let ((value (ignore-errors (asdf reader system))))
    (when value (format nil "~{~a~^, ~}" (if (listp value) value (list value))))))

(defun tell-image ()
  "Tell what of the finished image a reader of the executable wants to know."
  (flet ((sorted (names) (sort (mapcar #'string names) #'string<)))
    (tell "image" :features (sorted *features*) :modules (sorted *modules*))))

;;; Where it was

(defun recorded-name (file directory prefix)
  "What an executable says of FILE: its path below DIRECTORY with PREFIX, or else only its name."
  (let ((name (enough-namestring file directory)))
    (concatenate 'string prefix (if (eql (position #\/ name) 0) (file-namestring file) name))))

(defun prefix-of (system)
  "What names of its files begin with. Systems of one definition may share files: they are named by what is before the
slash, so that it does not matter which of them comes first."
  (let ((name (asdf "COMPONENT-NAME" system)))
    (concatenate 'string (subseq name 0 (position #\/ name)) "/")))

(defun forget-places ()
  "An executable has its systems inside and may be anywhere: it does not look for them, and a file of a system is where
the system's name says, as a relative path."
  (when (find-package "ASDF")
    (dolist (name (asdf "ALREADY-LOADED-SYSTEMS"))
      (asdf "REGISTER-IMMUTABLE-SYSTEM" name))
    (asdf "MAP-SYSTEMS" #'forget-place)))

(defun forget-place (system)
  (let* ((definition (asdf "SYSTEM-SOURCE-FILE" system))
         (directory (if definition (directory-of definition) *default-pathname-defaults*))
         (prefix (prefix-of system)))
    (when definition (monolisp-seal:call-place (namestring directory) prefix))
    (labels ((placed (value)
               (cond ((consp value) (cons (placed (car value)) (placed (cdr value))))
                     ((and (pathnamep value) (eq (first (pathname-directory value)) :absolute))
                      (sb-ext:parse-native-namestring (recorded-name value directory prefix)))
                     (t value)))
             (forget-in (component slot)
               (when (slot-boundp component slot)
                 (setf (slot-value component slot) (placed (slot-value component slot)))))
             (forget (component)
               (let ((times (asdf-internal "COMPONENT-OPERATION-TIMES" component))
                     (pathname (asdf "COMPONENT-PATHNAME" component)))
                 (when (and pathname (pathname-name pathname))
                   (monolisp-seal:call-place (namestring pathname) (recorded-name pathname directory prefix)))
                 (dolist (name '("ABSOLUTE-PATHNAME" "RELATIVE-PATHNAME" "ADDITIONAL-INPUT-FILES"))
                   (forget-in component (find-symbol name "ASDF/COMPONENT")))
                 (loop for operation being the hash-keys of times using (hash-value time)
                       do (when (integerp time) (setf (gethash operation times) 0)))
                 (when (typep component (find-symbol "PARENT-COMPONENT" "ASDF"))
                   (mapc #'forget (asdf "COMPONENT-CHILDREN" component))))))
      (forget system)
      (forget-in system (find-symbol "SOURCE-FILE" "ASDF/SYSTEM")))))

(defun directory-of (file)
  (make-pathname :name nil :type nil :version nil :defaults file))

(defun asdf-internal (name &rest arguments)
  (apply (find-symbol name "ASDF/COMPONENT") arguments))
