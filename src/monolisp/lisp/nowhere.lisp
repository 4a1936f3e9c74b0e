;;;; Build side, for SBCL's contribs: compiled files that do not say where they were made. They begin with the runtime that
;;;; may run them, if one is known, and hold the true names of their sources, unless given names will do.

(setf sb-ext:*runtime-pathname* nil)

(let ((selector (find-symbol "*NAME-CONTEXT-FILE-PATH-SELECTOR*" "SB-C")))
  (when selector
    (setf (symbol-value selector) 'pathname)))

;;; Where they are is not in SBCL's core (warm.lisp).
(sb-ext:set-sbcl-source-location (truename "../../"))
