;;;; Build side: what a program looks for when it lists directories. linkage/record.c reports every directory that is
;;;; opened, but not why: ASDF looks for systems in hundreds of them, a program for "*.txt" in one.

(defpackage #:monolisp-watch
  (:use #:common-lisp)
  (:export #:watch #:unwatch))

(in-package #:monolisp-watch)

(defun looked-for (pathspec)
  "The type of the files that DIRECTORY looks for: empty when it looks for directories only, an asterisk for any type."
  (let* ((pathname (ignore-errors (merge-pathnames (translate-logical-pathname pathspec))))
         (type (and pathname (pathname-type pathname))))
    (cond ((stringp type) type)
          ((and pathname (null type) (null (pathname-name pathname))) "")
          (t "*"))))

(defun report (descriptor letter text)
  "As linkage/record.c does: a letter, the text, a null byte."
  (let ((octets (sb-ext:string-to-octets (format nil "~a~a" letter text) :external-format :utf-8 :null-terminate t)))
    (sb-unix:unix-write descriptor octets 0 (length octets))))

(defun watch ()
  "Report what each call of DIRECTORY looks for: T and the type before it, E and the type after it."
  (let ((descriptor (sb-ext:posix-getenv "MONOLISP_RECORD_FD")))
    (when descriptor
      (setf descriptor (parse-integer descriptor))
      (sb-int:encapsulate 'directory 'monolisp-watch
                          (lambda (function pathspec &rest options)
                            (let ((type (looked-for pathspec)))
                              (report descriptor "T" type)
                              (unwind-protect (apply function pathspec options)
                                (report descriptor "E" type))))))))

(defun unwatch ()
  "Leave nothing of this behind."
  (sb-int:unencapsulate 'directory 'monolisp-watch)
  (delete-package "MONOLISP-WATCH"))
