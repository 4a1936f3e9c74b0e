from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from monolisp.errors import (
    DiskFull,
    MonolispError,
    NoSuchFile,
    SourceOffline,
    SourceUnavailable,
    Truncated,
    WrongChecksum,
)
from monolisp.process import Command, Finished
from monolisp.progress import Progress
from monolisp.sources.fetch import FetchOptions, obtain
from monolisp.sources.pin import Pin, PlaceFailed, UpstreamPlace
from monolisp.store import Store

from .conftest import Notes

CONTENT = {"one": b"upstream's archive", "two": b"another packing"}
PLACES = tuple(
    UpstreamPlace(f"https://{name}.invalid/{name}.tar", f"{name}.tar", hashlib.sha256(text).hexdigest(), len(text))
    for name, text in CONTENT.items()
)
PIN = Pin("thing", "1.0", "MIT", PLACES)
Given = dict[str, bytes | Exception]


class Network:
    """Stands for the download: file name → its bytes, or what is raised."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.asked: list[str] = []

    def __call__(self, place: UpstreamPlace, into: Path, progress: Progress) -> None:
        del progress
        self.asked.append(place.file)
        given = self.given.get(place.file, PlaceFailed("HTTP 404 Not Found"))
        if isinstance(given, Exception):
            raise given
        if hashlib.sha256(given).hexdigest() != place.sha256:
            raise WrongChecksum(file=place.url, found="bad", expected=place.sha256)
        (into / place.file).write_bytes(given)


def no_process(command: Command, started: Callable[[int], None] | None = None) -> Finished:
    raise AssertionError(f"a process was started: {command}")


def call(store: Store, notes: Notes, network: Network, **options: object) -> Path:
    return obtain(PIN, store, FetchOptions(**options), no_process, notes, download=network)  # type: ignore[arg-type]


def empty(store: Store) -> bool:
    return not list((store.root / "sources").glob("*")) and not list((store.root / "building").glob("*"))


def test_the_first_place_and_then_the_store(store: Store, notes: Notes) -> None:
    network = Network({"one.tar": CONTENT["one"], "two.tar": CONTENT["two"]})
    path = call(store, notes, network)
    assert path == store.root / "sources" / PLACES[0].sha256 / "one.tar"
    assert path.read_bytes() == CONTENT["one"]
    assert call(store, notes, network, offline=True) == path
    assert network.asked == ["one.tar"]


def test_any_place_of_the_pin_counts_in_the_store(store: Store, notes: Notes) -> None:
    first = call(store, notes, Network({"two.tar": CONTENT["two"]}))
    assert call(store, notes, Network({})) == first
    assert first.name == "two.tar"


@pytest.mark.parametrize("damage", [b"", CONTENT["one"][:-1], CONTENT["one"][:-1] + b"X"])
def test_a_damaged_file_in_the_store_is_fetched_again(store: Store, notes: Notes, damage: bytes) -> None:
    network = Network({"one.tar": CONTENT["one"]})
    path = call(store, notes, network)
    path.write_bytes(damage)
    assert call(store, notes, network).read_bytes() == CONTENT["one"]
    assert network.asked == ["one.tar", "one.tar"]
    assert "damaged" in notes.texts[-1]


def test_a_place_that_fails_is_noted_and_the_next_is_tried(store: Store, notes: Notes) -> None:
    path = call(store, notes, Network({"two.tar": CONTENT["two"]}))
    assert path.name == "two.tar"
    assert notes.texts == ["https://one.invalid/one.tar: HTTP 404 Not Found"]


def test_what_every_place_said_is_reported_together(store: Store, notes: Notes) -> None:
    given: Given = {"two.tar": Truncated(url="https://two.invalid/two.tar", found=3, expected=15)}
    with pytest.raises(SourceUnavailable) as raised:
        call(store, notes, Network(given))
    text = str(raised.value)
    assert "thing 1.0 could not be had" in text
    assert "https://one.invalid/one.tar: HTTP 404 Not Found" in text
    assert "3 of 15 bytes arrived" in text
    assert "put one.tar or two.tar into a directory" in text
    assert empty(store)


def test_wrong_bytes_drop_the_place_only(store: Store, notes: Notes) -> None:
    path = call(store, notes, Network({"one.tar": b"evil", "two.tar": CONTENT["two"]}))
    assert path.name == "two.tar"
    assert "is not the pinned source" in notes.texts[0]


def test_wrong_bytes_are_the_error_when_nothing_else_is_left(store: Store, notes: Notes) -> None:
    with pytest.raises(WrongChecksum) as raised:
        call(store, notes, Network({"one.tar": b"evil"}))
    assert "https://one.invalid/one.tar" in raised.value.what_text
    assert PLACES[0].sha256 in raised.value.why_text
    assert empty(store)


def test_offline_names_what_it_would_have_fetched(store: Store, notes: Notes) -> None:
    network = Network({"one.tar": CONTENT["one"]})
    with pytest.raises(SourceOffline) as raised:
        call(store, notes, network, offline=True)
    assert "https://one.invalid/one.tar or https://two.invalid/two.tar" in raised.value.why_text
    assert network.asked == []


def test_a_full_disk_ends_it(store: Store, notes: Notes) -> None:
    network = Network({"one.tar": OSError(errno.ENOSPC, "No space left"), "two.tar": CONTENT["two"]})
    with pytest.raises(DiskFull):
        call(store, notes, network)
    assert network.asked == ["one.tar"]
    assert empty(store)


class TestSourceDirectory:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        path = tmp_path / "archives"
        path.mkdir()
        return path

    @pytest.mark.parametrize("name", ["one.tar", "whatever.bin"])
    def test_a_right_file_under_any_name(self, store: Store, notes: Notes, directory: Path, name: str) -> None:
        (directory / name).write_bytes(CONTENT["one"])
        path = call(store, notes, Network({}), source_dir=directory, offline=True)
        assert path == store.root / "sources" / PLACES[0].sha256 / "one.tar"
        shutil.rmtree(directory)
        assert path.read_bytes() == CONTENT["one"], "the store holds a copy"

    def test_the_store_comes_before_it(self, store: Store, notes: Notes, directory: Path) -> None:
        first = call(store, notes, Network({"one.tar": CONTENT["one"]}))
        (directory / "one.tar").write_bytes(b"wrong")
        assert call(store, notes, Network({}), source_dir=directory) == first

    def test_it_comes_before_the_network(self, store: Store, notes: Notes, directory: Path) -> None:
        (directory / "two.tar").write_bytes(CONTENT["two"])
        network = Network({"one.tar": CONTENT["one"]})
        assert call(store, notes, network, source_dir=directory).name == "two.tar"
        assert network.asked == []

    @pytest.mark.parametrize("wrong", [b"x", CONTENT["one"][:-1] + b"X"])
    def test_a_wrong_file_of_the_right_name(self, store: Store, notes: Notes, directory: Path, wrong: bytes) -> None:
        (directory / "one.tar").write_bytes(wrong)
        network = Network({"one.tar": CONTENT["one"]})
        with pytest.raises(WrongChecksum) as raised:
            call(store, notes, network, source_dir=directory)
        assert str(directory / "one.tar") in raised.value.what_text
        assert hashlib.sha256(wrong).hexdigest() in raised.value.why_text
        assert network.asked == []

    def test_a_right_file_beside_a_wrong_one(self, store: Store, notes: Notes, directory: Path) -> None:
        (directory / "one.tar").write_bytes(b"wrong")
        (directory / "two.tar").write_bytes(CONTENT["two"])
        assert call(store, notes, Network({}), source_dir=directory).name == "two.tar"

    def test_a_directory_without_it(self, store: Store, notes: Notes, directory: Path) -> None:
        (directory / "other.tar").write_bytes(b"x")
        (directory / "one.tar.d").mkdir()
        assert call(store, notes, Network({"one.tar": CONTENT["one"]}), source_dir=directory).name == "one.tar"

    def test_no_directory(self, store: Store, notes: Notes, directory: Path) -> None:
        with pytest.raises(NoSuchFile) as raised:
            call(store, notes, Network({}), source_dir=directory / "nowhere")
        assert raised.value.why_text == "--source-dir: No such file or directory"
        (directory / "file").write_bytes(b"")
        with pytest.raises(NoSuchFile, match="file"):
            call(store, notes, Network({}), source_dir=directory / "file")


def test_errors_of_a_place_fit_on_one_line(store: Store, notes: Notes) -> None:
    with pytest.raises(MonolispError):
        call(store, notes, Network({"one.tar": b"evil"}))
    assert all("\n" not in text for text in notes.texts)


def test_a_source_from_the_store_counts_as_used(store: Store, notes: Notes) -> None:
    """Pruning goes by it."""
    path = call(store, notes, Network({"one.tar": CONTENT["one"]}))
    week = int(time.time()) - 7 * 86400
    os.utime(path.parent, (week, week))
    assert call(store, notes, Network({})) == path
    assert time.time() - path.parent.stat().st_mtime < 60
