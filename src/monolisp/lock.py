"""monolisp.lock: which foreign libraries a project was built with, so that the next build begins with them.

A pure value and its TOML text; libraries/ decides what a lock means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import BadLock

FILE = "monolisp.lock"
_FORMAT = 1
_KEYS = ("name", "version", "sha256", "programs")


@dataclass(frozen=True)
class Locked:
    """One library: `sha256` are the checksums of its source's archive, one for each place it can be had from, and
    `programs` the programs of this directory that use it."""

    name: str
    version: str
    sha256: tuple[str, ...]
    programs: tuple[str, ...] = ()


Lock = Mapping[str, Locked]


def parse_lock(text: str, file: str) -> Lock:
    """The lock that a TOML text says: name → library. Raises BadLock."""
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadLock(file=file, reason=error) from error
    if table.get("format") != _FORMAT:
        reason = f"its format is {table.get('format', 'not said')}; this monolisp knows format {_FORMAT}"
        raise BadLock(file=file, reason=reason)
    rows = table.get("library", [])
    if not isinstance(rows, list):
        raise BadLock(file=file, reason="library is no array of tables")
    return {locked.name: locked for locked in (_locked(row, file) for row in rows)}


def _locked(row: object, file: str) -> Locked:
    if not isinstance(row, dict) or set(row) != set(_KEYS):
        raise BadLock(file=file, reason=f"each library has the keys {', '.join(_KEYS)}, and no others")
    lists = (row["sha256"], row["programs"])
    plain = isinstance(row["name"], str) and isinstance(row["version"], str)
    if not plain or not all(isinstance(rows, list) and all(isinstance(item, str) for item in rows) for rows in lists):
        raise BadLock(file=file, reason="name and version are strings, sha256 and programs are lists of strings")
    return Locked(row["name"], row["version"], *map(tuple, lists))


def read_lock(path: Path) -> Lock:
    """The lock at `path`; an empty one when there is no such file. Raises BadLock."""
    try:
        return parse_lock(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadLock(file=path, reason=error) from error


def lock_text(libraries: Sequence[Locked]) -> str:
    """The file's text: sorted by name, so that a change shows as a change."""
    lines = ["# The foreign libraries of this project, written by monolisp. Keep it under version control.", ""]
    lines.append(f"format = {_FORMAT}")
    for locked in sorted(libraries, key=lambda locked: locked.name):
        lines += ["", "[[library]]", f"name = {_quoted(locked.name)}", f"version = {_quoted(locked.version)}"]
        lines.append(f"sha256 = [{', '.join(map(_quoted, locked.sha256))}]")
        lines.append(f"programs = [{', '.join(map(_quoted, sorted(locked.programs)))}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
