"""Which names objects and static libraries define: the raw material of every table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from monolisp.elf.reader import (
    STB_GLOBAL,
    STB_WEAK,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_TLS,
    STV_DEFAULT,
    Elf,
    Symbol,
    mapped,
)
from monolisp.linkage.archive import MAGIC, members


class Kind(StrEnum):
    """What a name stands for."""

    FUNCTION = "function"
    DATA = "data"


def names_in(path: Path) -> dict[str, Kind]:
    """Every name that the object or archive at `path` offers to a static link. Raises BadElf."""
    with mapped(path) as view:
        return dict(sorted(_names(view, str(path)).items()))


def _names(view: memoryview, path: str) -> dict[str, Kind]:
    if bytes(view[: len(MAGIC)]) != MAGIC:
        return _object_names(view, path)
    found: dict[str, Kind] = {}
    for member in members(view, path):
        if bytes(member.data[:4]) == b"\x7fELF":
            for name, kind in _object_names(member.data, f"{path}({member.name})").items():
                found.setdefault(name, kind)
    return found


def _object_names(view: memoryview, name: str) -> dict[str, Kind]:
    return {symbol.name: kind_of(symbol) for symbol in Elf.parse(view, name).symbols() if _offered(symbol)}


def _offered(symbol: Symbol) -> bool:
    """A definition that other objects may refer to. Hidden names that begin with an underscore are a library's own;
    zig hides the others too (memcpy, sin), though they are part of libc."""
    return (
        symbol.shndx != 0
        and symbol.bind in (STB_GLOBAL, STB_WEAK)
        and symbol.type != STT_TLS
        and bool(symbol.name)
        and (symbol.visibility == STV_DEFAULT or not symbol.name.startswith("_"))
    )


def kind_of(symbol: Symbol) -> Kind:
    return Kind.FUNCTION if symbol.type in (STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE) else Kind.DATA


def origin_of(name: str, providers: Mapping[str, Mapping[str, str]]) -> str | None:
    """The first of `providers` (in link order: label → names) that defines `name`: where the linker takes it from."""
    return next((label for label, names in providers.items() if name in names), None)
