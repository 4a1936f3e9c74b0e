"""From a provenance record to the parts of a program: names, versions, licences, purls, hashes, and what needs what.

purls: docs/sbom.md says why each has its type. Source: the purl specification and its types generic and pypi.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packageurl import PackageURL

from monolisp.provenance.record import SYSTEM, Archive, Library, Provenance, System
from monolisp.sbom.licences import UNDECLARED, Licence, licence_of

ZIG_PACKAGE, C_LIBRARY_RUNTIME, CXX = "ziglang", "compiler-rt", "libcxx"


class Kind(StrEnum):
    """What a part is; the value begins its name in documents."""

    PROGRAM = "program"
    TOOL = "tool"
    LISP = "lisp"
    LIBRARY = "library"
    ARCHIVE = "archive"
    SYSTEM = "system"
    PACKAGE = "package"


# What a part's sha256 is the hash of.
HASHED = {
    Kind.PROGRAM: "the executable",
    Kind.LISP: "the source archive",
    Kind.LIBRARY: "the source archive",
    Kind.ARCHIVE: "the static archive that was linked",
    Kind.SYSTEM: "the lines that sha256sum prints for the system's files, sorted by path",
    Kind.PACKAGE: "",
    Kind.TOOL: "",
}


@dataclass(frozen=True)
class Part:
    """One thing inside a program, or that made it. `sha256` is of what HASHED says, "" when it is not known; `places`
    are where its source can be had; `revision` is git's."""

    kind: Kind
    name: str
    version: str = ""
    licence: Licence = UNDECLARED
    purl: str = ""
    sha256: str = ""
    places: tuple[Archive, ...] = ()
    author: str = ""
    revision: str = ""

    @property
    def ref(self) -> str:
        """Its name in documents; two archives of a user's may have the same file name."""
        return f"{self.kind}/{self.name}" + (f"/{self.sha256[:12]}" if self.kind is Kind.ARCHIVE else "")

    @property
    def address(self) -> str:
        """Where its source can be downloaded; "" when that is not known."""
        return next((place.place for place in self.places if place.place.startswith("http")), "")


@dataclass(frozen=True)
class Subject:
    """The file that a record is of: its sha256, and what compresses its core, if it is linked in for that alone."""

    name: str
    sha256: str
    compression: Library | None = None


@dataclass(frozen=True)
class Bill:
    """A program, what made it, what is in it, and which of these parts need which, by `ref`."""

    program: Part
    tools: tuple[Part, ...]
    parts: tuple[Part, ...]
    needs: Mapping[str, tuple[str, ...]]
    target: str
    epoch: int


def bill_of(record: Provenance, subject: Subject) -> Bill:
    """Everything that `record` says, as parts sorted by kind and name."""
    libraries = [*record.libraries, *([subject.compression] if subject.compression else [])]
    foreign = [_library(library, record) for library in libraries]
    lisp = _sbcl(record)
    libc = _brought("musl", record.compiler.libc_version, Kind.LIBRARY, record.compiler.libc_licence)
    runtime = _brought(C_LIBRARY_RUNTIME, record.compiler.version, Kind.LIBRARY)
    ours = _brought("monolisp", record.monolisp.version, Kind.PACKAGE)
    parts = [lisp, libc, runtime, ours, *foreign, *map(_system, record.systems)]
    if record.program.options.get("embed-ca") == "true":
        parts.append(_brought("certifi", "", Kind.PACKAGE))
    ordered = tuple(sorted(parts, key=lambda part: part.ref))
    program = _program(record, subject)
    base = (libc.ref, runtime.ref)
    needs: dict[str, tuple[str, ...]] = {part.ref: base for part in (lisp, *foreign) if part.kind is not Kind.ARCHIVE}
    if subject.compression:
        needs[lisp.ref] = (*base, f"{Kind.LIBRARY}/{subject.compression.name}")
    needs[program.ref] = tuple(part.ref for part in ordered)
    tools = (_tool("monolisp", record.monolisp.version), _tool(ZIG_PACKAGE, record.compiler.version))
    return Bill(program, tools, ordered, needs, record.target, record.epoch)


