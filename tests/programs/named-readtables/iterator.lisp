;;;; The characters of a readtable that mean something, by the standard's own functions.

(in-package #:named-readtables)

(defun characters-below (limit)
  (loop for code below limit collect (code-char code)))

(defun sub-characters (char readtable)
  "An alist of sub-character and function, for a dispatching macro character."
  (loop for sub in (characters-below 128)
        for function = (and (not (digit-char-p sub)) (get-dispatch-macro-character char sub readtable))
        when function collect (cons sub function)))

(defun dispatches-p (char readtable)
  (handler-case (progn (get-dispatch-macro-character char #\a readtable) t)
    (error () nil)))

(defun %make-readtable-iterator (readtable)
  "A function that returns T, a character, its function, whether it dispatches, and on what; NIL at the end."
  (let ((left (remove-if-not (lambda (char) (get-macro-character char readtable)) (characters-below char-code-limit))))
    (lambda ()
      (if left
          (let* ((char (pop left))
                 (dispatches (dispatches-p char readtable)))
            (values t char (get-macro-character char readtable) dispatches
                    (and dispatches (sub-characters char readtable))))
          (values nil nil nil nil nil)))))
