"""Finding files by name and by sha256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from monolisp.archive.places import Places, files_below
from monolisp.errors import NoSuchFile
from monolisp.provenance.record import File
from monolisp.sources.pin import LocalPlace, UpstreamPlace


def file(name: str, content: bytes) -> File:
    return File(name, hashlib.sha256(content).hexdigest())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in {"a.lisp": b"new", "old/a.lisp": b"old", "deep/er/moved": b"moved", ".git/x": b"git"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_by_its_name_first(tree: Path) -> None:
    (tree / "deep" / "copy").write_bytes(b"new")
    assert Places((tree,)).find(file("a.lisp", b"new")) == tree / "a.lisp"


def test_by_its_last_name(tree: Path) -> None:
    assert Places((tree,)).find(file("lib/a.lisp", b"old")) == tree / "old/a.lisp"


def test_by_its_content(tree: Path) -> None:
    assert Places((tree,)).find(file("b.lisp", b"moved")) == tree / "deep/er/moved"


def test_what_is_not_there(tree: Path) -> None:
    assert Places((tree,)).find(file("a.lisp", b"lost")) is None
    assert Places((tree,)).changed(file("a.lisp", b"lost")) == tree / "a.lisp"
    assert Places((tree,)).changed(file("c.lisp", b"lost")) is None
    assert Places().find(file("a.lisp", b"new")) is None


def test_what_version_control_keeps_is_not_looked_at(tree: Path) -> None:
    assert Places((tree,)).find(file("x", b"git")) is None


def test_the_directory_one_is_in_counts_by_names_only(tree: Path) -> None:
    places = Places((), tree)
    assert places.find(file("a.lisp", b"new")) == tree / "a.lisp"
    assert places.find(file("moved", b"moved")) is None


def test_what_cannot_be_looked_at_is_passed_over(tree: Path) -> None:
    (tree / "round").symlink_to("round")
    (tree / "gone").symlink_to("nowhere")
    os.mkfifo(tree / "pipe")
    assert [path.name for path in files_below(tree)] == ["a.lisp", "moved", "a.lisp"]


def test_archives_by_their_sums(tree: Path) -> None:
    sum_of = file("", b"moved").sha256
    wrong = UpstreamPlace("https://example.org/x.tar", "x.tar", "ab" * 32, 5)
    right = LocalPlace("y.tar", sum_of, 5)
    assert Places((tree,)).find_archive([wrong, right]) == (tree / "deep/er/moved", right)
    assert Places((tree,)).find_archive([wrong]) is None
    assert Places((tree,)).find_archive([LocalPlace("y.tar", sum_of, 6)]) is None, "of another size"
    unknown = UpstreamPlace("https://example.org/y", "y", sum_of, 0)
    assert Places((tree,)).find_archive([unknown]) == (tree / "deep/er/moved", unknown)


def test_a_directory_that_is_none(tree: Path) -> None:
    Places((tree,)).check()
    with pytest.raises(NoSuchFile):
        Places((tree / "a.lisp",)).check()
