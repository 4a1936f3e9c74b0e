"""An entry of a store as one file, and back: tar, compressed with zstd, the same bytes for the same entry."""

from __future__ import annotations

import tarfile
from pathlib import Path

from monolisp.sources.unpack import TIME, unpack
from monolisp.store.manifest import NAME, faults, paths_in

_LEVEL = 10
_PIECE = 1 << 20


def pack(entry: Path, output: Path) -> int:
    """Write the entry's files to the archive `output`; returns the length of the tar in it, in bytes."""
    import zstandard

    plain = output.with_suffix(".tar")
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths_in(entry):
            add_file(tar, entry / path, f"entry/{path}")
    with plain.open("rb") as source, output.open("wb") as target:
        zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).copy_stream(
            source, target, size=plain.stat().st_size
        )
    size = plain.stat().st_size
    plain.unlink()
    return size


def add_file(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file or link as a member whose bytes depend on nothing but its name, its content, and whether it is a
    program."""
    info = tar.gettarinfo(path, name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime, info.mode = TIME, 0o755 if info.mode & 0o111 else 0o644
    if info.islnk():  # another name of a file that is in it already: a file of its own
        info.type, info.size = tarfile.REGTYPE, path.stat().st_size
    if info.isreg():
        with path.open("rb") as stream:
            tar.addfile(info, stream)
    else:
        tar.addfile(info)


def unpack_entry(archive: Path, size: int, into: Path) -> list[str]:
    """Unpack an archive whose tar has `size` bytes into the empty directory `into`; returns what is wrong with it.

    Raises BadArchive, UnsafeArchive, and ValueError for what is no such archive.
    """
    plain = archive.with_suffix(".plain")
    try:
        inflate(archive, size, plain)
        folder = into / "unpacked"
        unpack(plain, folder)
        for path in folder.iterdir():
            path.rename(into / path.name)
        folder.rmdir()
    finally:
        plain.unlink(missing_ok=True)
    return faults(into) if (into / NAME).is_file() else ["it has no manifest"]


def inflate(archive: Path, size: int, plain: Path) -> None:
    """Decompress `archive`, whose content has `size` bytes: no more is ever written. Raises ValueError."""
    import zstandard

    written = 0
    try:
        with (
            archive.open("rb") as source,
            plain.open("wb") as target,
            zstandard.ZstdDecompressor().stream_reader(source) as stream,
        ):
            while piece := stream.read(_PIECE):
                written += len(piece)
                if written > size:
                    raise ValueError("it is larger than its record says")
                target.write(piece)
    except zstandard.ZstdError as error:
        raise ValueError(f"it is no archive: {error}") from error
    if written != size:
        raise ValueError("it is smaller than its record says")
