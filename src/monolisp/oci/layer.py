"""Layers: what is in them, and their tars, which depend on nothing but that and the time that is given.

Everything belongs to root; names are sorted; times are one time; every directory has an entry.
Source: OCI image-spec 1.1 layer.md.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from monolisp.oci.check import User
from monolisp.oci.image import CERTIFICATES, ZONEINFO, Compression, Contents, Descriptor, Layer

_LEVEL = 6
# What the Python package tzdata has among its zones.
_NO_ZONES = frozenset({"__pycache__", "__init__.py"})


@dataclass(frozen=True)
class Entry:
    """A member of a layer: a directory (`content` None), a file (its bytes, or where they are), or a symbolic link."""

    name: str
    mode: int
    content: bytes | Path | None = None
    link: str | None = None


def program(contents: Contents) -> list[Entry]:
    """The layer that has the program, and nothing else."""
    return [Entry(contents.name, 0o755, contents.executable)]


def surroundings(contents: Contents, user: User | None) -> list[Entry]:
    """The layer below it, which is the same for every program and platform that wants the same."""
    found = []
    if contents.certificates is not None:
        found.append(Entry(CERTIFICATES, 0o644, contents.certificates))
    if contents.zoneinfo is not None:
        found += _zones(contents.zoneinfo)
    if contents.tmp:
        found.append(Entry("tmp", 0o1777))
    if user is not None:
        line = f"{user.name}:x:{user.uid}:{user.gid}:{user.name}:/:/sbin/nologin\n"
        found.append(Entry("etc/passwd", 0o644, line.encode()))
        found.append(Entry("etc/group", 0o644, f"{user.name}:x:{user.gid}:\n".encode()))
    return _with_parents(found)


def _zones(folder: Path) -> Iterator[Entry]:
    """Links stay links, wherever they lead; what is neither file, link nor directory is no zone."""
    yield Entry(ZONEINFO, 0o755)
    for path in folder.rglob("*"):
        inner = path.relative_to(folder)
        if _NO_ZONES.intersection(inner.parts):
            continue
        name = f"{ZONEINFO}/{inner.as_posix()}"
        if path.is_symlink():
            yield Entry(name, 0o777, link=os.fspath(path.readlink()))
        elif path.is_dir():
            yield Entry(name, 0o755)
        elif path.is_file():
            yield Entry(name, 0o644, path)


def _with_parents(entries: Sequence[Entry]) -> list[Entry]:
    known = {entry.name: entry for entry in entries}
    for entry in entries:
        for parent in list(PurePosixPath(entry.name).parents)[:-1]:
            known.setdefault(str(parent), Entry(str(parent), 0o755))
    return sorted(known.values(), key=lambda entry: entry.name.split("/"))


class _Counted(io.RawIOBase):
    """A stream that passes on what is written to it, and knows its sha256 and length."""

    def __init__(self, below: IO[bytes]) -> None:
        super().__init__()
        self._below = below
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = cast(bytes, data)
        self._below.write(piece)
        self._hash.update(piece)
        self.size += len(piece)
        return len(piece)


def write_layer(entries: Sequence[Entry], about: str, folder: Path, epoch: int, compression: Compression) -> Layer:
    """Write a layer into `folder`, as a file that is called as its digest; memory does not grow with what is in it."""
    beside = folder / "layer"
    with beside.open("wb") as file, ExitStack() as stack:
        blob = _Counted(file)
        plain = blob
        if compression is Compression.GZIP:
            # Neither the time nor the file's name goes into the header.
            packer = gzip.GzipFile("", "wb", _LEVEL, cast(IO[bytes], blob), mtime=0)
            plain = _Counted(cast(IO[bytes], stack.enter_context(packer)))
        with tarfile.open(fileobj=cast(IO[bytes], plain), mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for entry in entries:
                _add(tar, entry, epoch)
    beside.rename(folder / blob.digest.removeprefix("sha256:"))
    return Layer(Descriptor(compression.media_type, blob.digest, blob.size), plain.digest, about)


def _add(tar: tarfile.TarFile, entry: Entry, epoch: int) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mode, info.mtime = entry.mode, epoch
    if entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
    elif entry.content is not None:
        with entry.content.open("rb") as stream:
            info.size = os.fstat(stream.fileno()).st_size
            tar.addfile(info, stream)
    else:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
