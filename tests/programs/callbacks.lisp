(require "asdf")
(asdf:load-system "cffi")
(cffi:defcallback less :int ((a :pointer) (b :pointer)) (- (cffi:mem-ref a :int) (cffi:mem-ref b :int)))

(defun main ()
  (cffi:with-foreign-object (v :int 3)
    (loop for i below 3 for n in '(3 1 2) do (setf (cffi:mem-aref v :int i) n))
    (cffi:foreign-funcall "qsort" :pointer v :size 3 :size 4 :pointer (cffi:callback less) :void)
    (print (loop for i below 3 collect (cffi:mem-aref v :int i)))))
