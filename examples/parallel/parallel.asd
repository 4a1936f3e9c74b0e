(defsystem "parallel"
  :description "Count primes on all processors."
  :depends-on ("lparallel")
  :components ((:file "parallel"))
  :entry-point "parallel-primes:main")
