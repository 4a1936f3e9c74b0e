"""How C is compiled that goes into programs: for every recipe, and for what Lisp systems compile themselves."""

from __future__ import annotations

from monolisp.toolchain.zig import OPTIMIZED

# Thread-local variables through a function call: a build runtime takes a library in while it runs, and so could not
# give it a place in the thread area that the linker laid out. See linkage/emutls.c.
CFLAGS = (OPTIMIZED, "-fno-sanitize=undefined", "-femulated-tls", "-ffunction-sections", "-fdata-sections")
# What a script may call the C compiler, whatever CC says.
COMPILERS = {"cc": "cc", "gcc": "cc", "clang": "cc", "c++": "c++", "g++": "c++", "clang++": "c++"}
