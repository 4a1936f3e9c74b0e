"""Unpacking an archive that nobody has to trust: nothing is written outside the directory, nothing runs, no device.

Everything is written by ourselves, and links are made after everything else, so that no member can be written through
one; that holds for tar and zip alike, and does not depend on tarfile's own filters (absent before Python 3.11.4).
Modes and times are the same for every machine and every archive: see `_Tree.finish`.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from monolisp.errors import BadArchive, DiskFull, MonolispError, StoreUnusable, ToolMissing, Unreadable, UnsafeArchive
from monolisp.store import remove_tree

# The time of every unpacked file, in seconds since the epoch. Equal times also keep make from thinking that a generated
# file that the archive brings (configure, say) is older than what it was generated from.
TIME = 1_700_000_000

_TAR_MODES = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_ZIP = b"PK"
# The archive's fault, not the disk's: names that are too long, or a file where another member needs a directory.
_ARCHIVE_ERRNO = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EINVAL)


class Kind(Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARD_LINK = "hard link"
    OTHER = "device or pipe"


@dataclass(frozen=True)
class Member:
    """One member of an archive: `target` of a link as the archive has it, `content` of a file."""

    name: str
    kind: Kind
    executable: bool = False
    target: str = ""
    content: IO[bytes] | None = None


def read_members(archive: Path, wanted: Callable[[str], bool], most: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in an archive whose name is `wanted` and which have at most `most` bytes; nothing
    is unpacked. Raises BadArchive, ToolMissing, Unreadable."""
    try:
        for member in members(archive):
            if member.kind is Kind.FILE and member.content is not None and wanted(member.name):
                content = member.content.read(most + 1)
                if len(content) <= most:
                    yield member.name, content
    except OSError as error:
        raise Unreadable(file=archive, reason=error.strerror or error) from error
    except _damages() as error:
        raise BadArchive(file=archive, reason=str(error) or type(error).__name__) from error


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a tar (plain, gz, bz2, xz, zst as this Python can) or zip archive as `directory`, which must not exist.

    A single top-level directory is stripped. On any error nothing is left. Raises UnsafeArchive, BadArchive, DiskFull,
    ToolMissing (Python without the module for this compression), StoreUnusable.
    """
    work = directory.with_name(directory.name + ".unpacking")
    tree = _Tree(archive, work)
    try:
        remove_tree(work)
        work.mkdir(parents=True)
        for member in members(archive):
            tree.add(member)
        tree.finish().rename(directory)
    except OSError as error:
        raise _explained(error, archive, work) from error
    except _damages() as error:
        raise BadArchive(file=archive, reason=str(error) or type(error).__name__) from error
    finally:
        remove_tree(work)


def _explained(error: OSError, archive: Path, work: Path) -> MonolispError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(path=work.parent)
    if error.errno is None:
        return BadArchive(file=archive, reason=error)
    if error.errno in _ARCHIVE_ERRNO:
        member = os.path.relpath(error.filename, work) if error.filename else "a member"
        return BadArchive(file=archive, reason=f"{member}: {error.strerror}")
    return StoreUnusable(path=work.parent, reason=error.strerror or error)


def _damages() -> tuple[type[Exception], ...]:
    """What the standard library's readers raise over damaged bytes. A Python may have been built without some."""
    found: list[type[Exception]] = [tarfile.TarError, zipfile.BadZipFile, EOFError, struct.error, ValueError]
    found += [RuntimeError, OverflowError, LookupError]
    with suppress(ImportError):
        from lzma import LZMAError

        found.append(LZMAError)
    with suppress(ImportError):
        from zlib import error as zlib_error

        found.append(zlib_error)
    return tuple(found)


def members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as stream:
        begin = stream.read(8)
    if begin.startswith(_ZIP):
        return _zip_members(archive)
    compression = next((name for magic, name in _TAR_MODES.items() if begin.startswith(magic)), "")
    return _tar_members(archive, compression)


# --- tar -----------------------------------------------------------------------------------------------------------


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a damaged header in the middle of an archive for its end: a half tree would look like a whole."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _StrictTarInfo:
        try:
            return super().fromtarfile(tarfile)
        except _HEADER_ERROR as error:
            if type(error).__name__ == "EOFHeaderError":
                raise
            raise _READ_ERROR(f"damaged header at byte {tarfile.offset} of the unpacked archive: {error}") from error


_HEADER_ERROR = tarfile.HeaderError
_READ_ERROR = tarfile.ReadError
_TAR_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.GNUTYPE_SPARSE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
}


