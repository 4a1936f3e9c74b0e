"""The programs in an archive again: what each image starts, as a file."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from monolisp.errors import NoProgramInImage
from monolisp.oci.image import Document
from monolisp.oci.layout import Blob, Layout


def entrypoints(archive: Path, layout: Layout, folder: Path) -> Iterator[tuple[str | None, Path]]:
    """For each image of `layout`, which is what `archive` holds: its platform (None if it is the only one), and what it
    starts, written below `folder` under its own name. Raises NoProgramInImage."""
    blobs = {blob.descriptor.digest: blob for blob in layout.blobs}
    for number, manifest in enumerate(layout.manifests):
        place = folder / str(number)
        place.mkdir()
        platform = None if manifest is layout.top else manifest.descriptor.platform
        try:
            program = _entrypoint(manifest, blobs, place)
        except (tarfile.TarError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise NoProgramInImage(file=archive, reason=error) from error
        yield platform, program


def _entrypoint(manifest: Document, blobs: dict[str, Blob], place: Path) -> Path:
    """Raises ValueError, and what json and tarfile raise."""
    told = json.loads(manifest.content)
    config = json.loads(b"".join(blobs[told["config"]["digest"]]))["config"]
    start = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    if not start or not start[0].startswith("/"):
        raise ValueError("it does not say which it starts")
    wanted = PurePosixPath(start[0]).relative_to("/")
    # The layers above hide those below.
    for layer in reversed(told["layers"]):
        if _extract(blobs[layer["digest"]], wanted, place):
            return place / wanted.name
    raise ValueError(f"no layer has {start[0]}")


def _extract(layer: Blob, wanted: PurePosixPath, place: Path) -> bool:
    """Write the file `wanted` of a layer into `place`, if it is there."""
    whole = place / ".layer"
    with whole.open("wb") as stream:
        stream.writelines(layer)
    with tarfile.open(whole) as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() and PurePosixPath(info.name) == wanted else None
            if content is not None:
                with (place / wanted.name).open("wb") as output:
                    shutil.copyfileobj(content, output)
                return True
    return False
