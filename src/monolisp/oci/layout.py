"""Reading an OCI archive, whoever made it: nothing is unpacked, everything is checked.

Source: OCI image-spec 1.1 image-layout.md, descriptor.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import NoSuchFile, NotAnOciArchive, Unreadable
from monolisp.oci.image import INDEX, MANIFEST, Descriptor, Document

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIECE = 1 << 20
_MOST_JSON = 1 << 22
_MOST_MEMBERS = 1 << 16
# What tarfile and json raise over damaged bytes.
_DAMAGES = (tarfile.TarError, EOFError, struct.error, ValueError, RuntimeError, OverflowError, LookupError)


class _Damaged(ValueError):
    """What is wrong with an archive, in its reader's words."""


@dataclass(frozen=True)
class Blob:
    """Bytes with a descriptor: themselves, or `descriptor.size` of a file from `offset`. Can be iterated again."""

    descriptor: Descriptor
    source: Path | bytes
    offset: int = 0

    def __len__(self) -> int:
        return self.descriptor.size

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self.source, bytes):
            yield self.source
            return
        left = self.descriptor.size
        with self.source.open("rb") as stream:
            stream.seek(self.offset)
            while left and (piece := stream.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece


@dataclass(frozen=True)
class Layout:
    """What an archive holds: `top` is the image, an index of several or the manifest of one; `manifests` are one for
    each platform, `blobs` what they name."""

    top: Document
    manifests: tuple[Document, ...]
    blobs: tuple[Blob, ...]


def read_archive(file: Path) -> Layout:
    """What `file` holds; every blob is compared with its digest. Raises NotAnOciArchive, NoSuchFile, Unreadable."""
    try:
        with tarfile.open(file, "r:") as tar:
            return _Reader(file, _members(tar)).layout()
    except FileNotFoundError as error:
        raise NoSuchFile(file=file, reason="") from error
    except OSError as error:
        raise Unreadable(file=file, reason=error.strerror or error) from error
    except _DAMAGES as error:
        reason = error if isinstance(error, _Damaged) else f"it is no tar archive, or a damaged one ({error})"
        raise NotAnOciArchive(file=file, reason=reason) from error


def _members(tar: tarfile.TarFile) -> dict[str, tuple[int, int]]:
    """Where each plain file is: offset and size, in bytes."""
    found: dict[str, tuple[int, int]] = {}
    for info in tar:
        if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            found[info.name.removeprefix("./")] = (info.offset_data, info.size)
        if len(found) > _MOST_MEMBERS:
            raise _Damaged("it has absurdly many members")
    return found


@dataclass(frozen=True)
class _Reader:
    file: Path
    members: Mapping[str, tuple[int, int]]

    def layout(self) -> Layout:
        version = _object(self._json("oci-layout")).get("imageLayoutVersion")
        if version != "1.0.0":
            raise _Damaged(f"its image layout has version {version}; 1.0.0 is known here")
        named = _descriptors(_object(self._json("index.json")), "manifests")
        if len(named) != 1:
            raise _Damaged(f"it has {len(named)} images; one is expected")
        top = self._document(named[0])
        manifests = [top]
        if top.descriptor.media_type == INDEX:
            manifests = [self._document(one) for one in _descriptors(_object(_parsed(top.content)), "manifests")]
        if any(one.descriptor.media_type != MANIFEST for one in manifests):
            raise _Damaged("it has something that is no image manifest")
        blobs = {blob.descriptor.digest: blob for one in manifests for blob in self._blobs(one)}
        return Layout(top, tuple(manifests), tuple(blobs.values()))

    def _document(self, descriptor: Descriptor) -> Document:
        blob = self._blob(descriptor)
        if len(blob) > _MOST_JSON:
            raise _Damaged(f"{descriptor.digest} is absurdly long")
        return Document(descriptor, b"".join(blob))

    def _blobs(self, manifest: Document) -> Iterator[Blob]:
        table = _object(_parsed(manifest.content))
        for descriptor in (_descriptor(table.get("config")), *_descriptors(table, "layers")):
            yield self._blob(descriptor)

    def _blob(self, descriptor: Descriptor) -> Blob:
        """A blob that has the size and the digest that its descriptor says."""
        offset, size = self._member(f"blobs/{descriptor.digest.replace(':', '/')}")
        blob = Blob(descriptor, self.file, offset)
        found = hashlib.sha256()
        for piece in blob:
            found.update(piece)
        if size != descriptor.size or f"sha256:{found.hexdigest()}" != descriptor.digest:
            raise _Damaged(f"the blob {descriptor.digest} is not what its name says")
        return blob

    def _member(self, name: str) -> tuple[int, int]:
        if name not in self.members:
            raise _Damaged(f"it has no {name}")
        return self.members[name]

    def _json(self, name: str) -> object:
        offset, size = self._member(name)
        if size > _MOST_JSON:
            raise _Damaged(f"its {name} is absurdly long")
        return _parsed(b"".join(Blob(Descriptor("", "", size), self.file, offset)))


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"a document in it is no JSON: {error}") from error


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Damaged("a document in it is no JSON object")
    return value


def _descriptors(table: Mapping[str, object], key: str) -> list[Descriptor]:
    entries = table.get(key)
    if not isinstance(entries, list):
        raise _Damaged(f"a document in it has no {key}")
    return [_descriptor(entry) for entry in entries]


def _descriptor(entry: object) -> Descriptor:
    match entry:
        case {"mediaType": str(kind), "digest": str(digest), "size": int(size), **rest} if _DIGEST.fullmatch(digest):
            return Descriptor(kind, digest, size, _platform(rest.get("platform")))
    raise _Damaged("a document in it names a blob in a way that is not known here")


def _platform(entry: object) -> str | None:
    match entry:
        case {"os": str(os), "architecture": str(architecture), "variant": str(variant)}:
            return f"{os}/{architecture}/{variant}"
        case {"os": str(os), "architecture": str(architecture)}:
            return f"{os}/{architecture}"
    return None
