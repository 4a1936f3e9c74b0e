;;;; What stays in every finished executable: how it starts, how it ends, and the files embedded in it.

(defpackage #:monolisp
  (:use #:common-lisp)
  (:export #:embedded-file #:embedded-files #:start))

(in-package #:monolisp)

(defvar *entry* nil
  "The symbol whose function the program is.")

(defvar *pass-arguments* nil
  "True when the entry takes one argument: the list of command-line arguments.")

(defvar *false-is-failure* nil
  "True when the program shall exit with 1 if its entry returns false, as UIOP's programs do.")

(defvar *keep-debugger* nil
  "True when an unhandled error shall enter the debugger.")

(defvar *embedded* (make-hash-table :test 'equal)
  "Name → octets of every embedded file.")

(defvar *seeded* '()
  "The random states that were seeded by chance while the program was loaded: lists of those that are alike.")

(defvar *chance-asked* nil
  "True once they are seeded in this run.")

(defun embedded-file (name)
  "The octets of the embedded file NAME, a vector of (unsigned-byte 8); NIL when there is none of that name."
  (values (gethash name *embedded*)))

(defun embedded-files ()
  "The names of all embedded files, sorted."
  (sort (loop for name being the hash-keys of *embedded* collect name) #'string<))

(defun flush ()
  (finish-output *standard-output*)
  (finish-output *error-output*))

(defun leave (code)
  "End the program as a signal asked: cleanup forms run, other threads get two seconds."
  (sb-ext:exit :code code :timeout 2))

(defun on-terminate (signal info context)
  (declare (ignore signal info context))
  (if (eq sb-thread:*current-thread* (sb-thread:main-thread))
      (leave 143)
      (sb-thread:interrupt-thread (sb-thread:main-thread) (lambda () (leave 143)))))

(defun on-stream-error (condition)
  "Whoever read our output is gone: end quietly, as a program killed by SIGPIPE does for the shell."
  (when (and (typep condition 'sb-int:broken-pipe)
             (member (stream-error-stream condition)
                     (list sb-sys:*stdout* sb-sys:*stderr* *standard-output* *error-output*)))
    (sb-ext:exit :code 141 :abort t)))

(defun call-uiop (name)
  "Call the function NAME of UIOP, where the program brought UIOP along."
  (let* ((package (find-package "UIOP"))
         (function (and package (find-symbol name package))))
    (when (and function (fboundp function))
      (funcall function))))

(defun ensure-home ()
  "Where nobody is known, as in an empty root directory, the home directory is the root: UIOP needs to have one."
  (declare (notinline user-homedir-pathname)) ; or the compiler, sure that it returns, does not call it
  (unless (or (sb-ext:posix-getenv "HOME") (ignore-errors (user-homedir-pathname)))
    (sb-alien:alien-funcall (sb-alien:extern-alien "setenv" (function sb-alien:int sb-alien:c-string sb-alien:c-string
                                                                      sb-alien:int))
                            "HOME" "/" 0)))

(defun replace-seed (state other)
  (replace (sb-kernel::random-state-state state) (sb-kernel::random-state-state other)))

(defun chance ()
  "What the kernel draws, for SEED-RANDOM-STATE. SBCL reads /dev/urandom, which an empty root directory has not: T lets it."
  (let ((words (make-array 8 :element-type '(unsigned-byte 32))))
    (sb-sys:with-pinned-objects (words)
      (if (= 32 (sb-alien:alien-funcall
                 (sb-alien:extern-alien "getrandom" (function sb-alien:long sb-sys:system-area-pointer
                                                              sb-alien:unsigned-long sb-alien:unsigned-int))
                 (sb-sys:vector-sap words) 32 0))
          words
          t))))

(defun seed-again ()
  "The first of the hooks of an executable in which there are such states."
  (setf *chance-asked* t)
  (dolist (states *seeded*)
    (let ((seeded (sb-ext:seed-random-state (chance))))
      (dolist (state states)
        (replace-seed state seeded)))))

(defun start ()
  "The toplevel function of every executable."
  (when (sb-ext:posix-getenv "MONOLISP_PROBE")
    (sb-ext:exit :code 0 :abort t))
  ;; A program may have forgotten all hooks.
  (unless (shiftf *chance-asked* nil)
    (seed-again))
  (sb-sys:enable-interrupt sb-unix:sigterm #'on-terminate)
  (handler-bind ((sb-sys:interactive-interrupt (lambda (condition)
                                                 (declare (ignore condition))
                                                 (unless *keep-debugger* (leave 130))))
                 (stream-error #'on-stream-error))
    (ensure-home)
    (call-uiop "CALL-IMAGE-RESTORE-HOOK")
    (let ((value (if *pass-arguments*
                     (funcall *entry* (rest sb-ext:*posix-argv*))
                     (funcall *entry*))))
      (flush)
      (sb-ext:exit :code (if (or value (not *false-is-failure*)) 0 1)))))
