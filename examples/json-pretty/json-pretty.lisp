(defpackage #:json-pretty
  (:use #:common-lisp)
  (:export #:main))

(in-package #:json-pretty)

(defun main ()
  "Read one JSON value, print it indented. Returns false, hence exit code 1, when it is none."
  (handler-case
      (let* ((yason:*parse-json-arrays-as-vectors* t)
             (yason:*parse-json-booleans-as-symbols* t)
             (value (yason:parse *standard-input*)))
        (let ((stream (yason:make-json-output-stream *standard-output* :indent 2)))
          (yason:encode value stream))
        (terpri)
        t)
    ((or end-of-file parse-error simple-error) (condition)
      (format *error-output* "json-pretty: ~a~%" condition)
      nil)))
