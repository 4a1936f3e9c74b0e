;;;; Debian's named-readtables as it is, and one function of ours in the place of one of its own: since 2.6 SBCL says 0
;;;; where no character of a readtable means anything, and no version of the library until July 2026 knows that.

(defsystem "named-readtables"
  :pathname #p"/usr/share/common-lisp/source/named-readtables/src/"
  :serial t
  :components ((:file "package")
               (:file "utils")
               (:file "define-api")
               (:file "cruft")
               (:file "iterator" :pathname #.(merge-pathnames "iterator.lisp" (or *load-truename* *compile-file-truename*)))
               (:file "named-readtables")))
