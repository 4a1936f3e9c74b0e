;;; Lines, words and bytes of standard input.

(defpackage #:wc
  (:use #:common-lisp))

(in-package #:wc)

(deftype octets () '(simple-array (unsigned-byte 8) (*)))

(declaim (inline blank-p))
(defun blank-p (octet)
  (or (= octet 32) (<= 9 octet 13)))

(defun count-buffer (buffer end in-word)
  "Lines and words in the first END octets of BUFFER, and whether it ends inside a word."
  (declare (type octets buffer) (type fixnum end) (optimize speed))
  (let ((lines 0) (words 0))
    (declare (type fixnum lines words))
    (dotimes (index end)
      (let ((octet (aref buffer index)))
        (when (= octet 10) (incf lines))
        (cond ((blank-p octet) (setf in-word nil))
              ((not in-word) (setf in-word t) (incf words)))))
    (values lines words in-word)))

(defun main ()
  (let ((input (sb-sys:make-fd-stream 0 :element-type '(unsigned-byte 8) :buffering :full))
        (buffer (make-array 65536 :element-type '(unsigned-byte 8)))
        (lines 0) (words 0) (bytes 0) (in-word nil))
    (loop for end = (read-sequence buffer input)
          until (zerop end)
          do (multiple-value-bind (more-lines more-words still) (count-buffer buffer end in-word)
               (incf lines more-lines)
               (incf words more-words)
               (incf bytes end)
               (setf in-word still)))
    (format t "~d ~d ~d~%" lines words bytes)))
