(defpackage #:log-report
  (:use #:common-lisp)
  (:export #:main))

(in-package #:log-report)

(defparameter *months*
  #("Jan" "Feb" "Mar" "Apr" "May" "Jun" "Jul" "Aug" "Sep" "Oct" "Nov" "Dec"))

(defun day-of (line)
  "The day that a line in common log format speaks of, as year-month-day; NIL for other lines."
  (cl-ppcre:register-groups-bind (date) ("\\[([^:\\]]+):" line)
    (destructuring-bind (day month year) (split-sequence:split-sequence #\/ date)
      (local-time:format-timestring
       nil
       (local-time:encode-timestamp 0 0 0 0 (parse-integer day) (1+ (position month *months* :test #'string=))
                                    (parse-integer year) :timezone local-time:+utc-zone+)
       :format '((:year 4) #\- (:month 2) #\- (:day 2))
       :timezone local-time:+utc-zone+))))

(defun main ()
  (let ((counts (make-hash-table :test 'equal)))
    (loop for line = (read-line *standard-input* nil)
          while line
          do (let ((day (day-of line)))
               (when day (incf (gethash day counts 0)))))
    (loop for (day . count) in (sort (loop for day being the hash-keys of counts using (hash-value count)
                                           collect (cons day count))
                                     #'string< :key #'car)
          do (format t "~a ~d~%" day count))))
