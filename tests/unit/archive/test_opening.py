"""Bundles: written the same each time, refused when anything in them was changed."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monolisp.archive.bundle import MANIFEST, RECORD, SUM, write_archive
from monolisp.archive.opening import open_bundle
from monolisp.errors import DamagedBundle, NoSuchFile
from monolisp.provenance.record import Program, Provenance, as_json
from monolisp.trust.checksums import checksums_text

DIGEST = "ab" * 32
TOLD = Provenance(program=Program("app", "script", ("app.lisp",)), target="x86_64-linux-musl")
ABOUT = {RECORD: json.dumps(as_json(TOLD)).encode(), SUM: f"{DIGEST}  executable/app\n".encode()}


def write(file: Path, members: dict[str, bytes]) -> Path:
    write_archive(members, "app-bundle", 7, file.with_suffix(".plain"), file)
    return file


def tar(file: Path, members: dict[str, bytes], size: int | None = None) -> Path:
    """A bundle by hand: nothing is checked."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    content = plain.getvalue()
    file.write_bytes(zstandard.ZstdCompressor(write_content_size=size is None).compress(content))
    return file


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "x.tar.zst", {**ABOUT, "project/app.lisp": b"(print 1)", "systems/a/a.asd": b"x"})


def test_there_and_back(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle, tmp_path / "opened")
    assert (opened.original.record, opened.original.sha256, opened.original.file) == (TOLD, DIGEST, None)
    assert opened.search.places.folders == (opened.folder / "project",)
    assert opened.search.places.beside is None
    assert opened.search.trees == (opened.folder / "systems",)
    assert (opened.folder / "project/app.lisp").read_bytes() == b"(print 1)"


def test_the_same_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {**ABOUT, "b": b"2", "a": b"1"})
    two = write(tmp_path / "two", {"a": b"1", **ABOUT, "b": b"2"})
    assert one.read_bytes() == two.read_bytes()


def test_members_are_nobodys(bundle: Path) -> None:
    plain = zstandard.ZstdDecompressor().decompress(bundle.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members} == {(0, 0, "", 7)}


def damaged(file: Path, into: Path) -> str:
    with pytest.raises(DamagedBundle) as caught:
        open_bundle(file, into)
    assert not into.with_suffix(".tar").exists()
    return caught.value.why_text


def rows(members: dict[str, bytes]) -> bytes:
    from hashlib import sha256

    return checksums_text({name.encode(): sha256(content).hexdigest() for name, content in members.items()})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({MANIFEST: rows({**ABOUT, "a": b"1"}), "a": b"2"}, "a was changed"),
        ({MANIFEST: rows({**ABOUT, "a": b"1"})}, "a is missing"),
        ({MANIFEST: rows(ABOUT), "a": b"1"}, "a is not in its manifest"),
        ({}, "no manifest"),
        ({MANIFEST: b"?"}, "MANIFEST cannot be used as a list of checksums"),
        ({MANIFEST: rows(ABOUT), "../out": b"1"}, "leads upwards"),
        ({MANIFEST: rows(ABOUT), "/out": b"1"}, "absolute name"),
    ],
)
def test_what_was_changed(change: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    members = {name if name[0] == "/" else f"b/{name}": content for name, content in {**ABOUT, **change}.items()}
    file = tar(tmp_path / "x.tar.zst", members)
    assert reason in damaged(file, tmp_path / "opened")


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({RECORD: b"{}", SUM: ABOUT[SUM]}, "no record"),
        ({RECORD: ABOUT[RECORD], SUM: b"?"}, "cannot be read"),
        ({RECORD: ABOUT[RECORD]}, f"no {SUM}"),
        ({SUM: ABOUT[SUM]}, f"no {RECORD}"),
    ],
)
def test_what_does_not_say_what_it_is(about: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    assert reason in damaged(write(tmp_path / "x", {**about, "a": b""}), tmp_path / "opened")


def test_what_is_no_bundle(bundle: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not compressed")
    assert "not compressed with zstd" in damaged(text, tmp_path / "opened")
    assert "how long it is" in damaged(tar(tmp_path / "y", {}, size=-1), tmp_path / "opened")
    cut = tmp_path / "cut"
    cut.write_bytes(bundle.read_bytes()[:-20])
    assert damaged(cut, tmp_path / "opened")
    with pytest.raises(NoSuchFile):
        open_bundle(tmp_path / "nothing", tmp_path / "opened")


@given(st.integers(0, 1 << 20), st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_mutated_bundle_is_opened_or_refused(bundle: Path, place: int, value: int) -> None:
    content = bytearray(bundle.read_bytes())
    content[place % len(content)] = value
    mutated = bundle.with_name("mutated")
    mutated.write_bytes(content)
    from monolisp.store import remove_tree

    remove_tree(bundle.with_name("mutated-opened"))
    with suppress(DamagedBundle):
        assert open_bundle(mutated, bundle.with_name("mutated-opened")).original.record == TOLD
