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
  "Allocate in all sizes, fill, look at every octet again, and free in another order."
  (loop for round from 1 to 20
        for blocks = (loop for size from 1 to 60000 by 997 collect (cons size (mi-zalloc size)))
        do (loop for (size . memory) in blocks
                 do (check "usable size" (<= size (mi-usable-size memory)) t)
                    (check "zeros" (loop for i below size always (zerop (sb-sys:sap-ref-8 memory i))) t)
                    (loop for i below size do (setf (sb-sys:sap-ref-8 memory i) round)))
           (loop for (size . memory) in (reverse blocks)
                 do (check "what was written" (loop for i below size always (= round (sb-sys:sap-ref-8 memory i))) t)
                    (mi-free memory)))
  t)

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
