"""The toolchain: C compiler, SBCL runtime object, core and contribs for one SBCL version and target."""
