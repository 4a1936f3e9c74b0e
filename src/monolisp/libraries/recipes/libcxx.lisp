;;; libcxx: memory comes and goes through C++'s operators new and delete. The proof of zeromq needs much more of it.

(use-package :sb-alien)
(load-shared-object "libstdc++.so.6")

(define-alien-routine ("_Znam" new-array) (* (unsigned 64)) (size unsigned-long))
(define-alien-routine ("_ZdaPv" delete-array) void (memory (* (unsigned 64))))
(define-alien-routine ("_ZnwmSt11align_val_t" new-aligned) system-area-pointer
  (size unsigned-long) (alignment unsigned-long))
(define-alien-routine ("_ZdlPvSt11align_val_t" delete-aligned) void
  (memory system-area-pointer) (alignment unsigned-long))

(defun main ()
  (let ((squares (new-array 800)))
    (dotimes (i 100)
      (setf (deref squares i) (* i i)))
    (assert (= 328350 (loop for i below 100 sum (deref squares i))))
    (delete-array squares))
  (let ((memory (new-aligned 100 4096)))
    (assert (zerop (mod (sb-sys:sap-int memory) 4096)))
    (delete-aligned memory 4096))
  (format t "libcxx ok~%"))
