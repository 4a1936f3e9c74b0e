;;;; Build side: load the program that a job describes, find its entry, save its core. Gone before the core is saved.

(in-package #:monolisp-build)

;;; Where we are

(defvar *script-package* nil "Where the last script left *PACKAGE*.")
(defvar *packages-before* '() "The packages that were there before the program.")
(defvar *caught* nil "The first compiler error, else the first warning: which of the two, file, line, text.")

(defun count-lines (stream function)
  "How many lines end before FUNCTION, which is told each character and may read on, says to stop."
  (loop for char = (peek-char nil stream nil)
        while (and char (funcall function char))
        count (eql (read-char stream nil) #\Newline)))

(defun lines-between-forms (stream)
  "How many lines blanks and comments take, from where the last form ended."
  (loop for char = (peek-char nil stream nil)
        for taken = (cond ((blank-p char) (count-lines stream #'blank-p))
                          ((eql char #\;) (count-lines stream (lambda (char) (char/= char #\Newline))))
                          (t (return lines)))
        sum taken into lines))

(defun blank-p (char)
  (member char '(#\Space #\Tab #\Newline #\Return #\Page)))

(defun line-at (file position)
  "The line, from 1, of the form behind the character POSITION of FILE; NIL when it cannot be told."
  (ignore-errors
   (with-open-file (stream file :external-format '(:utf-8 :replacement #\?))
     (+ 1
        (loop repeat position count (eql (read-char stream nil) #\Newline))
        (lines-between-forms stream)))))

(defun compiler-place ()
  "File and line of the form that the compiler is at."
  (let ((context (ignore-errors (sb-c::find-error-context nil))))
    (if context
        (let ((file (sb-c::compiler-error-context-file-name context))
              (position (sb-c::compiler-error-context-file-position context)))
          (if (typep file '(or string pathname))
              (values (namestring file) (and (integerp position) (line-at file position)))
              (values *file* *line*)))
        (values *file* *line*))))

(defun note-compiler-error (condition)
  (unless (eq (first *caught*) :error)
    (multiple-value-bind (file line) (compiler-place)
      (setf *caught* (list :error file line (text-of condition))))))

(defun note-warning (condition)
  (unless (typep condition 'style-warning)
    (multiple-value-bind (file line) (compiler-place)
      (unless *caught* (setf *caught* (list :warning file line (text-of condition))))
      (tell "warning" :file file :line line :condition (text-of condition)))))

(defun fail-compilation ()
  (destructuring-bind (kind file line text) *caught*
    (declare (ignore kind))
    (fail (if (search "READ error" text) "read" "compile") :file file :line line :condition text)))

(defun print-backtrace-of (condition)
  (format *error-output* "~&~a~%" (text-of condition))
  (sb-debug:print-backtrace :count 60 :stream *error-output*)
  (finish-output *error-output*))

(defun on-unhandled (condition hook)
  (declare (ignore hook))
  ;; The program may have bound *PRINT-READABLY*, as WITH-STANDARD-IO-SYNTAX does; few conditions print readably.
  (setf *print-readably* nil)
  (print-backtrace-of condition)
  (let ((file (or *file* (and *load-truename* (namestring *load-truename*)))))
    (typecase condition
      (sb-int:simple-reader-package-error
       (fail "read" :file file :line *line* :condition (text-of condition)))
      ((or reader-error end-of-file sb-int:stream-decoding-error)
       (fail "read" :file file :line *line* :condition (text-of condition)))
      (storage-condition
       (fail "heap" :file file :line *line* :condition (text-of condition)))
      (t (fail-loading condition file)))))

(defun asdf-condition-p (condition name)
  (let ((symbol (and (find-package "ASDF") (find-symbol name "ASDF"))))
    (and symbol (find-class symbol nil) (typep condition symbol))))

(defun fail-loading (condition file)
  (flet ((slot (name)
           (let ((function (find-symbol name "ASDF/FIND-COMPONENT")))
             (and function (ignore-errors (princ-to-string (funcall function condition)))))))
    (cond ((asdf-condition-p condition "MISSING-DEPENDENCY")
           (fail "missing-dependency" :missing (slot "MISSING-REQUIRES") :system (wanting-system condition)
                 :condition (text-of condition)))
          ((asdf-condition-p condition "MISSING-COMPONENT")
           (fail "missing-system" :missing (slot "MISSING-REQUIRES") :condition (text-of condition)))
          ((and *caught* (or (asdf-condition-p condition "COMPILE-ERROR")
                             (asdf-condition-p condition "COMPILE-FILE-ERROR")
                             (search "COMPILE-FILE" (text-of condition))))
           (fail-compilation))
          (t (fail "load" :file file :line *line* :condition (text-of condition))))))

(defun wanting-system (condition)
  (let ((by (ignore-errors (funcall (find-symbol "MISSING-REQUIRED-BY" "ASDF/FIND-COMPONENT") condition))))
    (if by
        (princ-to-string (ignore-errors (funcall (find-symbol "COMPONENT-NAME" "ASDF")
                                                 (funcall (find-symbol "COMPONENT-SYSTEM" "ASDF") by))))
        "it")))

;;; Loading

(defun skip-blanks (stream)
  (peek-char t stream nil))

(defun file-text (file)
  (with-open-file (stream file :external-format :utf-8)
    (let* ((text (make-string (file-length stream)))
           (end (read-sequence text stream)))
      (subseq text 0 end))))

(defun load-script (file)
  "Load FILE as LOAD would load source, knowing the line of each form."
  (tell "file" :file file)
  (let* ((*file* file) (*line* 1)
         (pathname (sb-ext:parse-native-namestring file)) ; brackets and asterisks mean themselves
         ;; Not SB-C::*SOURCE-NAMESTRING*: what is compiled meanwhile is in other files.
         (sb-c::*source-info* (sb-c::make-file-source-info pathname :utf-8 t))
         (text (file-text pathname))
         (*package* *package*) (*readtable* *readtable*)
         (*load-pathname* pathname) (*load-truename* (truename pathname)))
    (with-input-from-string (stream text)
      (when (and (> (length text) 1) (string= "#!" text :end2 2))
        (read-line stream nil))
      (loop with counted = 0
            do (skip-blanks stream)
               (let ((position (file-position stream)))
                 (incf *line* (count #\Newline text :start counted :end position))
                 (setf counted position))
               (let ((form (read stream nil stream)))
                 (when (eq form stream) (return))
                 (eval form)
                 (watch-asdf)
                 (when (eq (first *caught*) :error) (fail-compilation)))))
    ;; Where a script leaves *PACKAGE* is where its MAIN is looked for first.
    (setf *script-package* *package*)))

(defun load-system (name)
  (let ((system (asdf "FIND-SYSTEM" name nil)))
    (unless system
      (fail "missing-system" :missing name
            :known (known-systems)))
    (watch-asdf)
    (with-compilation-unit ()
      (asdf "LOAD-SYSTEM" name))
    system))

(defun known-systems ()
  "The names of all systems in ASDF's source registry."
  (let ((registry (symbol-value (find-symbol "*SOURCE-REGISTRY*" "ASDF/SOURCE-REGISTRY"))))
    (when (hash-table-p registry)
      (sort (loop for name being the hash-keys of registry collect name) #'string<))))

;;; The entry

(defun packages-with-main ()
  (loop for package in (list-all-packages)
        for symbol = (find-symbol "MAIN" package)
        when (and symbol (fboundp symbol) (eq (symbol-package symbol) package))
          collect symbol))

(defun entry-symbol (name packages)
  "The symbol that NAME (\"PACKAGE:FUNCTION\", \"FUNCTION\" or NIL) says; PACKAGES are tried first for a bare one."
  (let* ((colon (and name (position #\: name)))
         (function (string-upcase (if colon (string-left-trim ":" (subseq name colon)) (or name "MAIN")))))
    (if colon
        (let ((package (or (find-package (subseq name 0 colon)) (find-package (string-upcase (subseq name 0 colon))))))
          (unless package
            (fail "no-package" :package (subseq name 0 colon) :entry name :known (program-packages)))
          (or (find-symbol (string-left-trim ":" (subseq name colon)) package)
              (find-symbol function package)
              (fail "no-entry" :entry name :condition (format nil "package ~a has no such symbol" (package-name package)))))
        (or (loop for package in packages
                  for symbol = (and package (find-symbol function package))
                  when (and symbol (fboundp symbol)) return symbol)
            (unless name (only-main))
            (fail "no-entry" :entry (or name "MAIN")
                  :condition "it was looked for in the program's own packages after everything was loaded")))))

(defun only-main ()
  (let ((found (packages-with-main)))
    (when (rest found)
      (fail "two-entries" :entries (mapcar #'qualified found)))
    (first found)))

(defun qualified (symbol)
  (format nil "~a::~a" (package-name (symbol-package symbol)) (symbol-name symbol)))

(defun program-packages ()
  (let ((names (loop for package in (list-all-packages)
                     unless (or (member package *packages-before*) (eq package *package*))
                       collect (package-name package))))
    (append '("COMMON-LISP-USER") (subseq (sort names #'string<) 0 (min 20 (length names))))))

(defun required-arguments (lambda-list)
  "How many arguments must be given."
  (or (position-if (lambda (item) (member item lambda-list-keywords)) lambda-list)
      (length lambda-list)))

(defun check-entry (symbol)
  "Find out how SYMBOL's function is to be called."
  (unless (fboundp symbol)
    (fail "no-entry" :entry (qualified symbol) :condition "the symbol is there, but it names no function"))
  (when (or (macro-function symbol) (special-operator-p symbol))
    (fail "no-entry" :entry (qualified symbol) :condition "it names a macro, not a function"))
  (let ((lambda-list (sb-kernel:%fun-lambda-list (fdefinition symbol))))
    (case (required-arguments lambda-list)
      (0 nil)
      (1 (setf monolisp::*pass-arguments* t))
      (t (fail "bad-entry" :entry (qualified symbol)
               :lambda_list (let ((*package* (symbol-package symbol))) (format nil "~:s" lambda-list)))))))

;;; Saving

(defun octets-of (file)
  (with-open-file (stream file :element-type '(unsigned-byte 8))
    (let ((octets (make-array (file-length stream) :element-type '(unsigned-byte 8))))
      (read-sequence octets stream)
      octets)))

(defun embed (files)
  "FILES: list of (name . path)."
  (loop for (name . path) in files
        do (setf (gethash name monolisp::*embedded*) (octets-of (sb-ext:parse-native-namestring path)))))

(defun tidy-uiop ()
  (let ((package (find-package "UIOP")))
    (when package
      (setf (symbol-value (find-symbol "*IMAGE-DUMPED-P*" package)) :executable
            (symbol-value (find-symbol "*LISP-INTERACTION*" package)) nil)
      (monolisp::call-uiop "CALL-IMAGE-DUMP-HOOK")
      ;; Of whoever builds; its restore hooks find those of whoever runs the program.
      (dolist (name '("*USER-CACHE*" "*TEMPORARY-DIRECTORY*"))
        (let ((variable (find-symbol name package)))
          (when variable (setf (symbol-value variable) nil)))))))

(defun save (code)
  "Save the core where MONOLISP_CORE says (linkage/dump.c); with CODE, behind a copy of that file, as if it were the
runtime that we run on."
  (when code
    ;; In C's memory: a Lisp string may be moved before it is read.
    (setf (sb-alien:extern-alien "sbcl_runtime" sb-sys:system-area-pointer)
          (sb-alien:alien-sap (sb-alien:make-alien-string code))))
  (tidy-uiop)
  (forget-places)
  (unwatch-asdf) ; until now, or ASDF would take definitions for changed and load them again
  (show-temporary-directory)
  (monolisp-random:unwatch-last)
  (unless (monolisp-seal:sealed-p) (monolisp-seal:rename-places))
  (setf *package* (find-package "COMMON-LISP-USER")
        *features* (adjoin :monolisp *features*))
  (tell "save")
  (finish-output)
  (finish-output *error-output*)
  (let ((events (shiftf *events* nil)))
    (handler-bind ((error (lambda (condition)
                            (setf *events* events)
                            (fail "save" :condition (text-of condition)))))
      ;; Nothing of the build side stays: only this call still runs, on code that is its own.
      (delete-package "MONOLISP-BUILD")
      (delete-package "MONOLISP-NAMES")
      (delete-package "MONOLISP-RANDOM")
      (delete-package "MONOLISP-SEAL")
      (monolisp-seal:wipe-stack)
      (sb-ext:save-lisp-and-die "monolisp.core" :toplevel #'monolisp:start :executable (and code t)))))

;;; The job

(defun load-inputs (job)
  "Load what the job names. Returns the symbol or NIL for the entry that a system declares, and its packages."
  (loop for (kind value) in (getf job :before)
        do (let ((*file* "--eval") (*line* nil))
             (ecase kind
               (:eval (loop with start = 0
                            with eof = (list nil)
                            do (multiple-value-bind (form end) (read-from-string value nil eof :start start)
                                 (when (eq form eof) (return))
                                 (setf start end)
                                 (eval form))))
               (:load (load-script value)))))
  (let ((system (getf job :system)))
    (if system
        (declared-entry (load-system system) system)
        (progn (mapc #'load-script (getf job :files))
               (values nil (list *script-package* (find-package "COMMON-LISP-USER")))))))

(defun declared-entry (system name)
  "The entry that SYSTEM declares, the packages to look into for another, and whether it is built by PROGRAM-OP."
  (let ((operation (asdf "COMPONENT-BUILD-OPERATION" system))
        (pathname (asdf "COMPONENT-BUILD-PATHNAME" system)))
    (tell "system" :name name :build_pathname (and pathname (princ-to-string pathname)))
    (values (asdf "COMPONENT-ENTRY-POINT" system)
            (list (find-package (string-upcase name)))
            (search "PROGRAM-OP" (string-upcase (princ-to-string operation))))))

(defun collect-rarely ()
  "When the collector runs decides in which order classes and weak tables have what comes after what is gone: in most
programs, not before they are saved. SBCL looks at this number at the end of a collection."
  (setf (sb-ext:bytes-consed-between-gcs) (floor (sb-ext:dynamic-space-size) 4))
  (sb-ext:gc))

(defun end-pass (event)
  "Another process loads the program anew: what has compiled files is not what has only loaded them."
  (tell event)
  (sb-ext:exit :abort t :code 0))

(defun run (job-file)
  "Carry out the job in JOB-FILE: a property list, read with standard syntax."
  (let ((job (with-open-file (stream (sb-ext:parse-native-namestring job-file) :external-format :utf-8)
               (with-standard-io-syntax (read stream))))
        (descriptor (sb-ext:posix-getenv "MONOLISP_EVENTS_FD")))
    (collect-rarely)
    (when descriptor
      (setf *events* (sb-sys:make-fd-stream (parse-integer descriptor) :output t :buffering :full
                                                                       :external-format :utf-8)))
    (if (getf job :debugger) (sb-ext:enable-debugger) (sb-ext:disable-debugger))
    (monolisp-seal:call-place (namestring *default-pathname-defaults*) "")
    (setf *packages-before* (list-all-packages)
          *package* (find-package "COMMON-LISP-USER"))
    (dolist (feature (getf job :features))
      (pushnew (intern feature "KEYWORD") *features*))
    (when (and (load-watched job) (eq (getf job :pass) :compile))
      (end-pass "compiled"))
    (monolisp-seal:wipe-stack)
    (tell-sources)
    (tell-image)
    (tell "exports" :names (monolisp-names:names))
    (embed (getf job :embed))
    (monolisp-seal:wipe-stack)
    (save (getf job :code))))

(defun load-watched (job)
  "Load the program; what nothing of it handles is told instead of entering the debugger. Returns true if files were
compiled."
  (setf monolisp::*keep-debugger* (getf job :debugger))
  ;; At debug 0 a function forgets its lambda list, which decides how the entry is called.
  (sb-ext:restrict-compiler-policy 'debug 1)
  (let* ((compiled nil)
         ;; Names of functions tell the file by the name that definitions have, not by its truename.
         (selector (shiftf sb-c::*name-context-file-path-selector* 'pathname))
         (hook (let ((sb-ext:*invoke-debugger-hook* #'on-unhandled))
                 (handler-bind ((sb-c:compiler-error #'note-compiler-error)
                                (warning #'note-warning))
                   (monolisp-watch:watch (lambda ()
                                           (if (eq (getf job :pass) :look) (end-pass "compiles") (tell "compiling"))))
                   (monolisp-random:watch)
                   (hide-temporary-directory)
                   (expect-asdf)
                   (load-program job)
                   (setf compiled (monolisp-watch:unwatch)))
                 sb-ext:*invoke-debugger-hook*)))
    (sb-ext:restrict-compiler-policy 'debug 0)
    (setf sb-c::*name-context-file-path-selector* selector)
    ;; A program that sets its own hook while it loads keeps it.
    (unless (eq hook #'on-unhandled)
      (setf sb-ext:*invoke-debugger-hook* hook))
    compiled))

(defun wait (descriptor)
  "Until what is compiled is there: until then this process has done what does not depend on it. Who would tell it to go on
may have ended."
  (sb-alien:with-alien ((octet (array (sb-alien:unsigned 8) 1)))
    (unless (eql (sb-unix:unix-read descriptor (sb-alien:alien-sap octet) 1) 1)
      (sb-ext:exit :abort t :code 0))))

(defun load-program (job)
  (when (getf job :system)
    (require "asdf")
    ;; What is to be loaded before may say where systems are.
    (unless (getf job :before) (asdf "ENSURE-SOURCE-REGISTRY")))
  (when (getf job :wait) (wait (getf job :wait)))
  (multiple-value-bind (declared packages program-op) (load-inputs job)
    (let ((symbol (entry-symbol (or (getf job :entry) declared) packages)))
      (check-entry symbol)
      (tell "entry" :entry (qualified symbol))
      (setf monolisp::*entry* symbol
            monolisp::*false-is-failure* (and program-op t)))))
