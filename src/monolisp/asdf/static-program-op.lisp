;;;; (asdf:operate :static-program-op "my-system") makes a truly static Linux executable of a system, from any Lisp.
;;;;
;;;; The Lisp that it is said to does not become the executable: it runs `monolisp build`, which loads the system in the
;;;; static SBCL. So monolisp must be on PATH, and all that this file needs is ASDF 3.1.2 or newer.
;;;;
;;;;   (load ".../static-program-op.lisp") after ASDF, or the system MONOLISP-ASDF, which is beside this file
;;;;   (asdf:operate :static-program-op "my-system")
;;;;   (asdf:output-file :static-program-op "my-system")     where the executable is: as for PROGRAM-OP
;;;;
;;;; or in the definition of a system, for (asdf:make "my-system"):
;;;;
;;;;   :defsystem-depends-on ("monolisp-asdf") :build-operation "static-program-op"
;;;;   :entry-point "my-package:main" :build-pathname "bin/app"

(defpackage #:monolisp-asdf
  (:use #:common-lisp))

(in-package #:monolisp-asdf)

(defclass asdf::static-program-op (asdf:non-propagating-operation) ()
  (:documentation "Make a truly static executable of a system, with `monolisp build`."))

(defmethod asdf:output-files ((operation asdf::static-program-op) (system asdf:system))
  "The executable, in the place and by the name that PROGRAM-OP would give it; not translated to another place."
  (let ((name (or (asdf::component-build-pathname system)
                  (uiop:frob-substrings (asdf:component-name system) '("/" ":" "\\") "--"))))
    (values (list (uiop:subpathname (asdf:component-pathname system) name)) t)))

(defmethod asdf:operation-done-p ((operation asdf::static-program-op) (system asdf:system))
  "It is monolisp that knows whether anything has changed."
  nil)

(defmethod asdf:perform ((operation asdf::static-program-op) (system asdf:system))
  (let ((directory (asdf:system-source-directory system)))
    (unless directory
      (error "The system ~a was not defined in a file, so that monolisp cannot load it." (asdf:component-name system)))
    (let ((code (run (command system directory (asdf:output-file operation system)) directory)))
      (unless (eql code 0)
        (error "monolisp build ~a: exit code ~a. What it said is above." (asdf:component-name system) code)))))

(defun command (system directory output)
  "The command that makes OUTPUT of SYSTEM, which was found in DIRECTORY: a list of strings."
  `(,(uiop:native-namestring (monolisp))
    "build" ,(asdf:component-name system)
    ,@(loop for place in (list directory (own-directory))
            when place append (list "--registry" (uiop:native-namestring place)))
    "--output" ,(uiop:native-namestring output)))

(defun own-directory ()
  "Where a definition that depends on MONOLISP-ASDF finds it while monolisp loads that definition."
  (let ((system (asdf:find-system "monolisp-asdf" nil)))
    (when system (asdf:system-source-directory system))))

(defun monolisp ()
  "The file of the command monolisp."
  (or (loop for directory in (uiop:getenv-pathnames "PATH" :ensure-directory t)
              thereis (and directory (uiop:file-exists-p (uiop:subpathname directory "monolisp"))))
      (error "There is no command monolisp on PATH, which STATIC-PROGRAM-OP runs. It is a Python package: install it ~
              from its sources with `pipx install .` or `uv tool install .`, and have the directory that it goes to ~
              on PATH of this Lisp.")))

(defun run (command directory)
  "Run COMMAND in DIRECTORY and show what it says as it says it. Returns its exit code."
  (nth-value 2 (uiop:run-program command :directory directory :output #'show :error-output :output
                                         :ignore-error-status t)))

(defun show (stream)
  (fresh-line)
  (loop for line = (read-line stream nil)
        while line
        do (write-line line)
           (finish-output)))
