"""Provenance for people: what `monolisp inspect` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monolisp.provenance.note import Inspected
from monolisp.provenance.record import File, Library, Program, System

_SHOWN = 12


def as_table(name: str, inspected: Inspected) -> str:
    """One line for each fact: what it is, then the fact, with names, versions and licences under each other."""
    told = inspected.provenance
    sbcl = told.sbcl.spec
    rows = [
        ("monolisp", f"{told.monolisp.version}  {told.monolisp.source[:12]}"),
        ("SBCL", f"{sbcl}  {told.sbcl.licence}"),
        ("target", told.target),
        ("compiler", f"{told.compiler.name} {told.compiler.version}"),
        ("libc", f"{told.compiler.libc} {told.compiler.libc_version}  {told.compiler.libc_licence}"),
        *_program(told.program),
        *(("library", row) for row in _columns(map(_library, told.libraries))),
        *(("system", row) for row in _columns(map(_system, told.systems))),
        ("intact", "yes" if inspected.sealed else "NO: the file was changed after it was built"),
    ]
    return "\n".join([name, *(f"  {label:<9} {text}".rstrip() for label, text in rows)])


def _program(program: Program) -> Iterator[tuple[str, str]]:
    yield "program", f"{program.name}  ({' '.join([program.kind, *program.inputs])})"
    if program.entry:
        yield "entry", program.entry
    if program.revision:
        yield "revision", program.revision
    for label, values in (("before", program.before), ("modules", program.modules)):
        if values:
            yield label, " ".join(values)
    for name, value in program.options.items():
        yield "option", f"{name} = {value}"
    for label, files in (("file", program.files), ("embedded", program.embedded), ("lock", program.locks)):
        for row in _columns(map(_file, files[:_SHOWN])):
            yield label, row
        if len(files) > _SHOWN:
            yield label, f"… and {len(files) - _SHOWN} more (--json)"


def _file(file: File) -> tuple[str, ...]:
    return file.name, f"sha256:{file.sha256[:12]}"


def _library(library: Library) -> tuple[str, ...]:
    made_of = f"recipe:{library.recipe[:12]}" if library.recipe else f"sha256:{library.archive[:12]}"
    return library.name, library.version or "-", library.licence or "-", made_of


def _system(system: System) -> tuple[str, ...]:
    revision = f"git:{system.revision[:12]}" if system.revision else ""
    return system.name, system.version or "-", system.licence or "-", f"tree:{system.source[:12]}", revision


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
