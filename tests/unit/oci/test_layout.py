from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monolisp.errors import MonolispError, NoSuchFile, NotAnOciArchive, Unreadable
from monolisp.oci import Contents, write_archive
from monolisp.oci.layout import read_archive

from .making import AARCH64, full, opened, program


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    one = full(tmp_path)
    two = replace(one, executable=program(tmp_path, AARCH64, "other"), platform="linux/arm64")
    write_archive([one, two], tmp_path / "a.tar", 0, "1.0")
    return tmp_path / "a.tar"


def test_there_and_back(archive: Path) -> None:
    layout, image = read_archive(archive), opened(archive)
    assert layout.top.descriptor.digest == image.top["digest"]
    assert [one.descriptor.platform for one in layout.manifests] == ["linux/amd64", "linux/arm64"]
    named = {f"blobs/{blob.descriptor.digest.replace(':', '/')}": blob for blob in layout.blobs}
    documents = {f"blobs/{one.descriptor.digest.replace(':', '/')}" for one in (layout.top, *layout.manifests)}
    assert named.keys() | documents == {name for name in image.files if name.startswith("blobs/")}
    for name, blob in named.items():
        assert b"".join(blob) == b"".join(blob) == image.files[name]
        assert len(blob) == len(image.files[name])


def test_one_platform(tmp_path: Path) -> None:
    digest = write_archive([Contents(program(tmp_path), "hello", "linux/amd64")], tmp_path / "a.tar", 0, "1.0")
    layout = read_archive(tmp_path / "a.tar")
    assert layout.manifests == (layout.top,)
    assert layout.top.descriptor.digest == digest


def test_names_of_another_tool(archive: Path, tmp_path: Path) -> None:
    """`tar -C layout -cf image.tar .`"""
    with tarfile.open(tmp_path / "dotted.tar", "w") as tar:
        for name, content in opened(archive).files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert read_archive(tmp_path / "dotted.tar").top == read_archive(archive).top


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile):
        read_archive(tmp_path / "none")
    with pytest.raises(Unreadable):
        read_archive(tmp_path)


def made(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content))
    return path


def minimal(
    kind: str = "application/vnd.oci.image.manifest.v1+json",
    change: Callable[[dict[str, object]], object] = lambda told: told,
) -> dict[str, bytes]:
    """An archive whose one manifest is a changed one, with everything else as it should be."""
    empty = b"{}"
    config = {"mediaType": "x", "digest": f"sha256:{hashlib.sha256(empty).hexdigest()}", "size": 2}
    content = json.dumps(change({"schemaVersion": 2, "config": config, "layers": []})).encode()
    digest = hashlib.sha256(content).hexdigest()
    named = {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"manifests": [named]}).encode(),
        f"blobs/sha256/{digest}": content,
        f"blobs/sha256/{hashlib.sha256(empty).hexdigest()}": empty,
    }


def test_the_least_that_is_read(tmp_path: Path) -> None:
    assert len(read_archive(made(tmp_path / "a.tar", minimal())).blobs) == 1


