(defpackage #:parallel-primes
  (:use #:common-lisp)
  (:export #:main))

(in-package #:parallel-primes)

(defun prime-p (number)
  (declare (type (integer 0 #.most-positive-fixnum) number) (optimize speed))
  (and (> number 1)
       (loop for divisor of-type fixnum from 2 to (isqrt number)
             never (zerop (rem number divisor)))))

(defun count-between (start end)
  (loop for number from start below end count (prime-p number)))

(defun main (arguments)
  (let ((limit (if arguments (parse-integer (first arguments)) 100000))
        (lparallel:*kernel* (lparallel:make-kernel 4)))
    (unwind-protect
         (let ((size (ceiling limit 64)))
           (format t "~d~%" (reduce #'+ (lparallel:pmapcar
                                         (lambda (start) (count-between start (min limit (+ start size))))
                                         (loop for start from 0 below limit by size collect start)))))
      (lparallel:end-kernel :wait t))))
