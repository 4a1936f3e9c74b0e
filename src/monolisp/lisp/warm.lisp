;;;; Build side, for SBCL itself: loaded into the Lisp that becomes SBCL's own core before anything else is, so that two
;;;; builds of it are the same. Until then SBCL has no packages, classes or LOOP of ours to use: what it draws by lot is
;;;; numbered in the order in which it comes, and the collector, which decides what is there to be drawn for, comes when it is
;;;; told to. In the end the core is sealed like those of programs. An SBCL that is not sealed (symbols.lisp) stays as it is.

(defvar *ours* '() "The symbols of this file and of symbols.lisp.")
(defvar *kept* '() "All types.")
(defvar *draws* 0)
(defvar *made* 0 "How many generic functions and their like were made.")

(defparameter *drawing*
  '((sb-impl::%make-symbol . name-only) (sb-kernel::ctype-random . numbered) (load . watching)
    (sb-int::hashset-insert-if-absent . kept) (sb-kernel::ctype-hashset-insert-if-absent . kept)
    (sb-kernel::intern-ctype-set . kept) (compile-file . compiled) (sb-impl::interactive-eval . evaluated)
    (gc . collected) (sb-vm::immobile-code-dealloc-1 . left))
  "Function of SBCL's → what is called instead.")

(defun numbered (function)
  (declare (ignore function))
  (ldb (byte 28 0) (sb-int:murmur-hash-word/fixnum (incf *draws*))))

(defun watching (load &rest arguments)
  "CLOS begins with the file that has this function; and no file is loaded twice."
  (multiple-value-prog1 (apply load arguments)
    (when (fboundp 'sb-pcl::allocate-standard-funcallable-instance)
      (sb-int:unencapsulate 'load 'warm)
      (sb-int:encapsulate 'sb-pcl::allocate-standard-funcallable-instance 'warm #'counted))))

(defun counted (function &rest arguments)
  "As seal.lisp does."
  (let ((made (apply function arguments)))
    (set-drawn-hash made (sb-int:murmur-hash-word/fixnum (incf *made*)))
    made))

(defun evaluated (function &rest arguments)
  "What saves the core begins on a clean stack."
  (multiple-value-prog1 (apply function arguments)
    (wipe-stack)))

(defun kept (function &rest arguments)
  "SBCL keeps, weakly, the first of several equal types, and compiles by the order of what is in it: the first one stays."
  (let ((made (apply function arguments)))
    (push made *kept*)
    made))

(defun compiled (function &rest arguments)
  "The collector comes behind each file."
  (multiple-value-prog1 (apply function arguments)
    (wipe-stack)
    (sb-kernel::sub-gc 0)))

(defun left (function scratchpad)
  "As seal.lisp does."
  (declare (ignore function scratchpad))
  nil)

(defun collected (function &rest arguments)
  "SBCL drops the names that nothing needs; what once was on the stack needs none."
  (wipe-stack)
  (apply function arguments))

(defun forget-directory ()
  "Where SBCL's sources would be: where Debian's package sbcl-source has them, not where this is built."
  (setf (logical-pathname-translations "SYS")
        (mapcar (lambda (pair)
                  (list (car pair) (merge-pathnames (enough-namestring (cadr pair)) "/usr/share/sbcl-source/")))
                (logical-pathname-translations "SYS"))))

(defun forget-pathnames ()
  "A frame that never returns may hold one of this directory, for the collector that counts: take them out of the tables
in which SBCL looks for the one like it."
  (let* ((here (pathname-directory *default-pathname-defaults*))
         (here-p (lambda (directory) (member (mismatch here directory :test #'equal) (list nil (length here))))))
    (flet ((forget (table key)
             (let ((found '()))
               (sb-impl::map-hashset (lambda (member) (when (funcall here-p (funcall key member)) (push member found)))
                                     table)
               (dolist (member found) (sb-impl::hashset-remove table member)))))
      (forget sb-impl::*pn-table* #'pathname-directory)
      (forget sb-impl::*pn-dir-table* #'car))))

(defun finish ()
  "SBCL is about to save its core."
  (setf sb-ext:*save-hooks* (remove 'finish sb-ext:*save-hooks*))
  (dolist (name (cons 'sb-pcl::allocate-standard-funcallable-instance (mapcar #'car *drawing*)))
    (sb-int:unencapsulate name 'warm))
  (forget-directory)
  (mapc #'unintern *ours*)
  ;; Special variables are never collected.
  (mapc #'makunbound '(*ours* *kept* *drawing*))
  (dolist (name '("symbols" "types" "places" "seal"))
    (load (concatenate 'string name ".lisp")))
  (forget-pathnames)
  (delete-package "MONOLISP-SEAL"))

(defun new-p (symbol)
  (/= (sb-kernel::generation-of symbol) sb-vm:+pseudo-static-generation+))

(defun warm ()
  (load "symbols.lisp")
  ;; What was read until now was not made by name.
  (do-symbols (symbol)
    (when (eq (symbol-package symbol) *package*)
      (hash-by-name symbol)
      (push symbol *ours*)))
  (do-symbols (symbol "KEYWORD")
    (when (new-p symbol)
      (hash-by-name symbol)))
  (setf *drawing* (remove-if-not #'fboundp *drawing* :key #'car))
  (dolist (entry *drawing*)
    (sb-int:encapsulate (car entry) 'warm (symbol-function (cdr entry))))
  (push 'finish sb-ext:*save-hooks*)
  ;; Less than a gigabyte is made by any file, and by loading all of them.
  (setf (sb-ext:bytes-consed-between-gcs) (* 3 (floor (sb-ext:dynamic-space-size) 4)))
  (sb-kernel::sub-gc 0))

(let ((needed (find-symbol "REBUILD-CTYPE-HASHSETS" "SB-KERNEL")))
  (when (and needed (fboundp needed) (= sb-vm:n-word-bits 64)) (warm)))
