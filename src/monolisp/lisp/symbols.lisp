;;;; Build side: the first of our files, so that the symbols which later ones bring are already made like those of the
;;;; program: with hashes that depend on their names alone. seal.lisp says why, and ends it.

;;; SBCL makes no packages yet while it is made (warm.lisp): these names are the user's then, and go with the rest of them.
(eval-when (:compile-toplevel :load-toplevel :execute)
  (when (macro-function 'defpackage)
    (eval '(defpackage #:monolisp-seal
            (:use #:common-lisp)
            (:export #:call-place #:rename-places #:sealed-p #:wipe-stack)))))

(in-package #.(if (macro-function 'defpackage) "MONOLISP-SEAL" "COMMON-LISP-USER"))

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

(defun hash-by-name (symbol)
  (sb-sys::with-pinned-objects (symbol)
    (symbol-macrolet ((hash (sb-sys::sap-ref-word (sb-sys::int-sap (sb-kernel::get-lisp-obj-address symbol))
                                                 (hash-place))))
      (setf (drawn-part hash)
            (ldb (byte 10 3) (sb-int::murmur-hash-word/fixnum (name-part hash))))))
  symbol)

(defun name-only (function &rest arguments)
  "The symbol that FUNCTION makes, with the drawn bits of its hash taken from its name."
  (hash-by-name (apply function arguments)))

(defmacro executable-p ()
  "Whether generic functions begin with code, with the hash in the upper half of their fourth word; else it is a slot."
  ;; While SBCL is made, all features are in one list.
  (let ((more (find-symbol "+INTERNAL-FEATURES+" "SB-IMPL")))
    (and (find :executable-funinstances (append (and more (boundp more) (symbol-value more)) *features*)) t)))

(defun set-drawn-hash (function hash)
  "Give the generic function FUNCTION, or its like, this hash instead of the one that was drawn."
  (if (executable-p)
      (sb-sys::with-pinned-objects (function)
        (setf (sb-sys::sap-ref-32 (sb-sys::int-sap (sb-kernel::get-lisp-obj-address function))
                                  (- (+ (* 3 sb-vm::n-word-bytes) 4) sb-vm::fun-pointer-lowtag))
              (ldb (byte 32 0) hash)))
      (setf (sb-kernel::%funcallable-instance-info
             function (index-of 'sb-pcl::standard-funcallable-instance "HASH-CODE"))
            hash)))

;;; The stack: what calls left there that returned long ago looks like references to the collector

(defconstant +wiped-words+ 32768 "Saving goes nowhere near as deep.")

#+stack-grows-downward-not-upward
(defun wipe-stack ()
  "Clear what is below this frame. It makes no call."
  (declare (optimize speed (safety 0)))
  (let ((top (sb-vm::current-sp)))
    (do ((word 2 (1+ word)))
        ((= word +wiped-words+))
      (declare (fixnum word))
      (setf (sb-sys:sap-ref-word top (- (* word sb-vm:n-word-bytes))) 0))))

#-stack-grows-downward-not-upward
(defun wipe-stack ()
  (sb-sys:scrub-control-stack))

(when (sealed-p) (sb-int::encapsulate 'sb-impl::%make-symbol 'monolisp-seal #'name-only))
