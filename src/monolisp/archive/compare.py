"""What differs between two executables: what they say of themselves first, then their sections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monolisp.elf.layout import SHT_NOBITS
from monolisp.elf.reader import open_elf
from monolisp.provenance.record import File, Library, Program, Provenance, System

_NONE = "(nothing)"
_LONGEST = 100
_PIECE = 1 << 20


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what, as it was, as it is."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {_short(self.before)} → {_short(self.after)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def record_differences(before: Provenance, after: Provenance) -> list[Difference]:
    """Fact by fact, in the order of the record."""
    return _differing(dict(facts(before)), dict(facts(after)))


def section_differences(before: Path, after: Path) -> list[Difference]:
    """Section by section: size in bytes and the beginning of the sha256."""
    return _differing(_sections(before), _sections(after))


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    pairs = [(name, before.get(name, _NONE), after.get(name, _NONE)) for name in {**before, **after}]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def facts(record: Provenance) -> Iterator[tuple[str, str]]:
    """A record as lines: what is said, and of what. Two records with the same lines are the same."""
    yield "monolisp: version", record.monolisp.version
    yield "monolisp: source", record.monolisp.source
    yield "target", record.target
    yield "SBCL: version", " ".join([record.sbcl.version, *record.sbcl.features])
    yield "SBCL: licence", record.sbcl.licence
    yield "SBCL: archives", " ".join(archive.sha256 for archive in record.sbcl.sources)
    yield "SBCL: places", " ".join(archive.place for archive in record.sbcl.sources)
    yield "SBCL: toolchain", record.sbcl.toolchain
    yield "SBCL: core", record.sbcl.core
    compiler = record.compiler
    yield "compiler", f"{compiler.name} {compiler.version}"
    yield "libc", f"{compiler.libc} {compiler.libc_version} ({compiler.libc_licence})"
    for library in record.libraries:
        yield from _library(library)
    yield "libraries: order", " ".join(library.name for library in record.libraries)
    for system in record.systems:
        yield from _system(system)
    yield from _program(record.program)
    yield "SOURCE_DATE_EPOCH", str(record.epoch)


def _library(library: Library) -> Iterator[tuple[str, str]]:
    label = f"library {library.name}"
    yield f"{label}: version", library.version
    yield f"{label}: licence", library.licence
    yield f"{label}: recipe", library.recipe
    yield f"{label}: archives", " ".join([library.archive, *(archive.sha256 for archive in library.sources)]).strip()
    yield f"{label}: places", " ".join(archive.place for archive in library.sources)
    yield f"{label}: names", " ".join(library.names)


def _system(system: System) -> Iterator[tuple[str, str]]:
    label = f"system {system.name}"
    yield f"{label}: version", system.version
    yield f"{label}: licence", system.licence
    yield f"{label}: author", system.author
    yield f"{label}: source", system.source
    yield f"{label}: revision", system.revision


def _program(program: Program) -> Iterator[tuple[str, str]]:
    yield "program", " ".join([program.name, program.kind, *program.inputs])
    yield "entry", program.entry
    yield "revision", program.revision
    yield "options: order", " ".join(program.options)
    yield from ((f"option {name}", value) for name, value in program.options.items())
    yield from ((f"step {number} before", text) for number, text in enumerate(program.before, 1))
    yield "*features*", " ".join(program.features)
    yield "modules", " ".join(program.modules)
    yield "certificates", program.certificates
    groups: Mapping[str, tuple[File, ...]] = {
        "file": program.files,
        "embedded": program.embedded,
        "lock": program.locks,
        "archive": program.archives,
        "header": program.headers,
        "recipe": program.recipes,
    }
    for label, files in groups.items():
        yield f"{label}s: order", " ".join(file.name for file in files)
        yield from ((f"{label} {file.name}", file.sha256) for file in files)


def _sections(path: Path) -> dict[str, str]:
    """Name → size and sha256; a name that comes again is numbered."""
    with open_elf(path) as elf:
        parts = [(part.name, part.offset, 0 if part.type == SHT_NOBITS else part.size) for part in elf.sections]
    found: dict[str, str] = {}
    with path.open("rb") as stream:
        for name, offset, size in parts:
            stream.seek(offset)
            digest, left = hashlib.sha256(), size
            while left and (piece := stream.read(min(left, _PIECE))):
                digest.update(piece)
                left -= len(piece)
            again = sum(1 for known in found if known.partition(" #")[0] == f"section {name}")
            label = f"section {name}" + (f" #{again + 1}" if again else "")
            found[label] = f"{size} bytes, sha256:{digest.hexdigest()[:12]}"
    return found
