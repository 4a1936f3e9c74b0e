;;;; Build side: what a program looks for when it lists directories, and whether anything was compiled. linkage/record.c
;;;; reports every directory that is opened, but not why: ASDF looks for systems in hundreds of them, a program for "*.txt"
;;;; in one.
;;;;
;;;; Only functions that are SBCL's own are encapsulated. Code that refers to #'DIRECTORY, as UIOP's does, would keep what
;;;; DIRECTORY is while that code is loaded.

(defpackage #:monolisp-watch
  (:use #:common-lisp)
  (:export #:watch #:unwatch))

(in-package #:monolisp-watch)

(defun looked-for (pathname)
  "The type of the files that are looked for: empty when it is directories only, an asterisk for any type."
  (let ((type (pathname-type pathname)))
    (cond ((stringp type) type)
          ((and (null type) (null (pathname-name pathname))) "")
          (t "*"))))

(defun report (descriptor letter text)
  "As linkage/record.c does: a letter, the text, a null byte."
  (let ((octets (sb-ext:string-to-octets (format nil "~a~a" letter text) :external-format :utf-8 :null-terminate t)))
    (sb-unix:unix-write descriptor octets 0 (length octets))))

(defvar *descriptor* nil "Where it is reported.")
(defvar *compiled-files* nil "Where compiled files are kept: a namestring.")
(defvar *compiled* nil "Whether any was made.")
(defvar *before* nil "What is called before the first is made.")

(defun compiler ()
  "What COMPILE-FILE calls for each file that it makes; SBCL moved it between packages."
  (or (find-symbol "OPEN-FASL-OUTPUT" "SB-C") (find-symbol "OPEN-FASL-OUTPUT" "SB-FASL")))

(defun watch (before)
  "Report what each call of DIRECTORY looks for: T and the type before it, E and the type after it. BEFORE is called when a
file is to be compiled for the first time."
  (setf *before* before)
  (let ((descriptor (sb-ext:posix-getenv "MONOLISP_RECORD_FD")))
    (when descriptor
      (setf *descriptor* (parse-integer descriptor))
      (sb-int:encapsulate 'sb-impl::map-matching-directories 'monolisp-watch #'listing)))
  (setf *compiled-files* (sb-ext:posix-getenv "MONOLISP_FASLS"))
  (when *compiled-files*
    (sb-int:encapsulate (compiler) 'monolisp-watch #'compiling)))

(defun listing (function action pathname)
  (let ((type (looked-for pathname)))
    (report *descriptor* "T" type)
    (unwind-protect (funcall function action pathname)
      (report *descriptor* "E" type))))

(defun compiling (function file &rest options)
  (let ((name (and (pathnamep file) (sb-ext:native-namestring file))))
    (when (and name (eql (mismatch *compiled-files* name) (length *compiled-files*)))
      (unless (shiftf *compiled* t) (funcall *before*))))
  (apply function file options))

(defun unwatch ()
  "Leave nothing of this behind. Returns true if a compiled file was made where they are kept."
  (sb-int:unencapsulate 'sb-impl::map-matching-directories 'monolisp-watch)
  (sb-int:unencapsulate (compiler) 'monolisp-watch)
  (prog1 *compiled*
    (delete-package "MONOLISP-WATCH")))
