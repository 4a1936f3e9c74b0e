"""What the clerk does: answer a question about a library, and make an executable of a core that was dumped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    from monolisp.link.link import Notes
    from monolisp.link.program import Program

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
    from monolisp.provenance.note import sealing

    looked_up = sorted({line[1] for line in journal if line[0] == _EXPORT})
    asked = any(line[0] != _EXPORT for line in journal)
    try:
        check_output(output, ())
        foreign = Foreign(looked_up=tuple(looked_up))
        if asked or wishes != Wishes():
            foreign = _informed(face, journal, wishes, machine).foreign((), looked_up)
        with candidate(output, "linked") as path:
            notes = _describing(face, foreign, output, wishes)
            program = link(Saved(core), foreign, None, face.toolchain, machine, path, notes)
            with sealing(path):
                require_static(path, face.toolchain.target, machine.path)
            path.rename(output)
    except BadCore as error:
        if has_no_room(core.parent):
            raise DiskFull(path=core.parent) from error
        raise HalfSaved(output=output, reason=error.why_text) from error
    libraries = {supply.label: names for supply, names in linked_libraries(program, foreign)}
    return Dumped(output, output.stat().st_size, libraries)


def _describing(face: Face, foreign: Foreign, output: Path, wishes: Wishes) -> Notes:
    """What a dump says of itself: how its Lisp was loaded is not known, what it was made with is."""

    def notes(program: Program) -> dict[str, bytes]:
        from monolisp.libraries.recipe import Cookbook
        from monolisp.link.program import linked_libraries
        from monolisp.provenance.gather import made_with
        from monolisp.provenance.note import SECTION, section
        from monolisp.provenance.own import own_texts
        from monolisp.provenance.record import DUMP
        from monolisp.provenance.record import Program as Facts

        told = made_with(own_texts(), face.toolchain, linked_libraries(program, foreign), Cookbook(wishes.folders))
        return {SECTION: section(replace(told, program=Facts(name=output.name, kind=DUMP)))}

    return notes
