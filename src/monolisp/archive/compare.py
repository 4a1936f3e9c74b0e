"""What two executables say of themselves, fact by fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monolisp.compare import Difference, differing
from monolisp.provenance.record import File, Library, Program, Provenance, System


def record_differences(before: Provenance, after: Provenance) -> list[Difference]:
    """Fact by fact, in the order of the record."""
    return differing(dict(facts(before)), dict(facts(after)))


def facts(record: Provenance) -> Iterator[tuple[str, str]]:
    """A record as lines: what is said, and of what. Two records with the same lines are the same."""
    yield "monolisp: version", record.monolisp.version
    yield "monolisp: source", record.monolisp.source
    yield "target", record.target
    yield "SBCL: version", record.sbcl.spec
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