HUGE = 10**30
WRONG = {
    "nothing": ({}, "oci-layout"),
    "version": ({**minimal(), "oci-layout": b'{"imageLayoutVersion":"9"}'}, "version 9"),
    "no JSON": ({**minimal(), "index.json": b"{"}, "no JSON"),
    "no text": ({**minimal(), "index.json": b"\xff"}, "no JSON"),
    "no object": ({**minimal(), "index.json": b"[]"}, "no JSON object"),
    "deep": ({**minimal(), "index.json": b"[" * 100_000}, "no JSON"),
    "no manifests": ({**minimal(), "index.json": b"{}"}, "no manifests"),
    "no image": ({**minimal(), "index.json": b'{"manifests":[]}'}, "0 images"),
    "no descriptor": ({**minimal(), "index.json": b'{"manifests":[1]}'}, "names a blob"),
    "absurd": ({**minimal(), "index.json": b" " * (5 << 20)}, "absurdly long"),
    "another kind": (minimal(kind="application/json"), "no image manifest"),
    "no config": (minimal(change=lambda told: {**told, "config": None}), "names a blob"),
    "no layers": (minimal(change=lambda told: {**told, "layers": None}), "no layers"),
    "no blob": (
        minimal(
            change=lambda told: {**told, "layers": [{"mediaType": "x", "digest": "sha256:" + "0" * 64, "size": 1}]}
        ),
        "it has no blobs",
    ),
    "outside": (
        minimal(change=lambda told: {**told, "layers": [{"mediaType": "x", "digest": "../../etc/passwd", "size": 1}]}),
        "names a blob",
    ),
    "huge": (
        {**minimal(), "index.json": minimal()["index.json"].replace(b'"size": ', f'"size": {HUGE}'.encode())},
        "not what its name says",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(tmp_path: Path, name: str) -> None:
    files, told = WRONG[name]
    with pytest.raises(NotAnOciArchive) as caught:
        read_archive(made(tmp_path / "a.tar", files))
    assert told in caught.value.why_text


def test_links_are_not_followed(tmp_path: Path) -> None:
    with pytest.raises(NotAnOciArchive) as caught:
        read_archive(made(tmp_path / "a.tar", minimal(), tarfile.SYMTYPE))
    assert caught.value.why_text == "it has no oci-layout"


def test_a_blob_with_something_behind_it(tmp_path: Path) -> None:
    files = {name: content + b" " if name.startswith("blobs/") else content for name, content in minimal().items()}
    with pytest.raises(NotAnOciArchive):
        read_archive(made(tmp_path / "a.tar", files))


def test_a_changed_blob(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    place = content.index(b"\x1f\x8b") + 20
    content[place] ^= 1
    archive.write_bytes(content)
    with pytest.raises(NotAnOciArchive, match="no OCI archive") as caught:
        read_archive(archive)
    assert "not what its name says" in caught.value.why_text


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A file to damage, and what should be in it."""
    folder = tmp_path_factory.mktemp("pristine")
    write_archive([Contents(program(folder), "hello", "linux/amd64")], folder / "a.tar", 0, "1.0")
    return folder / "damaged", (folder / "a.tar").read_bytes()


def read(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        layout = read_archive(file)
        for blob in layout.blobs:
            assert f"sha256:{hashlib.sha256(b''.join(blob)).hexdigest()}" == blob.descriptor.digest
    except MonolispError as error:
        assert error.why_text


class TestDamage:
    """Whatever is in the file, it is read whole and true, or refused in words."""

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def test_bytes_changed(self, pristine: tuple[Path, bytes], data: st.DataObject) -> None:
        file, content = pristine
        changes = st.tuples(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=8))
        damaged = bytearray(content)
        for place, octets in data.draw(st.lists(changes, min_size=1, max_size=4)):
            damaged[place : place + len(octets)] = octets
        read(file, bytes(damaged))

    @settings(max_examples=100, deadline=None)
    @given(data=st.data())
    def test_cut_off(self, pristine: tuple[Path, bytes], data: st.DataObject) -> None:
        file, content = pristine
        read(file, content[: data.draw(st.integers(0, len(content)))])

    @settings(max_examples=100, deadline=None)
    @given(content=st.binary(max_size=2048))
    def test_anything(self, pristine: tuple[Path, bytes], content: bytes) -> None:
        read(pristine[0], content)

    _TREES = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["manifests", "config", "layers", "mediaType", "digest", "size", "platform", "os"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )

    @settings(max_examples=200, deadline=None)
    @given(index=_TREES, manifest=_TREES)
    def test_any_documents(self, pristine: tuple[Path, bytes], index: object, manifest: object) -> None:
        file, _ = pristine
        made(file, {**minimal(), "index.json": json.dumps(index).encode()})
        read(file, file.read_bytes())
        made(file, minimal(change=lambda told: manifest))
        read(file, file.read_bytes())
