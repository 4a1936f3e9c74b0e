;;; Proves that MPFR works: constants to fifty digits, correctly rounded square roots.

(sb-alien:load-shared-object "libmpfr.so.6")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-type mpfr (* (array (sb-alien:unsigned 64) 4)))

(sb-alien:define-alien-routine "mpfr_init2" sb-alien:void (x mpfr) (precision sb-alien:long))
(sb-alien:define-alien-routine "mpfr_clear" sb-alien:void (x mpfr))
(sb-alien:define-alien-routine "mpfr_const_pi" sb-alien:int (x mpfr) (rounding sb-alien:int))
(sb-alien:define-alien-routine "mpfr_set_ui" sb-alien:int (x mpfr) (n sb-alien:unsigned-long) (rounding sb-alien:int))
(sb-alien:define-alien-routine "mpfr_sqrt" sb-alien:int (result mpfr) (x mpfr) (rounding sb-alien:int))
(sb-alien:define-alien-routine "mpfr_exp" sb-alien:int (result mpfr) (x mpfr) (rounding sb-alien:int))
(sb-alien:define-alien-routine "mpfr_get_d" sb-alien:double (x mpfr) (rounding sb-alien:int))

(sb-alien:define-alien-routine "mpfr_get_str" sb-alien:c-string
  (buffer sb-sys:system-area-pointer) (exponent sb-alien:long :out) (base sb-alien:int)
  (digits sb-alien:unsigned-long) (x mpfr) (rounding sb-alien:int))

(defconstant +nearest+ 0)

(defun new (precision)
  (let ((x (sb-alien:make-alien (array (sb-alien:unsigned 64) 4))))
    (mpfr-init2 x precision)
    x))

(defun digits (x)
  (multiple-value-list (mpfr-get-str (sb-sys:int-sap 0) 10 50 x +nearest+)))

(defun main ()
  (let ((x (new 200))
        (root (new 53)))
    (mpfr-const-pi x +nearest+)
    (check "pi" (digits x) '("31415926535897932384626433832795028841971693993751" 1))
    (mpfr-set-ui x 1 +nearest+)
    (mpfr-exp x x +nearest+)
    (check "e" (digits x) '("27182818284590452353602874713526624977572470937000" 1))
    (loop for n from 2 to 100
          do (mpfr-set-ui root n +nearest+)
             (mpfr-sqrt root root +nearest+)
             (check "a square root" (mpfr-get-d root +nearest+) (sqrt (coerce n 'double-float))))
    (mapc #'mpfr-clear (list x root))
    (format t "mpfr ok~%")))
