"""A few of the inputs of `make fuzz`, the same every time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monolisp.errors import DamagedProvenance
from tests.fuzz import DEADLINE, READERS, Reader, TooSlow, feed, within


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_only_documented_errors_come_out(reader: Reader, tmp_path: Path) -> None:
    tally = feed(reader, 4 * reader.share, 1, tmp_path / "input")
    assert tally.count >= 4 * reader.share
    assert tally.slowest < DEADLINE


def test_every_reader_takes_its_seeds_and_all_shares_are_a_whole(tmp_path: Path) -> None:
    assert sum(reader.share for reader in READERS) == 100
    for reader in READERS:
        reader.act(reader.seeds()[0], tmp_path / "input")


def failing(error: BaseException) -> Reader:
    def act(content: bytes, place: Path) -> None:
        raise error

    return Reader("failing", 1, lambda: [b"seed"], act)


def test_what_crashes_is_found(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        feed(failing(IndexError()), 10, 1, tmp_path)
    assert feed(failing(DamagedProvenance(file="a", reason="b")), 10, 1, tmp_path).refused == {"DamagedProvenance": 10}


def test_what_hangs_is_found() -> None:
    with pytest.raises(TooSlow), within(0.05):
        time.sleep(5)
