from __future__ import annotations

import os
from pathlib import Path

import pytest

from monolisp.errors import StoreBusy
from monolisp.store import Store
from monolisp.store.care import damages, every_entry, parse_size, prune, summary


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three entries of 1000 bytes, last used in the order of their names, and something in an area."""
    store = Store(tmp_path / "store").prepare()
    for number, digest in enumerate(("a" * 32, "b" * 32, "c" * 32), 1):
        path = store.entry("libraries", digest, lambda folder: (folder / "x").write_bytes(b"x" * 1000))
        os.utime(path, (number * 1000, number * 1000))
    (store.area("logs") / "log").write_bytes(b"y" * 500)
    return store


def test_summary(store: Store) -> None:
    found = {kind.name: (kind.count, kind.size >= 500) for kind in summary(store)}
    assert found == {"libraries": (3, True), "logs": (1, True)}


def test_verify_finds_what_was_changed(store: Store) -> None:
    (store.root / "libraries" / ("b" * 32) / "x").write_bytes(b"z" * 1000)
    found = [damage for _, damage in damages(every_entry(store)) if damage is not None]
    assert [(damage.entry.digest, damage.faults) for damage in found] == [("b" * 32, ("x was changed",))]


def test_prune_lets_go_what_was_not_used_for_longest(store: Store) -> None:
    gone = prune(store, 2900)
    assert [entry.digest for entry in gone] == ["a" * 32]
    assert not store.has("libraries", "a" * 32)
    assert store.has("libraries", "b" * 32)


def test_prune_of_all(store: Store) -> None:
    assert {entry.kind for entry in prune(store, 0)} == {"libraries", "logs"}
    assert every_entry(store) == []


def test_a_time_still_to_come_does_not_keep_an_entry(store: Store) -> None:
    os.utime(store.root / "libraries" / ("a" * 32), (1 << 40, 1 << 40))
    assert len(prune(store, 0)) == 4


def test_nothing_is_taken_from_under_a_build(store: Store) -> None:
    with store.workspace(), pytest.raises(StoreBusy) as raised:
        prune(store, 0)
    assert str(os.getpid()) in raised.value.why_text
    assert len(every_entry(store)) == 3


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10GB", 10**10), ("1.5 GiB", 3 << 29), ("512mib", 512 << 20), ("7", 7), ("2TB", 2 * 10**12)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1GBGB", "nan", "1e30", "ten"])
def test_no_sizes(text: str) -> None:
    assert parse_size(text) is None
