"""Where files are looked for that a record names: by name, else by sha256 anywhere below the user's directories."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from monolisp.errors import NoSuchFile
from monolisp.provenance.record import File
from monolisp.sources.pin import Place
from monolisp.store import sha256_file

# What version control keeps beside the files that it versions.
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"})


class _Any(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


ANY = _Any()


@dataclass(frozen=True)
class Places:
    """`folders` are searched through, `beside` is one where files are looked for under their own names only."""

    folders: tuple[Path, ...] = ()
    beside: Path | None = None

    def check(self) -> None:
        """Raises NoSuchFile for a directory that is none."""
        for folder in self.folders:
            if not folder.is_dir():
                raise NoSuchFile(file=folder, reason="--source-dir names a directory")

    def find(self, file: File) -> Path | None:
        """The file with this content: under its own name first, then under its last name, then under any."""
        own = [folder / file.name for folder in (*self.folders, *([self.beside] if self.beside else []))]
        last = [path for path in self.files if path.name == Path(file.name).name]
        for path in (*own, *last):
            if path.is_file() and self._sum(path) == file.sha256:
                return path
        return next((path for path in self.files if self._sum(path) == file.sha256), None)

    def changed(self, file: File) -> Path | None:
        """A file of that name with another content."""
        folders = (*self.folders, *([self.beside] if self.beside else []))
        return next((folder / file.name for folder in folders if (folder / file.name).is_file()), None)

    def find_archive(self, places: Sequence[Place]) -> tuple[Path, Place] | None:
        """An archive that one of the places of a pin would give, whatever its name."""
        by_sum = {place.sha256: place for place in places}
        sizes, names = {place.size for place in places}, {place.file for place in places}
        for path in self.files:
            if 0 in sizes or path.name in names or path.stat().st_size in sizes:
                place = by_sum.get(self._sum(path))
                if place is not None:
                    return path, place
        return None

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file below the directories."""
        return tuple(path for folder in self.folders for path in files_below(folder))

    @cached_property
    def _sums(self) -> dict[Path, str]:
        return {}

    def _sum(self, path: Path) -> str:
        """The sha256 of a file, read once; empty for one that cannot be read."""
        if path not in self._sums:
            try:
                self._sums[path] = sha256_file(path)
            except OSError:
                self._sums[path] = ""
        return self._sums[path]


def files_below(folder: Path, names: Container[str] = ANY) -> Iterator[Path]:
    """Every file below a directory that is called one of `names`, in a certain order; what version control keeps for
    itself is left out, and what cannot be looked at."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - VERSION_CONTROL)
        for name in sorted(files):
            if name in names and _is_file(path, name):
                yield Path(path, name)


def _is_file(folder: str, name: str) -> bool:
    try:
        return Path(folder, name).is_file()
    except OSError:
        return False
