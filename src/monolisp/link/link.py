"""From a core to an executable: its linked code, then code and core in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from monolisp.libraries.supply import Foreign
from monolisp.link.compose import complete, compose
from monolisp.link.program import LINKAGE_SECTION, Program, link_program, linkage_note
from monolisp.linkage.sizes import Sizes
from monolisp.lisp.corefile import core_span
from monolisp.lisp.session import Saved
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain

Notes = Callable[[Program], Mapping[str, bytes]]


def link(
    saved: Saved,
    foreign: Foreign,
    sizes: Sizes | None,
    toolchain: Toolchain,
    machine: Machine,
    output: Path,
    notes: Notes,
) -> Program:
    """Write the executable of a saved core to `output`; returns the linked code in it. `notes` says of the linked code
    which further sections there shall be (name → content).

    Lisp may have written the core behind the code that an earlier build was linked with: if that is still the right
    code, the file is complete but for its section headers. Raises BadCore, LinkFailed, SymbolClash, MissingInArchive,
    OSError.
    """
    program = link_program(saved.path, foreign, sizes, toolchain, machine)
    sections = {LINKAGE_SECTION: linkage_note(program.linkage), **notes(program)}
    alignment = toolchain.target.core_alignment
    span = core_span(saved.path)
    if saved.code != program.path or span.begin % alignment:
        compose(program.path, saved.path, alignment, sections, output, span)
        return program
    complete(saved.path, span, alignment, sections)
    saved.path.rename(output)
    return program
