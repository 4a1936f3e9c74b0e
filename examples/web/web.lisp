(defpackage #:web
  (:use #:common-lisp)
  (:export #:main))

(in-package #:web)

(hunchentoot:define-easy-handler (square :uri "/square") (n)
  (setf (hunchentoot:content-type*) "text/plain")
  (let ((number (parse-integer n :junk-allowed t)))
    (if number
        (format nil "~d~%" (* number number))
        (progn (setf (hunchentoot:return-code*) hunchentoot:+http-bad-request+)
               (format nil "say /square?n=7~%")))))

(defun main (arguments)
  "Serve on the port that the first argument names; 0, or nothing, lets the kernel choose."
  (let* ((port (if arguments (parse-integer (first arguments)) 0))
         (server (make-instance 'hunchentoot:easy-acceptor
                                :address "127.0.0.1" :port port
                                :access-log-destination nil :document-root nil)))
    (hunchentoot:start server)
    (format t "listening on http://127.0.0.1:~d/~%" (hunchentoot:acceptor-port server))
    (finish-output)
    (unwind-protect (loop (sleep 3600))
      (hunchentoot:stop server))))
