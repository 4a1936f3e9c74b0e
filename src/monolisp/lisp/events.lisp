;;;; Build side: what happens is told as events, one JSON object a line, on the descriptor MONOLISP_EVENTS_FD.

(defpackage #:monolisp-build
  (:use #:common-lisp)
  (:export #:run))

(in-package #:monolisp-build)

(defvar *events* nil)

(defun write-json-string (string stream)
  (write-char #\" stream)
  (loop for char across string
        do (case char
             ((#\" #\\) (write-char #\\ stream) (write-char char stream))
             (t (if (or (< (char-code char) 32) (<= #xD800 (char-code char) #xDFFF))
                    (format stream "\\u~4,'0x" (char-code char))
                    (write-char char stream)))))
  (write-char #\" stream))

(defun write-json (value stream)
  (etypecase value
    (null (write-string "null" stream))
    (string (write-json-string value stream))
    (integer (format stream "~d" value))
    (list (write-char #\[ stream)
          (loop for (item . more) on value
                do (write-json item stream)
                   (when more (write-char #\, stream)))
          (write-char #\] stream))))

(defun tell (event &rest fields)
  "FIELDS: keyword, value, keyword, value…"
  (when *events*
    (format *events* "{\"event\":")
    (write-json event *events*)
    (loop for (name value) on fields by #'cddr
          do (format *events* ",~s:" (string-downcase name))
             (write-json value *events*))
    (format *events* "}~%")
    (finish-output *events*)))

(defun text-of (condition)
  (handler-case (let ((*print-length* 20) (*print-level* 6))
                  (princ-to-string condition))
    (error () (format nil "a condition of type ~s" (type-of condition)))))

(defun fail (kind &rest fields)
  "Tell why the build ends here, and end it."
  (apply #'tell "failed" :kind kind fields)
  (finish-output)
  (sb-ext:exit :code 1 :abort t))
