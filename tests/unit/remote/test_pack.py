from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from monolisp.errors import BadArchive, UnsafeArchive
from monolisp.remote.pack import pack, unpack_entry
from monolisp.store.manifest import facts_of, write_manifest


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "entry"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "a.a").write_bytes(b"archive" * 1000)
    (folder / "tool").write_bytes(b"#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    (folder / "same").hardlink_to(folder / "tool")
    (folder / "link").symlink_to("lib/a.a")
    write_manifest(folder)
    return folder


def test_there_and_back(entry: Path, tmp_path: Path) -> None:
    size = pack(entry, tmp_path / "archive")
    into = tmp_path / "into"
    into.mkdir()
    assert unpack_entry(tmp_path / "archive", size, into) == []
    assert facts_of(into) == facts_of(entry)


def test_the_same_bytes_twice(entry: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        pack(entry, tmp_path / name)
        (entry / "tool").touch()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_bomb_is_not_unpacked(entry: Path, tmp_path: Path) -> None:
    size = pack(entry, tmp_path / "archive")
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(ValueError, match="larger"):
        unpack_entry(tmp_path / "archive", size - 1, into)
    with pytest.raises(ValueError, match="smaller"):
        unpack_entry(tmp_path / "archive", size + 1, into)
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_cut_off(entry: Path, tmp_path: Path, cut: int) -> None:
    size = pack(entry, tmp_path / "archive")
    content = (tmp_path / "archive").read_bytes()
    (tmp_path / "archive").write_bytes(content[:-cut])
    (tmp_path / "into").mkdir()
    with pytest.raises((ValueError, BadArchive)):
        unpack_entry(tmp_path / "archive", size, tmp_path / "into")


def test_what_would_leave_its_directory(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    (tmp_path / "archive").write_bytes(zstandard.ZstdCompressor().compress(plain.getvalue()))
    (tmp_path / "into").mkdir()
    with pytest.raises(UnsafeArchive):
        unpack_entry(tmp_path / "archive", len(plain.getvalue()), tmp_path / "into")
    assert not (tmp_path / "outside").exists()


def test_other_files_than_the_manifest_says(entry: Path, tmp_path: Path) -> None:
    (entry / "tool").write_bytes(b"#!/bin/no\n")
    size = pack(entry, tmp_path / "archive")
    (tmp_path / "into").mkdir()
    assert "tool was changed" in unpack_entry(tmp_path / "archive", size, tmp_path / "into")
