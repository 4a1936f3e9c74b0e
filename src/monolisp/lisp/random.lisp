;;;; Build side: random states that are seeded by chance while a program is loaded, as Hunchentoot's and CL-FAD's are. In
;;;; an executable they would be the same in every run, and other ones in every build. Chance is asked again when the
;;;; executable starts instead (program.lisp, SEED-AGAIN): what was saved of it has no part in that.

(defpackage #:monolisp-random
  (:use #:common-lisp)
  (:export #:watch #:unwatch))

(in-package #:monolisp-random)

(defvar *seeded* '() "Weak pointers to the states that chance seeded, and to copies of them; the last comes first.")

(defun seeded-p (state)
  (find state *seeded* :key #'sb-ext:weak-pointer-value))

(defun seeding (function &optional state)
  "SEED-RANDOM-STATE, which MAKE-RANDOM-STATE calls: T asks for chance, NIL for a copy of *RANDOM-STATE*."
  (let ((made (funcall function state)))
    (when (or (eq state t) (seeded-p (or state *random-state*)))
      (push (sb-ext:make-weak-pointer made) *seeded*))
    made))

(defun watch ()
  (sb-int:encapsulate 'sb-ext:seed-random-state 'monolisp-random #'seeding))

(defun unwatch ()
  "Give the states that are still there to what seeds them when the program starts, before its own hooks. Nothing of this
stays behind."
  (sb-int:unencapsulate 'sb-ext:seed-random-state 'monolisp-random)
  (let ((states (remove nil (mapcar #'sb-ext:weak-pointer-value (reverse *seeded*)))))
    (when states
      (dolist (state states)
        (monolisp::replace-seed state (sb-ext:seed-random-state 0)))
      (setf monolisp::*seeded* states)
      (push 'monolisp::seed-again sb-ext:*init-hooks*)))
  (delete-package "MONOLISP-RANDOM"))
