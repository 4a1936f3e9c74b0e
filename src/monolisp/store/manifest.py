"""The manifest of an entry: every file in it with size, mode and sha256, written when the entry is complete.

It is what `store verify` compares with, and what a remote store signs. At each use only what costs nothing is looked
at: whether every file is there, with its size.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from monolisp.store.files import sha256_file

NAME = ".manifest"
_FORMAT = 1


@dataclass(frozen=True)
class FileFacts:
    """One file of an entry, by its path in it: `kind` is "file", "program" (a file that may be executed) or "link",
    `size` in bytes, `content` the sha256 of a file, or where a link leads."""

    path: str
    kind: str
    size: int
    content: str


Manifest = tuple[FileFacts, ...]


def facts_of(directory: Path) -> Manifest:
    """What is in a directory, sorted by path; directories count only by what is in them."""
    return tuple(_facts(directory, path) for path in paths_in(directory) if path != NAME)


def paths_in(directory: Path) -> list[str]:
    """Files and links in a directory, however deep, sorted."""
    found = []
    for folder, names, files in os.walk(directory):
        links = [name for name in names if Path(folder, name).is_symlink()]
        found += [os.path.relpath(Path(folder, name), directory) for name in (*files, *links)]
    return sorted(found)


def _facts(directory: Path, path: str) -> FileFacts:
    full = directory / path
    status = full.lstat()
    kind = _kind(status)
    return FileFacts(path, kind, status.st_size, str(full.readlink()) if kind == "link" else sha256_file(full))


def _kind(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "link"
    return "program" if status.st_mode & 0o111 else "file"


def manifest_text(manifest: Manifest) -> str:
    rows = [[one.path, one.kind, one.size, one.content] for one in manifest]
    return json.dumps({"format": _FORMAT, "files": rows}, separators=(",", ":")) + "\n"


def parse_manifest(text: str) -> Manifest:
    """Raises ValueError for what no monolisp wrote."""
    table = json.loads(text)
    if not isinstance(table, dict) or table.get("format") != _FORMAT or not isinstance(table.get("files"), list):
        raise ValueError("it is no manifest of a format that this monolisp knows")
    return tuple(_parsed(row) for row in table["files"])


def _parsed(row: object) -> FileFacts:
    match row:
        case [str(path), "file" | "program" | "link" as kind, int(size), str(content)] if size >= 0:
            return FileFacts(path, kind, size, content)
    raise ValueError("a row of the manifest is damaged")


def write_manifest(directory: Path) -> None:
    """The last thing that is done to an entry before it gets its name."""
    (directory / NAME).write_text(manifest_text(facts_of(directory)), encoding="utf-8")


def read_manifest(directory: Path) -> Manifest:
    """Raises ValueError, saying why there is none."""
    try:
        return parse_manifest((directory / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError("it has no manifest") from error
    except OSError as error:
        raise ValueError(f"its manifest cannot be read: {error.strerror}") from error


def fault(directory: Path) -> str | None:
    """What is wrong with an entry at first sight, if anything: a file that is missing or has another size."""
    try:
        manifest = read_manifest(directory)
    except ValueError as error:
        return str(error)
    for one in manifest:
        try:
            status = (directory / one.path).lstat()
        except OSError as error:
            return f"{one.path}: {error.strerror}"
        if status.st_size != one.size or _kind(status) != one.kind:
            return f"{one.path} is not as it was made"
    return None


def faults(directory: Path) -> list[str]:
    """Everything that is wrong with an entry: each file is read."""
    try:
        expected = {one.path: one for one in read_manifest(directory)}
    except ValueError as error:
        return [str(error)]
    try:
        found = {one.path: one for one in facts_of(directory)}
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    gone = [f"{path} is missing" for path in expected if path not in found]
    strange = [f"{path} does not belong there" for path in found if path not in expected]
    changed = [f"{path} was changed" for path, one in expected.items() if path in found and found[path] != one]
    return gone + strange + changed
