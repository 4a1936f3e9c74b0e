"""`monolisp linkage`: what an executable or core calls in C, and where each name is defined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from monolisp.elf.layout import MAGIC
from monolisp.elf.reader import open_elf
from monolisp.errors import BadCore
from monolisp.link.program import LINKAGE_SECTION
from monolisp.linkage.names import Kind
from monolisp.linkage.table import Linked
from monolisp.lisp.corefile import linkage_of, tells_linkage

NOWHERE = "nowhere"
NOT_LINKED = "not linked yet"


def listing(path: Path) -> list[tuple[Linked, str]]:
    """The linkage table of `path` in SBCL's order, each entry with the place that defines it. Raises BadCore, BadElf,
    NoSuchFile, Unreadable.

    The names come from the core itself, the places from what the link recorded; both must agree. An older SBCL's core
    does not tell its names: then the record stands alone.
    """
    told = tells_linkage(path)
    recorded = _recorded(path)
    if recorded is not None and not told:
        return [(entry, entry.origin or NOWHERE) for entry in recorded]
    names = linkage_of(path)
    if recorded is None:
        return [(Linked(entry.name, entry.kind, None), NOT_LINKED) for entry in names]
    if [(entry.name, entry.kind) for entry in names] != [(entry.name, entry.kind) for entry in recorded]:
        raise BadCore(file=path, reason=f"its core and its section {LINKAGE_SECTION} do not agree: was it changed?")
    return [(entry, entry.origin or NOWHERE) for entry in recorded]


def _recorded(path: Path) -> list[Linked] | None:
    with path.open("rb") as stream:
        if stream.read(4) != MAGIC:
            return None
    with open_elf(path) as elf:
        section = elf.section(LINKAGE_SECTION)
        content = bytes(elf.section_data(section)) if section else None
    if content is None:
        return None
    try:
        return [Linked(name, Kind(kind), origin) for name, kind, origin in json.loads(content)]
    except (ValueError, TypeError) as error:
        raise BadCore(file=path, reason=f"its section {LINKAGE_SECTION} is damaged") from error


def as_table(rows: Sequence[tuple[Linked, str]]) -> str:
    """Index, name, kind, place: one line each."""
    width = max((len(entry.name) for entry, _ in rows), default=0)
    lines = [f"{index:5}  {entry.name:<{width}}  {entry.kind:<8}  {place}" for index, (entry, place) in enumerate(rows)]
    return "\n".join(lines)


def as_json(rows: Sequence[tuple[Linked, str]]) -> dict[str, object]:
    entries = [{"name": entry.name, "kind": str(entry.kind), "defined": place} for entry, place in rows]
    return {"schema": "monolisp-linkage-1", "entries": entries}
