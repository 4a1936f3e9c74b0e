(defsystem "json-pretty"
  :description "Print JSON indented."
  :depends-on ("yason")
  :components ((:file "json-pretty"))
  :build-operation "program-op"
  :build-pathname "json-pretty"
  :entry-point "json-pretty:main")
