"""What has to be shipped with an executable: every part, what its licence asks for, and the licence's text.

Texts come out of the sources that the program was built of, and from nowhere else; where none is found, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import BadArchive, MonolispError, SourceOffline, SourceUnavailable, ToolMissing, WrongChecksum
from monolisp.libraries.recipe import Cookbook
from monolisp.provenance.record import Provenance
from monolisp.sbom.duties import Duty, duties_of
from monolisp.sbom.licences import Licence
from monolisp.sbom.make import Facts, facts_of
from monolisp.sbom.origins import archive_of, pin_of
from monolisp.sbom.parts import ZIG_PACKAGE, Kind, Part, Subject, bill_of, brought, main_system
from monolisp.sbom.systems import find_system, texts_of_system
from monolisp.sbom.texts import Text, texts_in_archive, texts_in_package
from monolisp.toolchain.machine import Machine

_RULE = "=" * 78
# A source that cannot be had, or read: its text is missing, and the reason is told.
_FAILURES = (SourceOffline, SourceUnavailable, WrongChecksum, BadArchive, ToolMissing)


@dataclass(frozen=True)
class Entry:
    """A part with the texts of its licence; or why there are none. `remark` is something to know about the texts."""

    part: Part
    texts: tuple[Text, ...] = ()
    missing: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Notices:
    """What is shipped, and a line for each part whose text is missing."""

    text: str
    missing: tuple[str, ...]


def notices_of(path: Path, machine: Machine, directories: Sequence[Path], usual: Sequence[Path]) -> Notices:
    """The notices of the executable `path`. Sources are looked for in the store, in `directories`, and, those of
    systems, in the `usual` places; archives are fetched, if they are nowhere.

    Raises NoProvenance, DamagedProvenance, ForgedProvenance, NoSuchFile, Unreadable, BadElf.
    """
    facts = facts_of(path)
    search = Search(facts.record, machine, tuple(directories), tuple(usual))
    entries = [search.entry(part) for part in shipped(facts)]
    missing = tuple(f"{_titled(entry.part)}: {entry.missing}" for entry in entries if entry.missing)
    return Notices("\n".join(rendered(facts.record, path.name, entries)) + "\n", missing)


def shipped(facts: Facts) -> list[Part]:
    """The parts that are other people's: not the system that the program is."""
    bill = bill_of(facts.record, Subject(facts.name, facts.sha256, facts.compression))
    own = main_system(facts.record)
    return [part for part in bill.parts if part.kind is not Kind.SYSTEM or part.name.partition("/")[0] != own]


@dataclass(frozen=True)
class Search:
    """Where texts are looked for."""

    record: Provenance
    machine: Machine
    directories: tuple[Path, ...]
    usual: tuple[Path, ...]

    def entry(self, part: Part) -> Entry:
        if part.kind is Kind.SYSTEM:
            return self._system(part)
        if part.kind is Kind.ARCHIVE:
            return Entry(part, missing="it is an archive of yours, whose source is not known")
        if part.places:
            return self._sourced(part)
        return self._packaged(part)

    def _system(self, part: Part) -> Entry:
        told = next(system for system in self.record.systems if system.name == part.name)
        try:
            found = find_system(told, self.machine.store, self.directories, self.usual)
            texts = texts_of_system(found) if found else []
        except OSError as error:
            return Entry(part, missing=f"{error.filename}: {error.strerror}")
        if found is None:
            return Entry(part, missing="its source was not found here")
        if not texts:
            return Entry(part, missing="there is no file with a licence where its source is")
        remark = "" if found.same else "from a directory whose files are not, or not known to be, those in the program"
        return Entry(part, tuple(texts), remark=remark)

    def _sourced(self, part: Part) -> Entry:
        pin = pin_of(part.name, part.version, part.places, self.machine.store, Cookbook())
        if pin is None:
            return Entry(part, missing="this monolisp does not know where its source is")
        try:
            texts = texts_in_archive(archive_of(pin, self.machine, self.directories))
        except _FAILURES as error:
            return Entry(part, missing=_reason(error))
        missing = "" if texts else "there is no file with a licence in its source"
        return Entry(part, tuple(texts), missing)

    def _packaged(self, part: Part) -> Entry:
        row = brought().get(part.name)
        if row is None:
            return Entry(part, missing="the executable does not say where its source is")
        version = self.record.compiler.version if row["package"] == ZIG_PACKAGE else ""
        texts = texts_in_package(row["package"], version, row["texts"])
        missing = "" if texts else f"the Python package {row['package']} {version}".rstrip() + " is not installed"
        return Entry(part, tuple(texts), missing)


def _reason(error: MonolispError) -> str:
    return " ".join(f"{error.what_text} ({error.why_text})".split())


def rendered(record: Provenance, name: str, entries: Sequence[Entry]) -> Iterator[str]:
    """The notices, line by line."""
    yield f"{name} contains software of others, under the licences below."
    yield "What is inside is what the executable says of itself; the texts are from the sources that it was built of."
    yield from ("", "1. WHAT IS INSIDE", "")
    rows = [(entry.part.name, entry.part.version or "-", _said(entry.part.licence)) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield from ("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    yield from ("", "2. WHAT THESE LICENCES ASK OF WHOEVER SHIPS THE EXECUTABLE", "")
    yield "In short, with the section that says it; the texts count. This is no legal advice."
    yield from _asked(entries)
    yield from ("", "3. THE TEXTS")
    yield from _texts(entries)


def _asked(entries: Sequence[Entry]) -> Iterator[str]:
    by_duty: dict[Duty, list[Part]] = {}
    for entry in entries:
        for duty in duties_of(entry.part.licence.expression):
            by_duty.setdefault(duty, []).append(entry.part)
    for duty in sorted(by_duty, key=lambda duty: duty.name):
        yield from ("", duty.name, *_named(by_duty[duty]))
        yield from (f"  - {ask.place}: {ask.text}" for ask in duty.asks)
        if duty.served:
            yield f"  → {duty.served}"
    others = [entry.part for entry in entries if not duties_of(entry.part.licence.expression)]
    if others:
        yield from ("", "Others: read their texts", *_named(others))


def _named(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        choice = "  (one of several licences: you may choose)" if " OR " in part.licence.expression else ""
        yield f"  {_titled(part)}: {_said(part.licence)}{choice}"


def _texts(entries: Sequence[Entry]) -> Iterator[str]:
    printed: dict[str, str] = {}
    for entry in entries:
        yield from ("", _RULE, f"{_titled(entry.part)}: {_said(entry.part.licence)}", _RULE)
        if entry.remark:
            yield from ("", f"({entry.remark})")
        if entry.missing:
            yield from ("", f"NO TEXT: {entry.missing}.")
        for text in entry.texts:
            same = printed.setdefault(text.text, f"{text.name} of {_titled(entry.part)}")
            here = same == f"{text.name} of {_titled(entry.part)}"
            yield from ("", f"--- {text.name} ---", "", text.text if here else f"(the same text as {same})")


def _titled(part: Part) -> str:
    return f"{part.name} {part.version}".rstrip()


def _said(licence: Licence) -> str:
    """As it was declared, and in SPDX's words, if those are others."""
    if not licence.declared:
        return "licence not declared"
    if licence.expression in ("", licence.declared):
        return licence.declared
    return f"{licence.declared} ({licence.expression})"
