(defun main ()
  (format t "Hello from a static executable.~%"))
