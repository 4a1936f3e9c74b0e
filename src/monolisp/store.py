"""The store: what was fetched or built once, addressed by the hash of all that went into it.

An entry is a directory `KIND/DIGEST`. It is made in a sibling directory under a lock and renamed when complete, so
that a process killed at any moment leaves nothing that another would use.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import DiskFull, StoreUnusable

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache made by monolisp.\n"


def digest_of(inputs: object) -> str:
    """The name of whatever is made from `inputs` (anything JSON can say): 32 hexadecimal digits of sha256."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def has_no_room(directory: Path) -> bool:
    """Whether the disk of `directory` has no room for another megabyte: SBCL does not say why it could not write."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize < 1 << 20


def sha256_file(path: Path) -> str:
    """The sha256 of a file, in hexadecimal; memory does not grow with the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Entry:
    """A complete entry of the store: size in bytes, time of last use in seconds since the epoch."""

    kind: str
    digest: str
    path: Path
    size: int
    used: float


@dataclass(frozen=True)
class Store:
    root: Path

    def prepare(self) -> Store:
        """Make the store's directory. Raises StoreUnusable."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            tag = self.root / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_text(_TAG, encoding="utf-8")
        except OSError as error:
            raise StoreUnusable(path=self.root, reason=error.strerror or error) from error
        return self

    def path(self, kind: str, digest: str) -> Path:
        return self.root / kind / digest

    def has(self, kind: str, digest: str) -> bool:
        return self.path(kind, digest).is_dir()

    def area(self, *parts: str) -> Path:
        """A directory for things that their own tool keeps valid (compiled Lisp files, the C compiler's cache)."""
        path = self.root.joinpath(*parts)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(path=path, reason=error.strerror or error) from error
        return path

    def entry(self, kind: str, digest: str, make: Callable[[Path], None]) -> Path:
        """The entry, made by `make(directory)` when it is not there. Whoever comes second waits and finds it."""
        final = self.path(kind, digest)
        if final.is_dir():
            self.note_use(final)
            return final
        with self.lock(f"{kind}-{digest}"):
            if not final.is_dir():
                self._make(final, make)
        return final

    def _make(self, final: Path, make: Callable[[Path], None]) -> None:
        building = self.root / "building" / f"{final.parent.name}-{final.name}"
        try:
            with _blaming(self.root):
                remove_tree(building)
                building.mkdir(parents=True)
            make(building)
            with _blaming(self.root):
                final.parent.mkdir(parents=True, exist_ok=True)
                building.rename(final)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(path=self.root) from error
            raise
        finally:
            if building.is_dir():
                remove_tree(building)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A directory for the time of one build. It is locked by its maker; what a killed one left is removed here."""
        folder = self.area("work")
        path = folder / f"{os.getpid()}-{time.monotonic_ns()}"
        with ExitStack() as held:
            # One at a time: a directory that is made but not locked yet looks like one whose maker was killed.
            with locked(folder, wait=True):
                for left in folder.iterdir():
                    with suppress(BlockingIOError), locked(left):
                        remove_tree(left)
                with _blaming(self.root):
                    path.mkdir()
                held.enter_context(locked(path))
            try:
                yield path
            finally:
                with locked(folder, wait=True):
                    remove_tree(path)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Held by one process at a time; the kernel frees it when its holder dies."""
        from filelock import FileLock

        locks = self.area("locks")
        lock = FileLock(locks / f"{name}.lock")
        try:
            lock.acquire()
        except OSError as error:
            raise StoreUnusable(path=lock.lock_file, reason=error.strerror or error) from error
        try:
            yield
        finally:
            lock.release()

    def entries(self, kind: str) -> list[Entry]:
        """Complete entries of a kind, last used first."""
        folder = self.root / kind
        paths = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        found = [Entry(kind, path.name, path, tree_size(path), path.stat().st_mtime) for path in paths]
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def remove(self, entry: Entry) -> None:
        """Forget an entry: renamed first, so that no half of it is ever found under its name."""
        with self.lock(f"{entry.kind}-{entry.digest}"):
            doomed = self.area("building") / f"removed-{entry.kind}-{entry.digest}"
            remove_tree(doomed)
            with suppress(FileNotFoundError):
                entry.path.rename(doomed)
            remove_tree(doomed)

    @staticmethod
    def note_use(path: Path) -> None:
        """Remember that an entry was used, at most once a day: pruning goes by it."""
        if time.time() - path.stat().st_mtime > 86400 and os.access(path, os.W_OK):
            os.utime(path)


@contextmanager
def _blaming(store: Path) -> Iterator[None]:
    """What goes wrong here is the store's fault, unless its disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreUnusable(path=error.filename or store, reason=error.strerror or error) from error


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
