(defsystem "monolisp-asdf"
  :description "STATIC-PROGRAM-OP: truly static executables of systems, made by monolisp."
  :licence "MIT"
  :components ((:file "static-program-op")))