def main_system(record: Provenance) -> str:
    """The name of the system that the program is; "" if it is none."""
    return record.program.inputs[0] if record.program.kind == SYSTEM and record.program.inputs else ""


@cache
def brought() -> Mapping[str, Mapping[str, Any]]:
    """The rows of parts.toml."""
    return tomllib.loads((Path(__file__).parent / "parts.toml").read_text(encoding="utf-8"))


def _program(record: Provenance, subject: Subject) -> Part:
    main = next((system for system in record.systems if system.name == main_system(record)), System(""))
    name = record.program.name or subject.name
    purl = _generic(name, main.version, checksum=subject.sha256)
    licence = licence_of(main.licence)
    revision = main.revision or record.program.revision
    return Part(Kind.PROGRAM, name, main.version, licence, purl, subject.sha256, (), main.author, revision)


def _tool(name: str, version: str) -> Part:
    row = brought().get(name, {"licence": "MIT"})
    purl = PackageURL("pypi", None, name, version or None).to_string()
    return Part(Kind.TOOL, name, version, licence_of(row["licence"]), purl)


def _brought(name: str, version: str, kind: Kind, licence: str = "") -> Part:
    """What comes with zig or as a Python package."""
    row = brought()[name]
    licence = licence or row.get("licence", "")
    if name == "musl":
        purl = _generic(name, version)
    elif kind is Kind.PACKAGE:
        purl = PackageURL("pypi", None, name, version or None).to_string()
    else:
        folder = row["texts"][0].rpartition("/")[0] or "lib/compiler_rt"
        purl = PackageURL("pypi", None, row["package"], version or None, None, folder).to_string()
    return Part(kind, name, version, licence_of(licence), purl)


def _sbcl(record: Provenance) -> Part:
    sbcl = record.sbcl
    return _sourced(Kind.LISP, "sbcl", sbcl.version, sbcl.licence, sbcl.sources)


def _library(library: Library, record: Provenance) -> Part:
    if library.archive:
        purl = _generic(library.name, "", checksum=library.archive)
        return Part(Kind.ARCHIVE, library.name, "", licence_of(library.licence), purl, library.archive)
    if library.name == CXX and not library.sources:
        return _brought(CXX, record.compiler.version, Kind.LIBRARY)
    return _sourced(Kind.LIBRARY, library.name, library.version, library.licence, library.sources)


def _sourced(kind: Kind, name: str, version: str, licence: str, places: Sequence[Archive]) -> Part:
    """A part that was built of an archive: that of its first place counts, those elsewhere hold the same program."""
    ordered = sorted(places, key=lambda place: not place.place.startswith("http"))
    first = ordered[0] if ordered else Archive("", "")
    address = first.place if first.place.startswith("http") else ""
    purl = _generic(name, version, checksum=first.sha256, download_url=address)
    return Part(kind, name, version, licence_of(licence), purl, first.sha256, tuple(ordered))


def _system(system: System) -> Part:
    purl = _generic(system.name, system.version, "asdf")
    return Part(
        kind=Kind.SYSTEM,
        name=system.name,
        version=system.version,
        licence=licence_of(system.licence),
        purl=purl,
        sha256=system.source,
        author=system.author,
        revision=system.revision,
    )


def _generic(name: str, version: str, namespace: str = "", checksum: str = "", download_url: str = "") -> str:
    # A name of blanks and slashes alone would be none to a purl.
    name = name if name.strip().strip("/").strip() else quote(name, safe="")
    told = {"checksum": checksum and f"sha256:{checksum}", "download_url": download_url}
    qualifiers = {key: value for key, value in told.items() if value}
    return PackageURL("generic", namespace or None, name, version or None, qualifiers or None).to_string()
