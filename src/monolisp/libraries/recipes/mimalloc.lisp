;;; Proves that mimalloc works, and that malloc is its own in a static executable.

(sb-alien:load-shared-object "libmimalloc.so.2")

(defun check (what got expected)
  (unless (equalp got expected)
    (error "~a: ~s instead of ~s" what got expected)))

(sb-alien:define-alien-routine "mi_zalloc" sb-sys:system-area-pointer (size sb-alien:unsigned-long))
(sb-alien:define-alien-routine "mi_free" sb-alien:void (memory sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "mi_usable_size" sb-alien:unsigned-long (memory sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "mi_is_in_heap_region" (sb-alien:boolean 8) (memory sb-sys:system-area-pointer))
(sb-alien:define-alien-routine "malloc" sb-sys:system-area-pointer (size sb-alien:unsigned-long))
(sb-alien:define-alien-routine "free" sb-alien:void (memory sb-sys:system-area-pointer))

(defun exercise ()
  "Allocate in all sizes, write, and free in another order."
  (let ((blocks (loop for size from 1 to 200000 by 997 collect (cons size (mi-zalloc size)))))
    (loop for (size . memory) in blocks
          do (check "usable size" (<= size (mi-usable-size memory)) t)
             (check "the last octet" (sb-sys:sap-ref-8 memory (1- size)) 0)
             (setf (sb-sys:sap-ref-8 memory 0) 255
                   (sb-sys:sap-ref-8 memory (1- size)) 255))
    (loop for (nil . memory) in (reverse blocks)
          do (mi-free memory))
    t))

(defun main ()
  (exercise)
  #+sb-thread
  (check "threads" (mapcar #'sb-thread:join-thread (loop repeat 4 collect (sb-thread:make-thread #'exercise)))
         '(t t t t))
  (let ((memory (malloc 1000)))
    (when (find :monolisp *features*)
      (check "malloc is mimalloc's" (mi-is-in-heap-region memory) t))
    (free memory))
  (format t "mimalloc ok~%"))
