;;;; Build side: what SBCL draws by lot is made to depend on names and contents only, so that the same program gives the
;;;; same core. The first of our files: symbols that later ones bring are already made so.
;;;;
;;;; SBCL mixes addresses into the hashes of symbols and types, and counts what its collector does. Where objects lie
;;;; while a program is loaded depends on the lengths of paths and on threads; where they lie in a core does not. Source:
;;;; SBCL src/code/symbol.lisp (%MAKE-SYMBOL), type-class.lisp, hashset.lisp, save.lisp (DEINIT), 2.4.6 to 2.6.7. Older
;;;; ones have not all of these functions, and their cores are not the same each time.

(defpackage #:monolisp-seal
  (:use #:common-lisp))

(in-package #:monolisp-seal)

;;; What an older SBCL lacks is named here all the same.
(eval-when (:compile-toplevel :load-toplevel :execute)
  (dolist (name '("SB-IMPL" "SB-KERNEL" "SB-INT" "SB-VM" "SB-SYS" "SB-C"))
    (sb-ext:unlock-package name)))

;;; Symbols

;;; The word's upper half is the hash of the name; of its lower half, the upper ten bits are drawn.
(defmacro name-part (hash) `(ldb (byte 32 32) ,hash))
(defmacro drawn-part (hash) `(ldb (byte 10 22) ,hash))

(defun hash-place ()
  (- (ash sb-vm::symbol-hash-slot sb-vm::word-shift) sb-vm::other-pointer-lowtag))

(defun name-only (function &rest arguments)
  "The symbol that FUNCTION makes, with the drawn bits of its hash taken from its name."
  (let ((symbol (apply function arguments)))
    (sb-sys::with-pinned-objects (symbol)
      (symbol-macrolet ((hash (sb-sys::sap-ref-word (sb-sys::int-sap (sb-kernel::get-lisp-obj-address symbol))
                                                   (hash-place))))
        (setf (drawn-part hash)
              (ldb (byte 10 3) (sb-int::murmur-hash-word/fixnum (name-part hash))))))
    symbol))

;;; Types

(defvar *left* 0 "How much of a form is still looked at: a constant in it may be endless.")

(defun content-hash (form)
  "A hash of a type specifier, by names and numbers."
  (let ((*left* 1000))
    (part-hash form)))

(defun part-hash (form)
  (if (minusp (decf *left*))
      0
      (typecase form
        (cons (sb-int::mix (part-hash (car form)) (part-hash (cdr form))))
        (symbol (sb-int::mix (sxhash (symbol-name form))
                            (sxhash (if (symbol-package form) (package-name (symbol-package form)) ""))))
        ((or number string character) (sxhash form))
        (t (sxhash (type-of form))))))

(defun drawn-p (object)
  "Whether OBJECT came with this program; what SBCL's own core holds is the same everywhere."
  (/= (sb-kernel::generation-of object) sb-vm::+pseudo-static-generation+))

(defun bits-index ()
  (sb-kernel::dsd-index (find "%BITS" (sb-kernel::dd-slots (sb-kernel::find-defstruct-description 'sb-kernel::ctype))
                             :key (lambda (slot) (symbol-name (sb-kernel::dsd-name slot))) :test #'string=)))

;;; CTYPE-PRNG-NBITS without the three flags below.
(defmacro drawn-bits (bits) `(ldb (byte 22 3) ,bits))

(defun number-again (type index)
  "Take the drawn bits of TYPE's hash, in its slot INDEX, from what it says."
  (when (and (typep type 'sb-kernel::ctype) (drawn-p type))
    (setf (drawn-bits (sb-kernel::%instance-ref type index))
          (ldb (byte 22 0) (content-hash (sb-kernel::type-specifier type))))))

(defun hashsets ()
  (mapcar #'symbol-value
          (list* 'sb-kernel::*key-info-hashset* 'sb-kernel::*key-info-set-hashset*
                 'sb-impl::*pn-dir-table* 'sb-impl::*pn-table*
                 'sb-kernel::*ctype-list-hashset* 'sb-kernel::*ctype-set-hashset* sb-kernel::*ctype-hashsets*)))

(defun members (hashset)
  (let ((found '()))
    (sb-impl::map-hashset (lambda (member) (push member found)) hashset)
    found))

(defun refill (hashset members)
  "Put MEMBERS in anew, in the order of their hashes."
  (let* ((hash (sb-impl::hashset-hash-function hashset))
         (keyed (mapcar (lambda (member) (cons (funcall hash member) member)) members))
         (capacity (max 64 (sb-int::power-of-two-ceiling (* 2 (length members))))))
    (setf (sb-impl::hashset-storage hashset)
          (sb-impl::allocate-hashset-storage capacity (sb-impl::hashset-weakp hashset)))
    (loop for (nil . member) in (sort keyed #'< :key #'car)
          do (sb-impl::hashset-insert hashset member))))

(defun seal-types ()
  (let ((all (mapcar (lambda (hashset) (cons hashset (members hashset))) (hashsets)))
        (index (bits-index)))
    (loop for (nil . members) in all
          do (dolist (member members) (number-again member index)))
    (loop for (hashset . members) in all
          do (refill hashset members))
    (setf (aref sb-kernel::*ctype-hash-state* 0) 1)))

;;; Tables beside them

(defun seal-members ()
  "What is a member of types that name members, and hashes by its address, got a number by lot."
  (loop for cell being the hash-values of sb-kernel::*xset-stable-hashes* using (hash-key member)
        do (setf (cdr cell) (ldb (byte 22 3) (content-hash member)))))

(defun seal-single-types ()
  "The types of one member each, weakly: without the marks of those that are gone."
  (let* ((table sb-kernel::*eql-type-cache*)
         (entries (loop for type being the hash-values of table using (hash-key key)
                        collect (list (content-hash key) key type))))
    (clrhash table)
    (fill (sb-impl::hash-table-next-vector table) 0) ; CLRHASH leaves there what was
    (loop for (nil key type) in (sort entries #'< :key #'first)
          do (setf (gethash key table) type))))

(defun forget-last-key (table)
  "A table remembers where its last key was: let it be the first one."
  (loop for key being the hash-keys of table
        do (return (gethash key table))))

;;; Counters

(defun reset-counters ()
  (setf sb-ext:*gc-run-time* 0
        sb-impl::*gc-real-time* 0
        sb-int::*n-bytes-freed-or-purified* 0))

;;; When

(defun watch ()
  (sb-int::encapsulate 'sb-impl::%make-symbol 'monolisp-seal #'name-only)
  (sb-int::encapsulate 'sb-impl::stream-deinit 'monolisp-seal #'expect-the-end))

(defun expect-the-end (stream-deinit)
  "The last thing of DEINIT; what comes after it makes types, too."
  (funcall stream-deinit)
  (sb-int::unencapsulate 'sb-impl::stream-deinit 'monolisp-seal)
  (sb-int::encapsulate 'sb-kernel::unsafe-clear-roots 'monolisp-seal #'seal))

(defun seal (unsafe-clear-roots generation)
  "The last thing that Lisp does before C saves the core. A collection in between clears other generations."
  (when (= generation sb-vm::+highest-normal-generation+)
    (sb-int::unencapsulate 'sb-kernel::unsafe-clear-roots 'monolisp-seal)
    (sb-int::unencapsulate 'sb-impl::%make-symbol 'monolisp-seal)
    (sb-sys::scrub-control-stack)
    ;; Not GC: neither finalizers nor hooks of the program's may run any more.
    (sb-kernel::sub-gc sb-vm::+pseudo-static-generation+)
    (seal-members)
    (seal-single-types)
    (seal-types)
    (forget-last-key sb-c::*backend-primitive-type-names*)
    (sb-impl::drop-all-hash-caches)
    (reset-counters))
  (funcall unsafe-clear-roots generation))

(when (and (fboundp 'sb-kernel::rebuild-ctype-hashsets) (= sb-vm::n-word-bits 64))
  (watch))

(dolist (name '("SB-IMPL" "SB-KERNEL" "SB-INT" "SB-VM" "SB-SYS" "SB-C"))
  (sb-ext:lock-package name))
