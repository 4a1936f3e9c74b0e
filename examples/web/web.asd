(defsystem "web"
  :description "A web server."
  :depends-on ("hunchentoot")
  :components ((:file "web"))
  :entry-point "web:main")
