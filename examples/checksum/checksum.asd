(defsystem "checksum"
  :description "SHA-256 of files."
  :depends-on ("ironclad")
  :components ((:file "checksum"))
  :entry-point "checksum:main")
