"""From an executable to documents about it: its record is read, compared with the file, and written in a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from monolisp.errors import BadCore, NoSuchSbcl, SbomExtraMissing
from monolisp.inputs import BESIDE
from monolisp.lisp.corefile import is_compressed
from monolisp.provenance.note import intact
from monolisp.provenance.record import Archive, Library, Provenance
from monolisp.publish import write_beside
from monolisp.store import sha256_file

if TYPE_CHECKING:
    from monolisp.sbom.parts import Bill

# The compressor of cores comes with the toolchain, unless the program has the library of that name itself.
COMPRESSION = "zstd"


class Format(StrEnum):
    """The formats that are written."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"

    @property
    def suffix(self) -> str:
        """What follows the executable's name. Source: CycloneDX, "Recognized file patterns"; SPDX likewise."""
        return BESIDE[self.value]


@dataclass(frozen=True)
class Facts:
    """What an executable says of itself, the file's sha256, and what compresses its core, if it is linked in."""

    record: Provenance
    name: str
    sha256: str
    compression: Library | None


def facts_of(path: Path) -> Facts:
    """Read `path`. Raises NoProvenance, DamagedProvenance, ForgedProvenance, NoSuchFile, Unreadable, BadElf."""
    record = intact(path)
    return Facts(record, path.name, sha256_file(path), compression_in(record, path))


def sbom_of(path: Path, form: Format) -> bytes:
    """The SBOM of the executable `path`. Raises as facts_of, and SbomExtraMissing."""
    facts = facts_of(path)
    parts = extra("parts")
    bill: Bill = parts.bill_of(facts.record, parts.Subject(facts.name, facts.sha256, facts.compression))
    write: Callable[[Bill], bytes] = getattr(extra(form.value), f"{form.value}_of")
    return write(bill)


def write_sbom(path: Path, form: Format) -> Path:
    """Write the SBOM of the executable `path` beside it; returns where. Raises as sbom_of and write_beside."""
    output = path.with_name(path.name + form.suffix)
    return write_beside(sbom_of(path, form), output, "sbom", path)


def extra(module: str) -> ModuleType:
    """A module of this room that needs the extra `sbom`. Raises SbomExtraMissing."""
    try:
        return import_module(f"monolisp.sbom.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("monolisp"):
            raise
        raise SbomExtraMissing(module=error.name) from error


def compression_in(record: Provenance, path: Path) -> Library | None:
    """The zstd that was linked because the core is compressed. Which version that was is known if the toolchain is one
    of this monolisp's."""
    if any(library.name == COMPRESSION for library in record.libraries) or not _compressed(path):
        return None
    from monolisp.target import find_target, targets
    from monolisp.toolchain.compression import zstd_pin
    from monolisp.toolchain.toolchain import toolchain_digest

    pin = zstd_pin()
    if record.target in targets():
        try:
            spec = record.sbcl.spec
            if toolchain_digest(spec, find_target(record.target)) == record.sbcl.toolchain:
                sources = tuple(Archive(str(place), place.sha256) for place in pin.places)
                return Library(COMPRESSION, pin.version, pin.licence, sources=sources)
        except NoSuchSbcl:
            pass
    return Library(COMPRESSION, "", pin.licence)


def _compressed(path: Path) -> bool:
    """An executable without a core of SBCL's is compressed by nothing."""
    try:
        return is_compressed(path)
    except BadCore:
        return False
