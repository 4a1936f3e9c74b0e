"""An OCI archive: the image layout (oci-layout, index.json, blobs/sha256/…) as one tar file, the same bytes each time.

Source: OCI image-spec 1.1 image-layout.md. skopeo, podman and umoci read it, docker from version 25.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from monolisp.oci.check import check_images, user_of
from monolisp.oci.image import (
    REF_NAME,
    Compression,
    Contents,
    Descriptor,
    Document,
    Layer,
    config,
    index,
    manifest,
    text_of,
)
from monolisp.oci.layer import program, surroundings, write_layer
from monolisp.publish import candidate, check_output

BLOBS = "blobs/sha256"
LAYOUT = text_of({"imageLayoutVersion": "1.0.0"})


def write_archive(
    images: Sequence[Contents], output: Path, epoch: int, tag: str, compression: Compression = Compression.GZIP
) -> str:
    """Write `images`, one for each platform, to the file `output`, which gets its name when it is complete.

    `epoch` is the time of everything in it, in seconds (SOURCE_DATE_EPOCH, or 0). Returns the digest of the manifest,
    of the index if there are several. Needs as much room again beside `output` while it works.

    Raises BadImage, WrongPlatform, NoSuchFile, Unreadable, BadElf; OutputUnwritable, OutputIsDirectory, OutputIsInput,
    DiskFull.
    """
    check_images(images, tag)
    check_output(output, [contents.executable for contents in images])
    with (
        candidate(output, "oci") as beside,
        tempfile.TemporaryDirectory(prefix=".monolisp-", dir=output.parent) as name,
    ):
        folder = Path(name)
        manifests = [_write_image(contents, folder, epoch, compression) for contents in images]
        top = manifests[0] if len(manifests) == 1 else _write(index(manifests, _shared(images)), folder)
        _write_tar(folder, tag, top, beside, epoch)
        beside.rename(output)
    return top.digest


def _write_image(contents: Contents, folder: Path, epoch: int, compression: Compression) -> Descriptor:
    user = user_of(contents.user) if contents.user is not None else None
    parts = (("what surrounds the program", surroundings(contents, user)), ("the program", program(contents)))
    layers: list[Layer] = [
        write_layer(entries, about, folder, epoch, compression) for about, entries in parts if entries
    ]
    configuration = config(contents, user.numbers if user else None, layers, epoch)
    _write(configuration, folder)
    return _write(manifest(contents, configuration, layers), folder)


def _write(document: Document, folder: Path) -> Descriptor:
    (folder / document.descriptor.digest.removeprefix("sha256:")).write_bytes(document.content)
    return document.descriptor


def _shared(images: Sequence[Contents]) -> dict[str, str]:
    """The annotations that are the same for every platform are the index's, too."""
    first, *others = [contents.annotations for contents in images]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _write_tar(folder: Path, tag: str, top: Descriptor, output: Path, epoch: int) -> None:
    named = Descriptor(top.media_type, top.digest, top.size, top.platform, annotations={REF_NAME: tag})
    with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("oci-layout", LAYOUT), ("index.json", index([named], {}).content)):
            tar.addfile(_member(name, len(content), epoch), io.BytesIO(content))
        for name in ("blobs", BLOBS):
            info = _member(name, 0, epoch)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for path in sorted(folder.iterdir()):
            with path.open("rb") as stream:
                tar.addfile(_member(f"{BLOBS}/{path.name}", path.stat().st_size, epoch), stream)


def _member(name: str, size: int, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, epoch
    return info
