;;;; Build side: the first of our files, so that the symbols which later ones bring are already made like those of the
;;;; program: with hashes that depend on their names alone. seal.lisp says why, and ends it.

(defpackage #:monolisp-seal
  (:use #:common-lisp)
  (:export #:call-place #:wipe-stack))

(in-package #:monolisp-seal)

;;; What an older SBCL lacks is named here all the same.
(eval-when (:compile-toplevel :load-toplevel :execute)
  (dolist (name '("SB-IMPL" "SB-KERNEL" "SB-INT" "SB-VM" "SB-SYS" "SB-C"))
    (sb-ext:unlock-package name)))

(defun sealed-p ()
  "Whether this SBCL has all that the seal needs."
  (and (fboundp 'sb-kernel::rebuild-ctype-hashsets) (= sb-vm::n-word-bits 64)))

(defun index-of (structure name)
  "The index of a slot; 0 where an SBCL that is not sealed has none of that name."
  (let ((slot (find name (sb-kernel::dd-slots (sb-kernel::find-defstruct-description structure))
                    :key (lambda (slot) (symbol-name (sb-kernel::dsd-name slot))) :test #'string=)))
    (if slot (sb-kernel::dsd-index slot) 0)))

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

(when (sealed-p) (sb-int::encapsulate 'sb-impl::%make-symbol 'monolisp-seal #'name-only))
