from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.store.manifest import (
    NAME,
    FileFacts,
    facts_of,
    fault,
    faults,
    manifest_text,
    parse_manifest,
    write_manifest,
)


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "entry"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "a.a").write_bytes(b"archive")
    (folder / "tool").write_bytes(b"#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    (folder / "link").symlink_to("lib")
    write_manifest(folder)
    return folder


def test_says_everything(entry: Path) -> None:
    assert [(one.path, one.kind, one.size) for one in facts_of(entry)] == [
        ("lib/a.a", "file", 7),
        ("link", "link", 3),
        ("tool", "program", 10),
    ]


def test_what_is_as_it_was_made(entry: Path) -> None:
    assert fault(entry) is None
    assert faults(entry) == []


def damage_missing(entry: Path) -> None:
    (entry / "tool").unlink()


def damage_truncated(entry: Path) -> None:
    (entry / "lib" / "a.a").write_bytes(b"arch")


def damage_mode(entry: Path) -> None:
    (entry / "tool").chmod(0o644)


def damage_kind(entry: Path) -> None:
    (entry / "link").unlink()
    (entry / "link").write_text("lib", encoding="utf-8")


def damage_no_manifest(entry: Path) -> None:
    (entry / NAME).unlink()


def damage_manifest(entry: Path) -> None:
    (entry / NAME).write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "damage", [damage_missing, damage_truncated, damage_mode, damage_kind, damage_no_manifest, damage_manifest]
)
def test_seen_at_first_sight(entry: Path, damage: object) -> None:
    damage(entry)  # type: ignore[operator]
    assert fault(entry) is not None
    assert faults(entry) != []


def test_changed_bytes_are_seen_by_reading(entry: Path) -> None:
    (entry / "lib" / "a.a").write_bytes(b"ARCHIVE")
    assert fault(entry) is None
    assert faults(entry) == ["lib/a.a was changed"]


def test_what_does_not_belong_there(entry: Path) -> None:
    (entry / "more").touch()
    assert faults(entry) == ["more does not belong there"]


def test_depends_on_nothing_but_the_files(entry: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in ("tool", "lib/a.a"):
        (other / path).parent.mkdir(exist_ok=True)
        (other / path).write_bytes((entry / path).read_bytes())
        (other / path).chmod((entry / path).stat().st_mode | 0o060)
        os.utime(other / path, (1, 1))
    (other / "link").symlink_to("lib")
    assert manifest_text(facts_of(other)) == (entry / NAME).read_text(encoding="utf-8")


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
ROWS = st.builds(
    FileFacts, NAMES, st.sampled_from(["file", "program", "link"]), st.integers(0, 1 << 50), st.text("af09")
)


@given(st.lists(ROWS, max_size=5).map(tuple))
def test_read_as_written(manifest: tuple[FileFacts, ...]) -> None:
    assert parse_manifest(manifest_text(manifest)) == manifest


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str)))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_manifest(text)
