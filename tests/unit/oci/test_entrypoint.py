"""The programs in an archive again, and SBOMs of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from monolisp.cli.push import _made
from monolisp.errors import NoProgramInImage, NoProvenance
from monolisp.oci import Compression, Contents, read_archive, write_archive
from monolisp.oci.entrypoint import entrypoints
from monolisp.oci.image import digest_of
from monolisp.oci.layout import Blob, Layout
from monolisp.store import sha256_file
from tests.unit.sbom.making import executable

from .making import AARCH64, full, program


def layout_of(archive: Path) -> Layout:
    return read_archive(archive)


@pytest.mark.parametrize("compression", Compression)
def test_one(tmp_path: Path, compression: Compression) -> None:
    """Below the program's layer is another."""
    archive = tmp_path / "a.tar"
    contents = full(tmp_path)
    write_archive([contents], archive, 0, "1.0", compression)
    (tmp_path / "out").mkdir()
    ((platform, found),) = entrypoints(archive, layout_of(archive), tmp_path / "out")
    assert (platform, found.name) == (None, "hello")
    assert found.read_bytes() == contents.executable.read_bytes()


def test_several(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    images = [
        Contents(program(tmp_path), "hello", "linux/amd64"),
        Contents(program(tmp_path, AARCH64, "other"), "hello", "linux/arm64"),
    ]
    write_archive(images, archive, 0, "1.0")
    (tmp_path / "out").mkdir()
    found = dict(entrypoints(archive, layout_of(archive), tmp_path / "out"))
    assert {platform: path.read_bytes() for platform, path in found.items()} == {
        image.platform: image.executable.read_bytes() for image in images
    }


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "does not say which it starts"),
        ({"Entrypoint": ["hello"]}, "does not say which it starts"),
        ({"Cmd": ["/sbin/init"]}, "no layer has /sbin/init"),
        ({"Entrypoint": [7]}, "attribute"),
    ],
)
def test_an_image_of_others(tmp_path: Path, config: dict[str, object], reason: str) -> None:
    archive = tmp_path / "a.tar"
    write_archive([Contents(program(tmp_path), "hello", "linux/amd64")], archive, 0, "1.0")
    layout = layout_of(archive)
    text = json.dumps({"config": config}).encode()
    (manifest,) = layout.manifests
    told = json.loads(manifest.content)
    old, told["config"]["digest"] = told["config"]["digest"], digest_of(text)
    blobs = [blob for blob in layout.blobs if blob.descriptor.digest != old]
    configuration = Blob(replace(layout.top.descriptor, digest=digest_of(text), size=len(text)), text)
    changed = replace(manifest, content=json.dumps(told).encode())
    (tmp_path / "out").mkdir()
    with pytest.raises(NoProgramInImage, match="cannot be read") as raised:
        list(entrypoints(archive, Layout(changed, (changed,), (*blobs, configuration)), tmp_path / "out"))
    assert reason in raised.value.why_text


class TestPush:
    def archive(self, tmp_path: Path, path: Path) -> Path:
        write_archive([Contents(path, "hello", "linux/amd64")], tmp_path / "a.tar", 0, "1.0")
        return tmp_path / "a.tar"

    def test_sboms_of_the_programs(self, tmp_path: Path) -> None:
        path = executable(tmp_path / "app")
        archive = self.archive(tmp_path, path)
        (tmp_path / "out").mkdir()
        (first, second), note = _made(archive, ["cyclonedx", "spdx"], tmp_path / "out", True)
        assert note == ""
        assert (first.path.name, first.media_type) == ("hello.cdx.json", "application/vnd.cyclonedx+json")
        assert (second.path.name, second.media_type) == ("hello.spdx.json", "application/spdx+json")
        for attachment in (first, second):
            assert sha256_file(path) in attachment.path.read_text(encoding="utf-8")

    def test_a_program_of_others(self, tmp_path: Path) -> None:
        """Nothing is attached to it, and that is said; it is an error only where it was asked for."""
        archive = self.archive(tmp_path, program(tmp_path))
        (tmp_path / "out").mkdir()
        (tmp_path / "again").mkdir()
        said = f"hello in {archive} does not say what it is made of"
        assert _made(archive, ["cyclonedx"], tmp_path / "out", False) == ([], said)
        with pytest.raises(NoProvenance) as raised:
            _made(archive, ["cyclonedx"], tmp_path / "again", True)
        assert raised.value.what_text == said
