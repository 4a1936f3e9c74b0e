"""What a step needs elsewhere: the project's directory as an entry of the store, and which monolisp this is."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from monolisp.store import Store, digest_of, sha256_file

TREES, EXECUTABLES = "trees", "executables"
_PACKAGE = Path(__file__).parents[1]
_KEPT_HIDDEN = (".sbcl-version",)


def keep_tree(folder: Path, without: Path, store: Store) -> str:
    """Keep the files below `folder` in the store, without hidden ones and those below `without`; returns the digest."""
    paths = sorted(_paths(folder, without))
    rows = [[path, os.access(folder / path, os.X_OK), sha256_file(folder / path)] for path in paths]
    digest = digest_of(["tree", rows])

    def make(directory: Path) -> None:
        for path in paths:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / path, directory / path)
            (directory / path).chmod(0o755 if os.access(folder / path, os.X_OK) else 0o644)

    _share(TREES, digest, store.entry(TREES, digest, make), store)
    return digest


def _share(kind: str, digest: str, entry: Path, store: Store) -> None:
    """Into the remote store, also when it was here already."""
    if store.tier is not None:
        store.tier.offer(kind, digest, entry)


def _paths(folder: Path, without: Path) -> Iterator[str]:
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if name[0] != "." and Path(place, name) != without]
        shown = [name for name in files if name[0] != "." or name in _KEPT_HIDDEN]
        yield from (os.path.relpath(Path(place, name), folder) for name in shown if Path(place, name).is_file())


def keep_executable(path: Path, store: Store) -> str:
    """Keep a finished executable in the store, so that it can be shared; returns the digest."""
    digest = sha256_file(path)[:32]

    def make(directory: Path) -> None:
        shutil.copyfile(path, directory / "program")
        (directory / "program").chmod(0o755)

    _share(EXECUTABLES, digest, store.entry(EXECUTABLES, digest, make), store)
    return digest


def this_monolisp() -> str:
    """A hash over all of monolisp: workers with another one would make other programs."""
    files = (path for path in _PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyo"))
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(_PACKAGE)}\0{sha256_file(path)}\0".encode())
    return digest.hexdigest()
