(defpackage #:checksum
  (:use #:common-lisp)
  (:export #:main))

(in-package #:checksum)

(defun checksum (file)
  (ironclad:byte-array-to-hex-string (ironclad:digest-file :sha256 file)))

(defun main (arguments)
  (dolist (file arguments)
    (format t "~a  ~a~%" (checksum (sb-ext:parse-native-namestring file)) file)))
