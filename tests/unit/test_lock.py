from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.errors import BadLock, LockMismatch
from monolisp.libraries.locking import keep_lock, locked_recipes
from monolisp.libraries.recipe import Cookbook
from monolisp.libraries.supply import Supply
from monolisp.lock import Locked, lock_text, parse_lock, read_lock

BOOK = Cookbook()
NAME = st.from_regex(r"[a-z][a-z0-9+_-]{0,12}", fullmatch=True)
SHA = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
ROW = st.builds(
    Locked,
    NAME,
    st.from_regex(r"[0-9][0-9.]{0,8}", fullmatch=True),
    st.lists(SHA, max_size=3).map(tuple),
    st.sets(st.text(max_size=5), max_size=3).map(lambda names: tuple(sorted(names))),
)


@given(st.lists(ROW, max_size=6, unique_by=lambda row: row.name))
def test_what_is_written_is_read(rows: list[Locked]) -> None:
    text = lock_text(rows)
    assert parse_lock(text, "lock") == {row.name: row for row in rows}
    assert lock_text(list(reversed(rows))) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "format = 2",
        "format = 1\nlibrary = 3",
        "format = 1\n[[library]]\nname = 'a'",
        "format = 1\n[[library]]\nname = 'a'\nversion = '1'\nsha256 = 'x'\nprograms = []",
        "format = 1\n[[library]]\nname = 'a'\nversion = 1\nsha256 = []\nprograms = []",
        "format = 1\n[[library]]\nname = 'a'\nversion = '1'\nsha256 = []\nprograms = []\nmore = 1",
        "not TOML",
    ],
)
def test_what_is_no_lock(text: str) -> None:
    with pytest.raises(BadLock):
        parse_lock(text, "lock")


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    with contextlib.suppress(BadLock):
        parse_lock(text, "lock")


def test_no_file_is_an_empty_lock(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "monolisp.lock") == {}


def supply(name: str) -> Supply:
    return Supply(name, (), {}, "", recipe=name)


def test_a_lock_grows(tmp_path: Path) -> None:
    path = tmp_path / "monolisp.lock"
    keep_lock(path, {}, "one", BOOK, [supply("lz4")])
    keep_lock(path, read_lock(path), "two", BOOK, [supply("zlib"), supply("lz4")])
    lock = read_lock(path)
    assert locked_recipes(lock, "one", BOOK, path) == ["lz4"]
    assert locked_recipes(lock, "two", BOOK, path) == ["lz4", "zlib"]
    assert locked_recipes(lock, "three", BOOK, path) == []
    keep_lock(path, lock, "two", BOOK, [supply("lz4")])
    assert {name: locked.programs for name, locked in read_lock(path).items()} == {"lz4": ("one", "two")}
    assert [item.name for item in tmp_path.iterdir()] == ["monolisp.lock"]


def test_without_recipes_there_is_none(tmp_path: Path) -> None:
    keep_lock(tmp_path / "monolisp.lock", {}, "one", BOOK, [Supply("own", (), {}, "")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("locked", "reason"),
    [
        (Locked("lz4", "0.1", ()), "has lz4 "),
        (Locked("lz4", "{version}", ("0" * 64,)), "another checksum"),
        (Locked("nothing", "1", ()), "no such recipe"),
    ],
)
def test_a_lock_that_does_not_fit(locked: Locked, reason: str) -> None:
    version = locked.version.replace("{version}", BOOK.find("lz4").version)
    with pytest.raises(LockMismatch) as error:
        row = Locked(locked.name, version, locked.sha256, ("one",))
        locked_recipes({locked.name: row}, "one", BOOK, Path("lock"))
    assert reason in error.value.why_text
