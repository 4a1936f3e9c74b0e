;;; Each form of standard input is compiled and run; its value is printed.

(defun main ()
  (loop for form = (read *standard-input* nil *standard-input*)
        until (eq form *standard-input*)
        do (let ((function (handler-bind ((warning #'muffle-warning))
                             (compile nil `(lambda () ,form)))))
             (format t "~s~%" (funcall function)))))
