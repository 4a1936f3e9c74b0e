"""Looking after a store: what is in it, whether it is as it was made, and what to let go when it grows too large."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import StoreBusy
from monolisp.store.files import locked, remove_tree, tree_size
from monolisp.store.manifest import NAME, faults
from monolisp.store.store import Entry, Store

# Directories in which other tools keep what they can make again; whatever else is in a store are entries.
AREAS = ("zig", "fasls", "builds", "systems", "logs", "launch", "bench")
_OWN = ("locks", "building", "work")


@dataclass(frozen=True)
class Kind:
    """What a store has of one kind: how many, bytes, and when one was used last (seconds since the epoch)."""

    name: str
    count: int
    size: int
    used: float


@dataclass(frozen=True)
class Damage:
    """An entry that is not as it was made, and every reason."""

    entry: Entry
    faults: tuple[str, ...]


def kinds(store: Store) -> list[str]:
    """The kinds of which there are entries."""
    folders = [path for path in sorted(store.root.iterdir()) if path.is_dir()]
    return [path.name for path in folders if path.name not in (*AREAS, *_OWN)]


def summary(store: Store) -> list[Kind]:
    """Every kind and area with what it takes."""
    found = []
    for kind in kinds(store):
        entries = store.entries(kind)
        sizes = sum(entry.size for entry in entries)
        found.append(Kind(kind, len(entries), sizes, max((entry.used for entry in entries), default=0.0)))
    for name in AREAS:
        folder = store.root / name
        if folder.is_dir():
            found.append(Kind(name, len(list(folder.iterdir())), tree_size(folder), folder.stat().st_mtime))
    return found


def every_entry(store: Store) -> list[Entry]:
    return [entry for kind in kinds(store) for entry in store.entries(kind)]


def damages(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Damage | None]]:
    """Read every file of `entries` and say which are not as they were made, as each is done."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for entry, found in zip(entries, pool.map(lambda entry: faults(entry.path), entries), strict=True):
            yield entry, Damage(entry, tuple(found)) if found else None


def prune(store: Store, keep: int) -> list[Entry]:
    """Let go what was not used for longest, until at most `keep` bytes are left. Raises StoreBusy."""
    require_idle(store)
    now = time.time()
    entries = sorted([*every_entry(store), *_parts(store)], key=lambda entry: min(entry.used, now))
    size, gone = sum(entry.size for entry in entries), []
    for entry in entries:
        if size <= keep:
            break
        _let_go(store, entry)
        gone.append(entry)
        size -= entry.size
    return gone


def _parts(store: Store) -> list[Entry]:
    """What lies in the areas, piece by piece."""
    folders = [store.root / name for name in AREAS if (store.root / name).is_dir()]
    pieces = [piece for folder in folders for piece in folder.iterdir()]
    return [
        Entry(piece.parent.name, piece.name, piece, _size(piece), piece.stat().st_mtime)
        for piece in pieces
        if piece.exists()
    ]


def _size(path: Path) -> int:
    return tree_size(path) if path.is_dir() else path.stat().st_size


def _let_go(store: Store, entry: Entry) -> None:
    if (entry.path / NAME).exists() or entry.kind not in AREAS:
        store.remove(entry)
    elif entry.path.is_dir():
        remove_tree(entry.path)
    else:
        entry.path.unlink(missing_ok=True)


def require_idle(store: Store) -> None:
    """Nothing is taken from under a build that runs. Raises StoreBusy."""
    work = store.area("work")
    for path in work.iterdir():
        with suppress(FileNotFoundError):
            try:
                with locked(path):
                    pass
            except BlockingIOError as error:
                raise StoreBusy(path=store.root, process=path.name.partition("-")[0]) from error


def parse_size(text: str) -> int | None:
    """Bytes of a size such as 10GB, 512MiB or 0; None if it is none."""
    units = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    units |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
    digits = text.strip().rstrip("BKMGTIbkmgti ")
    unit = text.strip()[len(digits) :].strip().upper()
    try:
        value = float(digits)
    except ValueError:
        return None
    return int(value * units[unit]) if unit in units and 0 <= value < 1e15 else None
