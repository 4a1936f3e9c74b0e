"""Our own files that a toolchain is made with: another content is another toolchain."""

from __future__ import annotations

_PARTS = ("dl", "record", "desk", "clerk", "dump", "emutls", "quick", "seal", "vector", "math")
# Compiled into the build runtime, and what they include.
BUILD_RUNTIME = tuple(f"{name}.c" for name in _PARTS)
C_FILES = (*BUILD_RUNTIME, "tables.h", "clerk.h")
# What SBCL's own Lisp loads: while it is made (the first loads the others), and while it compiles its contribs.
DRAWING = ("symbols.lisp", "types.lisp")
WARM = ("warm.lisp", *DRAWING, "places.lisp", "seal.lisp")
NOWHERE = "nowhere.lisp"
# Code that decides what is done with them.
GENERATORS = (
    "toolchain/build.py",
    "toolchain/compression.py",
    "toolchain/ingredients.py",
    "toolchain/runtime.py",
    "toolchain/zig.py",
    *(f"lisp/{name}" for name in (*WARM, NOWHERE)),
    "linkage/table.py",
    "linkage/names.py",
)
