"""The target: the processor and libc that a program is built for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from monolisp.errors import NoSuchTarget


@dataclass(frozen=True)
class Target:
    """One row of facts about a processor and its libc.

    `triple` is zig's name of it, `sbcl_arch` SBCL's, `elf_machine` the ELF header's e_machine number, `emulation`
    the linker's -m name, `page_size` the largest page size in bytes that a kernel of this processor may use.
    """

    triple: str
    sbcl_arch: str
    elf_machine: int
    emulation: str
    page_size: int
    baseline: str

    @property
    def core_alignment(self) -> int:
        """Where a core may begin in a file, in bytes: SBCL maps it from there, on any kernel of the processor."""
        return max(65536, self.page_size)


TARGETS = {
    target.triple: target for target in (Target("x86_64-linux-musl", "x86-64", 62, "elf_x86_64", 4096, "x86_64"),)
}
_HERE = {"x86_64": "x86_64-linux-musl"}


def find_target(name: str | None) -> Target:
    """The target called `name`; without a name, the one of this machine."""
    triple = name if name is not None else _HERE.get(os.uname().machine, os.uname().machine)
    if triple not in TARGETS:
        raise NoSuchTarget(name=triple, known=", ".join(sorted(TARGETS)))
    return TARGETS[triple]
