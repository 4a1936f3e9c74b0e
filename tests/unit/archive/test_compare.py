"""What differs between two records, and two files."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from monolisp.archive.compare import record_differences
from monolisp.compare import section_differences
from monolisp.provenance.record import (
    Archive,
    Compiler,
    File,
    Library,
    Maker,
    Program,
    Provenance,
    Sbcl,
    System,
)
from tests.unit.elf.making import Sec, make_elf

FULL = Provenance(
    monolisp=Maker("0.1.0", "s"),
    program=Program(
        "app",
        "script",
        ("app.lisp",),
        "APP::MAIN",
        {"heap": "4GiB"},
        ("eval (print 1)",),
        ("F",),
        ("M",),
        *((File(name, "1"),) for name in ("file", "embedded", "lock")),
        "r",
        *((File(name, "1"),) for name in ("archive", "header", "recipe")),
        "c",
    ),
    target="x86_64-linux-musl",
    sbcl=Sbcl("2.6.4", ("+sb-safepoint",), "MIT", (Archive("place", "sum"),), "t", "c"),
    compiler=Compiler("zig", "0.14.1", "musl", "1.2.5", "MIT"),
    libraries=(Library("zlib", "1.3.1", "Zlib", "r", (Archive("place", "sum"),), ("libz.so.1",), "a"),),
    systems=(System("cl-ppcre", "2.1", "BSD", "Edi", "tree", "rev"),),
    epoch=7,
)


def changes(value: Any) -> list[Any]:
    """`value` with each thing in it changed, one at a time."""
    if is_dataclass(value) and not isinstance(value, type):
        return [
            replace(value, **{item.name: one}) for item in fields(value) for one in changes(getattr(value, item.name))
        ]
    if isinstance(value, tuple):
        return [(), *((one,) for one in changes(value[0]))]
    if isinstance(value, dict):
        return [{}, *({name: other} for name, text in value.items() for other in changes(text))]
    return [value + 1] if isinstance(value, int) else [f"{value}-changed"]


def test_the_same() -> None:
    assert record_differences(FULL, FULL) == []


@pytest.mark.parametrize("changed", changes(FULL))
def test_everything_in_a_record_counts(changed: Provenance) -> None:
    assert record_differences(FULL, changed)


def test_order_counts() -> None:
    two = replace(FULL, libraries=(*FULL.libraries, Library("lz4")))
    (difference,) = record_differences(two, replace(two, libraries=two.libraries[::-1]))
    assert str(difference) == "libraries: order: zlib lz4 → lz4 zlib"


def test_it_is_told_which() -> None:
    other = replace(FULL, systems=(replace(FULL.systems[0], source="other"), System("more", source="x")))
    told = [str(one) for one in record_differences(FULL, other)]
    assert "system cl-ppcre: source: tree → other" in told
    assert "system more: source: (nothing) → x" in told


def test_sections(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(make_elf(sections=[Sec(".text", data=b"code"), Sec(".data", data=b"1"), Sec(".data", data=b"2")]))
    two.write_bytes(make_elf(sections=[Sec(".text", data=b"code"), Sec(".data", data=b"1"), Sec(".data", data=b"333")]))
    assert section_differences(one, one) == []
    (difference,) = section_differences(one, two)
    assert difference.what == "section .data #2"
    assert difference.before.startswith("1 bytes")
    assert difference.after.startswith("3 bytes")
