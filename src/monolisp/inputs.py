"""What a build read, and whether any of it changed since: the reason why a build runs again, or need not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from monolisp.store import digest_of, sha256_file

_SYSTEMS = (".asd", ".lisp", ".conf")
# What `monolisp build` writes about an executable, beside it: what follows its name.
BESIDE = {"cyclonedx": ".cdx.json", "spdx": ".spdx.json", "attestation": ".intoto.json"}
_VIRTUAL = ("/proc/", "/dev/", "/sys/", "/run/")


@dataclass(frozen=True)
class FileState:
    """A file as it was: size in bytes, modification time in nanoseconds, sha256."""

    size: int
    modified: int
    sha256: str


@dataclass(frozen=True)
class OutputState:
    """The executable as it was left: size in bytes, modification time in nanoseconds. It is not hashed: that would
    take a tenth of a build, and an executable that was touched is simply made again."""

    size: int
    modified: int


@dataclass(frozen=True)
class Listing:
    """A directory as it was listed: the types of the files that were looked for ("*": all), a hash of the names that
    were there to be found."""

    types: tuple[str, ...]
    names: str


@dataclass(frozen=True)
class Record:
    """One finished build: the hash of its settings, the files and directories it read, and what came out."""

    settings: str
    files: Mapping[str, FileState]
    directories: Mapping[str, Listing]
    output: OutputState
    result: Mapping[str, str | None]


def file_state(path: Path) -> FileState:
    status = path.stat()
    return FileState(status.st_size, status.st_mtime_ns, sha256_file(path))


def output_state(path: Path) -> OutputState:
    status = path.stat()
    return OutputState(status.st_size, status.st_mtime_ns)


def listing(path: Path, types: Iterable[str], output: Path) -> Listing:
    """The directory `path` as it is: directories, files that make systems, and files of `types`.

    Hidden names do not count: editors and builds at work put them there. Nor does what is written about the
    executable `output` when it is recorded.
    """
    ours = {f"{output.name}{suffix}" for suffix in BESIDE.values()} if path == output.parent else set()
    wanted = tuple(sorted({*types}))
    endings = (*_SYSTEMS, *(f".{kind}" for kind in wanted if kind), *([""] if "*" in wanted else []))
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if _may_matter(entry, endings) and entry.name not in ours)
    except OSError:
        return Listing(wanted, "gone")
    return Listing(wanted, digest_of(names))


def _may_matter(entry: os.DirEntry[str], endings: tuple[str, ...]) -> bool:
    if entry.name.startswith("."):
        return False
    if entry.name.endswith(endings):
        return True
    try:
        return entry.is_dir()
    except OSError:
        return False


def record_of(
    settings: str,
    files: Iterable[str],
    directories: Mapping[str, Iterable[str]],
    base: Path,
    without: Iterable[Path],
    output: Path,
    result: Mapping[str, str | None],
) -> Record:
    """Record a build that has just ended; whatever lies below one of `without` is not an input.

    `directories` says which types of files were looked for in each; names are relative to the directory `base`.
    """
    skipped = tuple(f"{path}/" for path in without) + _VIRTUAL
    wanted = sorted({str(base / name) for name in files})
    states = {name: file_state(Path(name)) for name in wanted if not name.startswith(skipped) and Path(name).is_file()}
    listed: dict[str, set[str]] = {}
    for name, types in directories.items():
        listed.setdefault(str(base / name), set()).update(types)
    kept = sorted(name for name in listed if not f"{name}/".startswith(skipped))
    listings = {name: listing(Path(name), listed[name], output) for name in kept}
    return Record(settings, states, listings, output_state(output), result)


def changes(record: Record, settings: str, output: Path) -> list[str]:
    """Every reason why the recorded build does not stand any more; none means it is up to date."""
    reasons = [] if record.settings == settings else ["options, environment or toolchain changed"]
    if not output.exists() or output_state(output) != record.output:
        reasons.append(f"{output} is missing or was changed")
    reasons += [f"{name} changed" for name, state in record.files.items() if not _same(Path(name), state)]
    moved = [name for name, seen in record.directories.items() if listing(Path(name), seen.types, output) != seen]
    return reasons + [f"something came to or went from {name}" for name in moved]


def _same(path: Path, state: FileState) -> bool:
    """Size and time first; a file that was only touched is hashed."""
    try:
        status = path.stat()
    except OSError:
        return False
    if status.st_size != state.size:
        return False
    return status.st_mtime_ns == state.modified or sha256_file(path) == state.sha256


def read_record(path: Path) -> Record | None:
    """The record of an earlier build; none when there is none, or when it is another monolisp's."""
    try:
        told = json.loads(path.read_bytes())
        files = {name: FileState(**state) for name, state in told["files"].items()}
        directories = {name: _read_listing(**seen) for name, seen in told["directories"].items()}
        result = dict(told["result"].items())
        return Record(told["settings"], files, directories, OutputState(**told["output"]), result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_listing(types: list[str], names: str) -> Listing:
    return Listing(tuple("" + kind for kind in types), names)


def write_record(path: Path, record: Record) -> None:
    """Written aside and renamed: a reader finds the old one or the new one."""
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps(asdict(record)), encoding="utf-8")
    aside.rename(path)
