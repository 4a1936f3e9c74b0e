"""What `monolisp sbcl` starts: a face of the toolchain that behaves as any SBCL, and finishes what it dumps."""
