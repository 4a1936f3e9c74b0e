"""How C is compiled that goes into programs: for every recipe, and for what Lisp systems compile themselves."""

from __future__ import annotations

from monolisp.toolchain.zig import OPTIMIZED

# -femulated-tls: thread-local variables through a function call, since a build runtime takes a library in while it
# runs, and so could not give it a place in the thread area that the linker laid out (linkage/emutls.c).
# -fomit-frame-pointer: zig keeps one in every function, unlike other compilers.
CFLAGS = (
    OPTIMIZED,
    "-fno-sanitize=undefined",
    "-fomit-frame-pointer",
    "-femulated-tls",
    "-ffunction-sections",
    "-fdata-sections",
)
# What a script may call the C compiler, whatever CC says.
COMPILERS = {"cc": "cc", "gcc": "cc", "clang": "cc", "c++": "c++", "g++": "c++", "clang++": "c++"}
