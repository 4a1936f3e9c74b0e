"""From a core to an executable: its linked code, then code and core in one file."""

from __future__ import annotations

from pathlib import Path

from monolisp.link.compose import compose
from monolisp.link.program import LINKAGE_SECTION, link_program, linkage_note
from monolisp.linkage.sizes import Sizes
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain


def link(core: Path, sizes: Sizes, toolchain: Toolchain, machine: Machine, output: Path) -> None:
    """Write the executable of `core` to `output`. Raises BadCore, LinkFailed, OSError."""
    program = link_program(core, sizes, toolchain, machine)
    notes = {LINKAGE_SECTION: linkage_note(program.linkage)}
    compose(program.path, core, toolchain.target.core_alignment, notes, output)
