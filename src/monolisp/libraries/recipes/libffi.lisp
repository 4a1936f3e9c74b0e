;;; Proves that libffi works: it calls C with a struct as value, and makes a C function out of a Lisp one.

(sb-alien:load-shared-object "libffi.so.8")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(defconstant +abi+ #+x86-64 2 #+ppc64 8 #-(or x86-64 ppc64) 1)
(defconstant +struct+ 13)

(sb-alien:define-alien-routine "ffi_prep_cif" sb-alien:int
  (cif sb-sys:system-area-pointer) (abi sb-alien:int) (count sb-alien:unsigned-int)
  (result-type sb-sys:system-area-pointer) (argument-types sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "ffi_call" sb-alien:void
  (cif sb-sys:system-area-pointer) (function sb-sys:system-area-pointer)
  (result sb-sys:system-area-pointer) (arguments sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "ffi_closure_alloc" sb-sys:system-area-pointer
  (size sb-alien:unsigned-long) (code sb-sys:system-area-pointer :out))

(sb-alien:define-alien-routine "ffi_closure_free" sb-alien:void (closure sb-sys:system-area-pointer))

(sb-alien:define-alien-routine "ffi_prep_closure_loc" sb-alien:int
  (closure sb-sys:system-area-pointer) (cif sb-sys:system-area-pointer) (function sb-sys:system-area-pointer)
  (data sb-sys:system-area-pointer) (code sb-sys:system-area-pointer))

(sb-alien::define-alien-callable multiplied sb-alien:void
    ((cif sb-sys:system-area-pointer) (result sb-sys:system-area-pointer)
     (arguments sb-sys:system-area-pointer) (data sb-sys:system-area-pointer))
  (declare (ignore cif data))
  (setf (sb-sys:signed-sap-ref-64 result 0)
        (* (sb-sys:signed-sap-ref-64 (sb-sys:sap-ref-sap arguments 0) 0)
           (sb-sys:signed-sap-ref-64 (sb-sys:sap-ref-sap arguments 8) 0))))

(defun memory (&rest words)
  "The address of newly allocated WORDS, integers or addresses."
  (let ((sap (sb-alien:alien-sap (sb-alien:make-alien (sb-alien:unsigned 64) (max 16 (length words))))))
    (loop for word in words
          for offset from 0 by 8
          do (setf (sb-sys:sap-ref-64 sap offset) (if (integerp word) word (sb-sys:sap-int word))))
    sap))

(defun main ()
  (let* ((long (sb-alien:alien-sap (sb-alien:extern-alien "ffi_type_sint64" (array (sb-alien:unsigned 8) 24))))
         (longs (memory long long 0))
         (struct (memory 0 (ash +struct+ 16) longs))
         (cif (memory))
         (result (memory))
         (arguments (memory (memory 1000001) (memory 1000))))
    ;; struct { long quot, rem; } ldiv (long, long)
    (check "ffi_prep_cif" (ffi-prep-cif cif +abi+ 2 struct longs) 0)
    (ffi-call cif (sb-alien:alien-sap (sb-alien:extern-alien "ldiv" (function sb-alien:void))) result arguments)
    (check "ldiv" (list (sb-sys:sap-ref-64 result 0) (sb-sys:sap-ref-64 result 8)) '(1000 1))
    ;; long multiplied (long, long)
    (check "ffi_prep_cif" (ffi-prep-cif cif +abi+ 2 long longs) 0)
    (multiple-value-bind (closure code) (ffi-closure-alloc 64)
      (check "ffi_prep_closure_loc"
             (ffi-prep-closure-loc closure cif
                                   (sb-alien:alien-sap (sb-alien::alien-callable-function 'multiplied))
                                   (sb-sys:int-sap 0) code)
             0)
      (check "a Lisp function called by C"
             (sb-alien:alien-funcall
              (sb-alien:sap-alien code (function sb-alien:long sb-alien:long sb-alien:long)) 123456 -654321)
             (* 123456 -654321))
      (ffi-closure-free closure))
    (format t "libffi ok~%")))
