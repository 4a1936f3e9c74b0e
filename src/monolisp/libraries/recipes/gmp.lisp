;;; Proves that GMP works: it computes what Lisp's own integers compute.

(sb-alien:load-shared-object "libgmp.so.10")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-type mpz (* (sb-alien:struct nil (allocated sb-alien:int) (size sb-alien:int) (limbs (* t)))))

(sb-alien:define-alien-routine "__gmpz_init" sb-alien:void (x mpz))
(sb-alien:define-alien-routine "__gmpz_clear" sb-alien:void (x mpz))
(sb-alien:define-alien-routine "__gmpz_fac_ui" sb-alien:void (result mpz) (n sb-alien:unsigned-long))
(sb-alien:define-alien-routine "__gmpz_mul" sb-alien:void (result mpz) (x mpz) (y mpz))
(sb-alien:define-alien-routine "__gmpz_powm" sb-alien:void (result mpz) (base mpz) (exponent mpz) (modulus mpz))
(sb-alien:define-alien-routine "__gmpz_set_str" sb-alien:int (x mpz) (text sb-alien:c-string) (base sb-alien:int))

(sb-alien:define-alien-routine "__gmpz_get_str" sb-alien:c-string
  (buffer sb-sys:system-area-pointer) (base sb-alien:int) (x mpz))

(sb-alien:define-alien-routine "__gmpz_ui_pow_ui" sb-alien:void
  (result mpz) (base sb-alien:unsigned-long) (exponent sb-alien:unsigned-long))

(defun value (x)
  (parse-integer (--gmpz-get-str (sb-sys:int-sap 0) 16 x) :radix 16))

(defun new (&optional (value 0))
  (let ((x (sb-alien:make-alien (sb-alien:struct nil (allocated sb-alien:int) (size sb-alien:int) (limbs (* t))))))
    (--gmpz-init x)
    (--gmpz-set-str x (format nil "~x" value) 16)
    x))

(defun main ()
  (let* ((prime (1- (ash 1 521)))
         (big (expt 3 200000))
         (result (new)))
    (--gmpz-fac-ui result 1000)
    (check "1000!" (value result) (loop with product = 1 for i from 1 to 1000 do (setf product (* i product))
                                        finally (return product)))
    (--gmpz-ui-pow-ui result 3 200000)
    (check "3^200000" (value result) big)
    (--gmpz-mul result result result)
    (check "a product of 634,000 bits" (value result) (* big big))
    (--gmpz-powm result (new 7) (new (1- prime)) (new prime))
    (check "Fermat's little theorem" (value result) 1)
    (--gmpz-clear result)
    (format t "gmp ok~%")))
