;;; FFTW: the transform of a shifted impulse is known; there and back again gives the input; two threads do the same.

(use-package :sb-alien)
(load-shared-object "libfftw3.so.3")
(load-shared-object "libfftw3_threads.so.3")

(define-alien-routine fftw-init-threads int)
(define-alien-routine fftw-plan-with-nthreads void (count int))
(define-alien-routine fftw-malloc (* double) (size unsigned-long))
(define-alien-routine fftw-free void (memory (* double)))
(define-alien-routine fftw-plan-dft-1d system-area-pointer
  (size int) (in (* double)) (out (* double)) (sign int) (flags unsigned))
(define-alien-routine fftw-plan-dft-2d system-area-pointer
  (rows int) (columns int) (in (* double)) (out (* double)) (sign int) (flags unsigned))
(define-alien-routine fftw-execute void (plan system-area-pointer))
(define-alien-routine fftw-destroy-plan void (plan system-area-pointer))

(defconstant +forward+ -1)
(defconstant +backward+ 1)
(defconstant +estimate+ 64)

(defun value (array index)
  (complex (deref array (* 2 index)) (deref array (1+ (* 2 index)))))

(defun (setf value) (number array index)
  (setf (deref array (* 2 index)) (realpart number)
        (deref array (1+ (* 2 index))) (imagpart number)))

(defun near (one other)
  (< (abs (- one other)) 1d-9))

(defun run-plan (plan)
  (assert (plusp (sb-sys:sap-int plan)))
  (fftw-execute plan)
  (fftw-destroy-plan plan))

(defun check-impulse (size)
  (let ((in (fftw-malloc (* 16 size)))
        (out (fftw-malloc (* 16 size))))
    (dotimes (i size)
      (setf (value in i) (if (= i 1) #c(1d0 0d0) #c(0d0 0d0))))
    (run-plan (fftw-plan-dft-1d size in out +forward+ +estimate+))
    (dotimes (k size)
      (assert (near (value out k) (cis (/ (* -2 pi k) size)))))
    (run-plan (fftw-plan-dft-1d size out in +backward+ +estimate+))
    (dotimes (i size)
      (assert (near (value in i) (if (= i 1) size 0))))
    (fftw-free in)
    (fftw-free out)))

(defun check-plane (side)
  "A constant plane has one coefficient."
  (let* ((size (* side side))
         (plane (fftw-malloc (* 16 size))))
    (dotimes (i size)
      (setf (value plane i) #c(0.5d0 -1d0)))
    (run-plan (fftw-plan-dft-2d side side plane plane +forward+ +estimate+))
    (dotimes (i size)
      (assert (near (value plane i) (if (zerop i) (* size #c(0.5d0 -1d0)) 0))))
    (fftw-free plane)))

(defun main ()
  (mapc #'check-impulse '(8 13 60 1024))
  (assert (plusp (fftw-init-threads)))
  (fftw-plan-with-nthreads 2)
  (mapc #'check-impulse '(8 4096))
  (check-plane 64)
  (format t "fftw3 ok~%"))
