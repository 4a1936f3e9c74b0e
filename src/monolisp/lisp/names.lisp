;;;; Build side: the C symbols that a program looks up by name while it runs, so that the executable can answer. What
;;;; calls refer to is in the linkage table, and needs no name.

(defpackage #:monolisp-names
  (:use #:common-lisp)
  (:export #:watch #:watch-cffi #:unwatch))

(in-package #:monolisp-names)

(defvar *looked-up* (make-hash-table :test 'equal :synchronized t)
  "The names of C symbols that were looked up as names, or will be: not those that calls refer to.")

(defun note-name (name)
  (when (stringp name)
    (setf (gethash name *looked-up*) t))
  name)

(defun watch-lookups ()
  (sb-int:encapsulate 'sb-sys:find-foreign-symbol-address 'monolisp
                      (lambda (function name)
                        (note-name name)
                        (funcall function name))))

(defvar *cffi-watched* nil "True once CFFI was seen; :LENT when it has a compiler macro of ours.")

(defun watch-cffi ()
  "Once CFFI is there: a name that is written in a call of FOREIGN-SYMBOL-POINTER is noted when that code is loaded."
  (let ((function (and (not *cffi-watched*) (find-package "CFFI") (find-symbol "FOREIGN-SYMBOL-POINTER" "CFFI"))))
    (when (and function (fboundp function))
      (setf *cffi-watched* t)
      (unless (compiler-macro-function function)
        (setf *cffi-watched* :lent
              (compiler-macro-function function)
              (lambda (form environment)
                (declare (ignore environment))
                (if (and (stringp (second form)) (not (eq (first form) 'funcall)))
                    `(progn (load-time-value (note-name ,(second form)))
                            (locally (declare (notinline ,function)) ,form))
                    form)))))))

(defun unwatch-cffi ()
  (when (eq *cffi-watched* :lent)
    (let ((function (find-symbol "FOREIGN-SYMBOL-POINTER" "CFFI")))
      (setf (compiler-macro-function function) nil))))

(defun note-cffi-variables ()
  "The names of the C variables that CFFI:DEFCVAR defines: looked up whenever they are used."
  (let ((property (and (find-package "CFFI") (find-symbol "FOREIGN-VAR-NAME" "CFFI"))))
    (when property
      (do-all-symbols (symbol)
        (note-name (get symbol property))))))

(defun watch ()
  (watch-lookups)
  (watch-cffi))

(defun unwatch ()
  "Leave everything as it was. Returns the names, sorted."
  (sb-int:unencapsulate 'sb-sys:find-foreign-symbol-address 'monolisp)
  (unwatch-cffi)
  (note-cffi-variables)
  (sort (loop for name being the hash-keys of *looked-up* collect name) #'string<))
