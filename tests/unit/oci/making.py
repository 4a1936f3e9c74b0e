"""Programs and images to make archives of, and an archive as what is in it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monolisp.oci import Contents
from tests.unit.elf.making import static_program

X86_64, AARCH64 = 62, 183


def program(folder: Path, machine: int = X86_64, name: str = "program") -> Path:
    path = folder / name
    path.write_bytes(static_program(machine=machine))
    return path


def full(folder: Path) -> Contents:
    """An image that has everything it may have."""
    zones = folder / "zones"
    (zones / "Europe").mkdir(parents=True, exist_ok=True)
    (zones / "Europe" / "Vienna").write_bytes(b"TZif2 Vienna")
    (zones / "UTC").write_bytes(b"TZif2 UTC")
    if not (zones / "Zulu").is_symlink():
        (zones / "Zulu").symlink_to("UTC")
        (zones / "localtime").symlink_to("/etc/localtime")
    return Contents(
        executable=program(folder),
        name="hello",
        platform="linux/amd64",
        certificates=b"-----BEGIN CERTIFICATE-----\n",
        zoneinfo=zones,
        tmp=True,
        user="65532",
        labels={"maintainer": "Jürgen"},
        annotations={"org.opencontainers.image.version": "1.0"},
    )


@dataclass(frozen=True)
class Opened:
    """The files of an archive, by name."""

    files: dict[str, bytes]

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        return self.files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]

    @property
    def top(self) -> dict[str, Any]:
        (descriptor,) = self.json("index.json")["manifests"]
        return dict(descriptor)

    def document(self, descriptor: dict[str, Any]) -> Any:
        return json.loads(self.blob(descriptor))

    def members(self, layer: dict[str, Any]) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.plain(layer))) as tar:
            return {info.name: info for info in tar}

    def content(self, layer: dict[str, Any], name: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(self.plain(layer))) as tar:
            stream = tar.extractfile(name)
            assert stream is not None
            return stream.read()

    def plain(self, layer: dict[str, Any]) -> bytes:
        content = self.blob(layer)
        return gzip.decompress(content) if layer["mediaType"].endswith("+gzip") else content


def opened(archive: Path) -> Opened:
    with tarfile.open(archive, "r:") as tar:
        streams = {info.name: tar.extractfile(info) for info in tar}
        return Opened({name: stream.read() for name, stream in streams.items() if stream is not None})
