;;;; Build side: types get hashes by what they say, not by lot, and the members of a union come in one order.
;;;;
;;;; SBCL keeps one of several equal types, and of several unions of the same types the one that was made first, unless the
;;;; collector took it. In which order the compiler tests for the members of (OR NULL CHARACTER) would depend on when that
;;;; was. Source: SBCL src/code/type-class.lisp, early-classoid.lisp (COPY-CTYPE).

(in-package #:monolisp-seal)

(defmacro type-bits (type) `(sb-kernel::%instance-ref ,type (load-time-value (index-of 'sb-kernel::ctype "%BITS"))))

;;; CTYPE-PRNG-NBITS without the three flags below.
(defmacro drawn-bits (bits) `(ldb (byte 22 3) ,bits))

(defvar *left* 0 "How much of a form is still looked at: a constant in it may be endless.")

(defun content-hash (form)
  "A hash of a type specifier, or of the parts of a type, by names and numbers."
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
        (sb-kernel::classoid (part-hash (sb-kernel::classoid-name form)))
        (sb-kernel::ctype (drawn-bits (type-bits form)))
        (sb-kernel::xset (logand (reduce #'+ (mapcar #'part-hash (sb-kernel::xset-members form))) most-positive-fixnum))
        (vector (loop with hash = (length form)
                      for element across form
                      while (plusp *left*)
                      do (setf hash (sb-int::mix hash (part-hash element)))
                      finally (return hash)))
        (sb-kernel::layout (part-hash (sb-kernel::classoid-name (sb-kernel::layout-classoid form))))
        (sb-kernel::key-info (part-hash (slot-values form)))
        (t (sxhash (type-of form))))))

(defun slot-values (instance)
  (if (typep instance 'standard-object)
      (coerce (sb-pcl::std-instance-slots instance) 'list)
      (loop for slot in (sb-kernel::dd-slots (sb-kernel::layout-dd (sb-kernel::%instance-layout instance)))
            when (and (eq (sb-kernel::dsd-raw-type slot) t) (string/= (sb-kernel::dsd-name slot) "%BITS"))
              collect (sb-kernel::%instance-ref instance (sb-kernel::dsd-index slot)))))

(defvar *type* nil "The type that is made at present, perhaps on the stack.")
(defvar *draws* 0 "How often something else was drawn.")

(defun draw (type)
  "28 bits by what TYPE is made of."
  (ldb (byte 28 0) (sb-int::murmur-hash-word/fixnum (content-hash (cons (type-of type) (slot-values type))))))

(defun drawn (function)
  "Instead of CTYPE-RANDOM."
  (declare (ignore function))
  (if *type* (draw *type*) (ldb (byte 28 0) (sb-int::murmur-hash-word/fixnum (incf *draws*)))))

(defun put-in-order (list hash)
  "Have the elements of LIST, which others hold, in the order of their HASH."
  (replace list (stable-sort (copy-list list) #'< :key hash)))

(defun order-members (type)
  "The list of members may be one that the program holds: it stays as it is."
  (symbol-macrolet ((members (sb-kernel::%instance-ref (sb-kernel::member-type-xset type)
                                                      (load-time-value (index-of 'sb-kernel::xset "DATA")))))
    (when (listp members)
      (setf members (put-in-order (copy-list members) #'part-hash-alone)))))

(defun part-hash-alone (member)
  (content-hash (list member)))

(defun inserted (function hashset key copier)
  (when (typep key 'sb-kernel::member-type) (order-members key))
  (let ((*type* (and (typep key 'sb-kernel::ctype) key)))
    (funcall function hashset key copier)))

(defun copied (function type &rest flags)
  (let ((*type* type))
    (apply function type flags)))

(defun bits-of (type) (type-bits type))

(defun ordered (function types)
  (funcall function (put-in-order (copy-list types) #'bits-of)))

(defparameter *drawing*
  '((sb-kernel::ctype-random . drawn) (sb-int::hashset-insert-if-absent . inserted) (sb-kernel::copy-ctype . copied)
    (sb-kernel::ctype-hashset-insert-if-absent . inserted) (sb-kernel::intern-ctype-set . ordered)))

(defun draw-types-by-content ()
  (loop for (name . function) in *drawing*
        do (sb-int::encapsulate name 'monolisp-seal (symbol-function function))))

(defun draw-types-again ()
  "As before."
  (loop for (name) in *drawing*
        do (sb-int::unencapsulate name 'monolisp-seal)))

(when (sealed-p) (draw-types-by-content))
