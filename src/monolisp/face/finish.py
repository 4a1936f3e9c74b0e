"""What the clerk does: answer a question about a library, and make an executable of a core that was dumped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import BadCore, DiskFull, HalfSaved, LibraryLost
from monolisp.face.face import Face
from monolisp.libraries.supply import Foreign
from monolisp.libraries.wishes import Wishes
from monolisp.publish import candidate, check_output, require_static
from monolisp.store import has_no_room
from monolisp.toolchain.machine import Machine

if TYPE_CHECKING:
    from monolisp.libraries.supplier import Supplier

# What is asked, its argument, and the directory where it was asked (empty: not known). The questions are those of the
# desk; "export" is a C symbol that was looked up.
Line = tuple[str, str, str]
_EXPORT = "export"
_WAYS_OUT = "`monolisp sbcl --with NAME`, or --with-archive FILE.a --soname NAME, adds one"


@dataclass(frozen=True)
class Dumped:
    """An executable made of a dump; `libraries` as in build.Result."""

    output: Path
    size: int
    libraries: Mapping[str, list[str]] = field(default_factory=dict)


def read_journal(text: str) -> list[Line]:
    """The lines that linkage/clerk.c and libraries/cc.py write."""
    lines = [line.split("\t") for line in text.split("\n") if line]
    return [(parts[0], parts[1], parts[2] if len(parts) > 2 else "") for parts in lines]


def answer(face: Face, journal: Sequence[Line], wishes: Wishes, machine: Machine) -> str:
    """The answer to the last question of the journal, as the desk would give it. Raises what building raises."""
    *earlier, (what, name, folder) = journal
    supplier = _informed(face, earlier, wishes, machine)
    said = supplier.answer(what, name, folder)
    if what != "library" or said.startswith("+"):
        return said
    near = " or ".join(supplier.nearest(name))
    return f"{said}; {f'is it {near}? ' if near else ''}{_WAYS_OUT}"


def _informed(face: Face, journal: Sequence[Line], wishes: Wishes, machine: Machine) -> Supplier:
    """A supplier that was asked all this: nothing of it is built or linked again. The journal holds only what was
    answered. Raises LibraryLost for what cannot be answered any more."""
    from monolisp.libraries.supplier import Supplier

    supplier = Supplier(wishes, face.toolchain, machine, lambda: ("", ""))
    supplier.prepare([])
    for what, name, folder in journal:
        if what != _EXPORT and not supplier.answer(what, name, folder).startswith("+"):
            raise LibraryLost(library=name)
    return supplier


def finish(face: Face, core: Path, output: Path, journal: Sequence[Line], wishes: Wishes, machine: Machine) -> Dumped:
    """Make the executable `output` of `core`, which SBCL saved.

    Raises HalfSaved, DiskFull, LibraryLost, and what linking and verifying raise.
    """
    from monolisp.link.link import link
    from monolisp.link.program import linked_libraries
    from monolisp.lisp.session import Saved

    looked_up = sorted({line[1] for line in journal if line[0] == _EXPORT})
    asked = any(line[0] != _EXPORT for line in journal)
    try:
        check_output(output, ())
        foreign = Foreign(looked_up=tuple(looked_up))
        if asked or wishes != Wishes():
            foreign = _informed(face, journal, wishes, machine).foreign((), looked_up)
        with candidate(output, "linked") as path:
            program = link(Saved(core), foreign, None, face.toolchain, machine, path)
            require_static(path, face.toolchain.target, machine.path)
            path.rename(output)
    except BadCore as error:
        if has_no_room(core.parent):
            raise DiskFull(path=core.parent) from error
        raise HalfSaved(output=output, reason=error.why_text) from error
    return Dumped(output, output.stat().st_size, linked_libraries(program, foreign))
