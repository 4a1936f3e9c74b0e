"""Files and directories: sizes, hashes, locks, and removing them."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def has_no_room(directory: Path) -> bool:
    """Whether the disk of `directory` has no room for another megabyte: SBCL does not say why it could not write."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize < 1 << 20


def sha256_file(path: Path) -> str:
    """The sha256 of a file, in hexadecimal; memory does not grow with the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(path: Path, how: int = os.O_RDONLY | os.O_DIRECTORY, wait: bool = False) -> Iterator[None]:
    """Hold the kernel's lock on a file or directory, opened as `how` says. Raises BlockingIOError when someone else
    holds it and it is not to be waited for."""
    descriptor = os.open(path, how, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def tree_size(path: Path) -> int:
    return sum(item.lstat().st_size for item in path.rglob("*") if not item.is_dir())


def remove_tree(path: Path) -> None:
    if path.exists():
        from shutil import rmtree

        rmtree(path)
