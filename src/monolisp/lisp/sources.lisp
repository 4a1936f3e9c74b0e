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
      (let* ((system (asdf "FIND-SYSTEM" name nil))
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
