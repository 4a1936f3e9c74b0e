;;;; Build side: the C symbols that a program may look up by name while it runs, so that the executable can answer. What
;;;; calls refer to is in the linkage table, and what was looked up while it was loaded is known to linkage/dump.c.

(defpackage #:monolisp-names
  (:use #:common-lisp)
  (:export #:names))

(in-package #:monolisp-names)

(defun cffi-symbol (name)
  (and (find-package "CFFI") (find-symbol name "CFFI")))

(defun variable-names ()
  "The names of the C variables that CFFI:DEFCVAR defines: looked up whenever they are used."
  (let ((property (cffi-symbol "FOREIGN-VAR-NAME"))
        (names '()))
    (when property
      (do-all-symbols (symbol names)
        (when (stringp (get symbol property))
          (pushnew (get symbol property) names :test #'string=))))))

(defun constants (code)
  (loop for place from sb-vm:code-constants-offset below (sb-kernel:code-header-words code)
        collect (sb-kernel:code-header-ref code place)))

(defun callees (code)
  "The names of the functions that CODE calls. On some processors code refers to them by numbers."
  #+#.(cl:if (cl:find :linkage-space sb-impl:+internal-features+) '(and) '(or))
  (mapcar (lambda (index) (sb-vm::linkage-addr->name index :index))
          (sb-c:unpack-code-fixup-locs (sb-vm::%code-fixups code)))
  #-#.(cl:if (cl:find :linkage-space sb-impl:+internal-features+) '(and) '(or))
  (loop for constant in (constants code)
        when (sb-kernel:fdefn-p constant) collect (sb-kernel:fdefn-name constant)))

(defun strings-beside (function)
  "The strings in all code that calls FUNCTION, a symbol: its literal arguments are among them."
  (let ((found '()))
    (sb-vm:map-allocated-objects
     (lambda (object widetag size)
       (declare (ignore size))
       (when (= widetag sb-vm:code-header-widetag)
         (let ((strings (remove-if-not #'stringp (constants object))))
           (when (and strings (member function (callees object)))
             (setf found (append strings found))))))
     :all)
    found))

(defun c-name-p (string)
  (and (plusp (length string))
       (every (lambda (char) (or (char= char #\_) (and (< (char-code char) 128) (alphanumericp char)))) string)))

(defun names ()
  "The names, sorted, of everything that may be looked up. Some may be no C symbols at all."
  (let ((function (cffi-symbol "FOREIGN-SYMBOL-POINTER")))
    (sort (remove-duplicates (append (variable-names)
                                     (and function (remove-if-not #'c-name-p (strings-beside function))))
                             :test #'string=)
          #'string<)))
