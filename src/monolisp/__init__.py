"""monolisp turns a Common Lisp program into one truly static Linux executable."""

__version__ = "0.1.0"
