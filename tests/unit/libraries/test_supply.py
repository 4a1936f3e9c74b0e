from __future__ import annotations

from pathlib import Path

import pytest

from monolisp.errors import SymbolClash, UnlinkableArchive
from monolisp.libraries.supply import Supply, archive_supply, require_distinct
from monolisp.target import find_target

TARGET = find_target("x86_64-linux-musl")


def supply(label: str, *names: str) -> Supply:
    return Supply(label, (), dict.fromkeys(names, "function"), "")


def test_each_name_has_one_place() -> None:
    supplies = [supply("one", "a", "shared"), supply("two", "b", "shared")]
    require_distinct(["a", "b", "elsewhere"], supplies)
    with pytest.raises(SymbolClash, match="shared is defined by both one and two"):
        require_distinct(["a", "shared"], supplies)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0", "a shared library"),
        (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0", "a program"),
        (b"plain text", ""),
        (b"", ""),
        (b"!<arch>\nbroken", ""),
    ],
)
def test_what_cannot_be_linked(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "libx.a"
    path.write_bytes(content)
    with pytest.raises(UnlinkableArchive) as error:
        archive_supply(path, "x", (), TARGET)
    assert reason in error.value.why_text
    assert str(path) in error.value.what_text


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnlinkableArchive):
        archive_supply(tmp_path / "libx.a", "x", (), TARGET)