def _tar_members(archive: Path, compression: str) -> Iterator[Member]:
    try:
        with tarfile.open(archive, f"r:{compression}", tarinfo=_StrictTarInfo) as tar:  # type: ignore[call-overload]
            for info in tar:
                kind = _TAR_KINDS.get(info.type, Kind.OTHER)
                content = tar.extractfile(info) if kind is Kind.FILE else None
                yield Member(info.name, kind, bool(info.mode & 0o111), info.linkname, content)
            # A compressed stream is only checked against its own checksum when it is read to its end.
            while tar.fileobj.read(1 << 18):
                pass
    except tarfile.CompressionError as error:
        raise ToolMissing(tool=f"Python's module for .{compression} archives", detail=f"{archive}: {error}") from error


# --- zip -----------------------------------------------------------------------------------------------------------


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            if info.filename.endswith("/"):
                yield Member(info.filename, Kind.DIRECTORY)
            elif stat.S_ISLNK(mode):
                yield Member(info.filename, Kind.SYMLINK, target=os.fsdecode(opened.read(info)))
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with opened.open(info) as content:
                    yield Member(info.filename, Kind.FILE, bool(mode & 0o111), content=content)
            else:
                yield Member(info.filename, Kind.OTHER)


# --- the tree ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tree:
    """What is being unpacked in `root`. Paths are tuples of names; `links` waits for `finish`."""

    archive: Path
    root: Path
    links: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, member: Member) -> None:
        path = self._parts(member.name, member.name)
        if member.kind is Kind.OTHER:
            self._refuse(member.name, "it is a device or a pipe")
        if any(path[:length] in self.links for length in range(1, len(path))):
            self._refuse(member.name, "it lies behind a symbolic link")
        if not path:
            return
        target = self.root.joinpath(*path)
        if member.kind is Kind.DIRECTORY:
            target.mkdir(parents=True, exist_ok=True)
            return
        self._clear(path)
        if member.kind is Kind.SYMLINK:
            self.links[path] = member.target
        elif member.kind is Kind.HARD_LINK:
            self._copy(member, target)
        elif member.content is not None:
            with target.open("xb") as stream:
                shutil.copyfileobj(member.content, stream, 1 << 18)
            target.chmod(0o755 if member.executable else 0o644)

    def _clear(self, path: tuple[str, ...]) -> None:
        """Make room for a member: the last one of a name counts, and its directories need not be members."""
        target = self.root.joinpath(*path)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.links.pop(path, None)
        target.unlink(missing_ok=True)

    def _copy(self, member: Member, target: Path) -> None:
        """A hard link becomes a copy: its target must have come before it."""
        source = self._parts(member.target, member.name)
        if source in self.links:
            self.links[self._parts(member.name, member.name)] = self.links[source]
            return
        path = self.root.joinpath(*source)
        if not path.is_file():
            self._reject(f"{member.name} is a link to {member.target}, which is not there")
        shutil.copy(path, target)

    def _parts(self, name: str, member: str) -> tuple[str, ...]:
        """The names on the way to a member. Raises UnsafeArchive for a name that leads out."""
        if name.startswith("/"):
            self._refuse(member, f"absolute name {name}" if name != member else "absolute name")
        parts = tuple(part for part in name.split("/") if part not in ("", "."))
        if ".." in parts:
            self._refuse(member, f"{name} leads upwards" if name != member else "its name leads upwards")
        return parts

    def finish(self) -> Path:
        """Make the links, give everything its time, and say which directory is the result."""
        entries = sorted({path.name for path in self.root.iterdir()} | {path[0] for path in self.links})
        if not entries:
            self._reject("it holds nothing")
        stripped = len(entries) == 1 and (self.root / entries[0]).is_dir()
        for path, target in self.links.items():
            self._check_link("/".join(path), target, depth=len(path) - 1 - int(stripped))
        for path, target in self.links.items():
            self.root.joinpath(*path).symlink_to(target)
        for item in (self.root, *self.root.rglob("*")):
            if item.is_dir() and not item.is_symlink():
                item.chmod(0o755)
            os.utime(item, (TIME, TIME), follow_symlinks=False)
        return self.root / entries[0] if stripped else self.root

    def _check_link(self, member: str, target: str, depth: int) -> None:
        """A link may go up as far as the result's top, and then down: so whatever it is chained with stays inside."""
        parts = [part for part in target.split("/") if part not in ("", ".")]
        upwards = 0
        while upwards < len(parts) and parts[upwards] == "..":
            upwards += 1
        if target.startswith("/") or upwards > depth or ".." in parts[upwards:]:
            self._refuse(member, f"it is a symbolic link to {target}")
        if not target:
            self._reject(f"{member} is a symbolic link to nothing")

    def _reject(self, reason: str) -> None:
        raise BadArchive(file=self.archive, reason=reason)

    def _refuse(self, member: str, reason: str) -> None:
        raise UnsafeArchive(file=self.archive, member=member, reason=reason)
