;;;; Which files the definitions of systems name. Systems are found as a build finds them, but not loaded.

(require "asdf")

(defpackage #:monolisp-definitions
  (:use #:common-lisp)
  (:export #:write-files))

(in-package #:monolisp-definitions)

(defun source-files (component)
  (if (typep component 'asdf:parent-component)
      (mapcan #'source-files (asdf:component-children component))
      (let ((pathname (asdf:component-pathname component)))
        (when pathname (list (sb-ext:native-namestring pathname))))))

(defun files-of (name)
  "The definition of a system, and its files; NIL for one that cannot be found."
  (handler-case
      (let* ((system (asdf:find-system name nil))
             (definition (and system (asdf:system-source-file system))))
        (when definition
          (cons (sb-ext:native-namestring definition) (source-files system))))
    (error (condition)
      (format *error-output* "~&~a: ~a~%" name condition)
      nil)))

(defun write-files (names output)
  "Write to the file OUTPUT, for each name, the name and its files, a null byte behind each, and one more."
  (with-open-file (stream (sb-ext:parse-native-namestring output) :direction :output :if-exists :supersede
                                                                  :external-format :utf-8)
    (dolist (name names)
      (format stream "~{~a~c~}~c"
              (mapcan (lambda (text) (list text (code-char 0))) (cons name (files-of name)))
              (code-char 0)))))
