"""Entries: directories `KIND/DIGEST`, made once and kept.

An entry is made in a sibling directory under a lock and renamed when complete, so that a process killed at any moment
leaves nothing that another would use. What is damaged later is seen (manifest.py) and made again. Read-only stores of
others may lie under a store, and a remote one behind it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monolisp.errors import DiskFull, StoreUnusable
from monolisp.store.files import locked, remove_tree, tree_size
from monolisp.store.manifest import fault, write_manifest

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache made by monolisp.\n"


def digest_of(inputs: object) -> str:
    """The name of whatever is made from `inputs` (anything JSON can say): 32 hexadecimal digits of sha256."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Entry:
    """A complete entry of the store: size in bytes, time of last use in seconds since the epoch."""

    kind: str
    digest: str
    path: Path
    size: int
    used: float


# Seconds that are waited without a word, and from one look at a lock to the next.
_MOMENT, _PAUSE = 5.0, 0.05


class Tier(Protocol):
    """Another store behind this one: whoever lacks an entry asks it first, and offers it what was made."""

    def fetch(self, kind: str, digest: str, into: Path) -> bool:
        """Fill the empty directory `into` with the entry; whether it is there and what it should be."""
        ...

    def offer(self, kind: str, digest: str, entry: Path) -> None: ...


def _silent(_: str) -> None:
    pass


def _acquired(held: ExitStack, path: Path, seconds: float) -> bool:
    """Whether the lock at `path` was to be had within so many seconds; `held` keeps it."""
    end = time.monotonic() + seconds
    while True:
        try:
            held.enter_context(locked(path, os.O_RDWR | os.O_CREAT, wait=seconds == math.inf))
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)


@dataclass(frozen=True)
class Store:
    """The store below `root`, over the stores `shared`, which are only read. `tell` is given what a person should know:
    that something is waited for, or damaged."""

    root: Path
    shared: tuple[Path, ...] = ()
    tier: Tier | None = None
    tell: Callable[[str], None] = _silent

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
        """Where an entry is, or would be: in a shared store, if it is only there."""
        places = [root / kind / digest for root in (self.root, *self.shared)]
        return next((place for place in places if place.is_dir()), places[0])

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
        found = self._intact(kind, digest)
        if found is not None:
            return found
        final = self.root / kind / digest
        with self.lock(f"{kind}-{digest}"):
            found = self._intact(kind, digest, self.tell)
            if found is not None:
                return found
            self._set_aside(final)
            if self.tier is None or not self._fetch(final, self.tier):
                self._make(final, make)
                if self.tier is not None:
                    self.tier.offer(kind, digest, final)
        return final

    def _intact(self, kind: str, digest: str, tell: Callable[[str], None] = _silent) -> Path | None:
        """Where the entry is, as far as it looks as it was made."""
        for root in (self.root, *self.shared):
            place = root / kind / digest
            if place.is_dir():
                reason = fault(place)
                if reason is None:
                    self.note_use(place)
                    return place
                tell(f"{place} is damaged ({reason}); it is made again")
        return None

    def _set_aside(self, damaged: Path) -> None:
        """Renamed first, so that no half of it is ever found under its name."""
        with _blaming(self.root):
            doomed = self.area("building") / f"removed-{damaged.parent.name}-{damaged.name}"
            remove_tree(doomed)
            with suppress(FileNotFoundError):
                damaged.rename(doomed)
            remove_tree(doomed)

    def _fetch(self, final: Path, tier: Tier) -> bool:
        fetched = False

        def fetch(directory: Path) -> None:
            nonlocal fetched
            fetched = tier.fetch(final.parent.name, final.name, directory)
            if not fetched:
                raise _NotThere

        with suppress(_NotThere):
            self._make(final, fetch)
        return fetched

    def _make(self, final: Path, make: Callable[[Path], None]) -> None:
        building = self.root / "building" / f"{final.parent.name}-{final.name}"
        try:
            with _blaming(self.root):
                remove_tree(building)
                building.mkdir(parents=True)
            make(building)
            with _blaming(self.root):
                write_manifest(building)
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
        """Held by one process at a time; the kernel frees it when its holder dies. Who has to wait for more than a
        moment is told for whom."""
        with self.lock_if_free(name, _MOMENT) as held:
            if held:
                yield
                return
        owner = self.area("locks") / f"{name}.owner"
        with suppress(OSError):
            self.tell(f"waiting for process {owner.read_text(encoding='utf-8')}, which makes {name}")
        with self.lock_if_free(name, math.inf):
            yield

    @contextmanager
    def lock_if_free(self, name: str, seconds: float = 0) -> Iterator[bool]:
        """The same lock, if it is to be had within so many seconds (infinity: whenever it is), and whether it was."""
        locks = self.area("locks")
        path = locks / f"{name}.lock"
        with ExitStack() as held:
            try:
                free = _acquired(held, path, seconds)
                if free:
                    (locks / f"{name}.owner").write_text(str(os.getpid()), encoding="utf-8")
            except OSError as error:
                raise StoreUnusable(path=path, reason=error.strerror or error) from error
            yield free

    def entries(self, kind: str) -> list[Entry]:
        """Complete entries of a kind, last used first."""
        folder = self.root / kind
        paths = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        found = [Entry(kind, path.name, path, tree_size(path), path.stat().st_mtime) for path in paths]
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def remove(self, entry: Entry) -> None:
        """Forget an entry."""
        with self.lock(f"{entry.kind}-{entry.digest}"):
            self._set_aside(entry.path)

    @staticmethod
    def note_use(path: Path) -> None:
        """Remember that an entry was used, at most once an hour: pruning goes by it. A time that is still to come was
        set by a clock that was wrong."""
        if not 0 <= time.time() - path.stat().st_mtime <= 3600 and os.access(path, os.W_OK):
            os.utime(path)


class _NotThere(Exception):
    """A tier does not have an entry."""


@contextmanager
def _blaming(store: Path) -> Iterator[None]:
    """What goes wrong here is the store's fault, unless its disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreUnusable(path=error.filename or store, reason=error.strerror or error) from error
