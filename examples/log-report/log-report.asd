(defsystem "log-report"
  :description "Requests per day from a log."
  :depends-on ("local-time" "cl-ppcre" "split-sequence")
  :components ((:file "log-report"))
  :entry-point "log-report:main")
