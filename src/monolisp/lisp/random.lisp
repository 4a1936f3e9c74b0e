;;;; Build side: random states that are seeded by chance while a program is loaded, as Hunchentoot's and CL-FAD's are. In
;;;; an executable they would be the same in every run, and other ones in every build. Chance is asked again when the
;;;; executable starts instead (program.lisp, SEED-AGAIN): what was saved of it has no part in that. Not found is what a
;;;; compiled file has as a literal.

(defpackage #:monolisp-random
  (:use #:common-lisp)
  (:export #:watch #:unwatch-last))

(in-package #:monolisp-random)

(defvar *seeded* '() "Weak pointers to the states that chance seeded, and to copies of them; the last comes first.")
(defvar *watching* nil "Who keeps what SEED-RANDOM-STATE is meanwhile has only that afterwards.")

(defun seeded-p (state)
  (find state *seeded* :key #'sb-ext:weak-pointer-value))

(defun seeding (function &optional state)
  "SEED-RANDOM-STATE, which MAKE-RANDOM-STATE calls: T asks for chance, NIL for a copy of *RANDOM-STATE*."
  (let ((made (funcall function state)))
    (when (and *watching* (or (eq state t) (seeded-p (or state *random-state*))))
      (sb-ext:atomic-push (sb-ext:make-weak-pointer made) (symbol-value '*seeded*)))
    made))

(defun watch ()
  (setf *watching* t)
  (sb-int:encapsulate 'sb-ext:seed-random-state 'monolisp-random #'seeding))

(defun unwatch-last ()
  "Watch also while the program's own hooks for saving run."
  (setf sb-ext:*save-hooks* (append sb-ext:*save-hooks* (list #'unwatch))))

(defun alike (states)
  "Lists of those that would give the same numbers: one that was copied to repeat a run still does."
  (let ((groups '()))
    (dolist (state states (nreverse groups))
      (let ((group (find state groups :key #'first :test #'equalp)))
        (if group
            (setf (rest group) (cons state (rest group)))
            (push (list state) groups))))))

(defun living ()
  "What is only garbage by now does not count, whenever the collector came last."
  (when *seeded*
    (monolisp-seal:wipe-stack)
    (sb-kernel::sub-gc sb-vm::+pseudo-static-generation+))
  (remove nil (mapcar #'sb-ext:weak-pointer-value (reverse *seeded*))))

(defun unwatch ()
  "Give the states that are still there to what seeds them when the program starts, before its own hooks. Nothing of this
stays behind."
  (setf sb-ext:*save-hooks* (remove #'unwatch sb-ext:*save-hooks*)
        *watching* nil)
  (sb-int:unencapsulate 'sb-ext:seed-random-state 'monolisp-random)
  (let ((states (living)))
    (when states
      (setf monolisp::*seeded* (alike states))
      (dolist (state states)
        (monolisp::replace-seed state (sb-ext:seed-random-state 0)))
      (push 'monolisp::seed-again sb-ext:*init-hooks*)))
  (setf *seeded* '()))
