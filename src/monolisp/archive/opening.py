"""A bundle opened: unpacked where nothing else is, every file compared with its manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from monolisp.archive.bundle import MANIFEST, RECORD, SUM, TOOLCHAINS
from monolisp.archive.places import Places
from monolisp.archive.project import is_safe
from monolisp.archive.rebuild import Original, Search, original_of
from monolisp.errors import BadArchive, BadChecksums, DamagedBundle, NoSuchFile, Unreadable, UnsafeArchive
from monolisp.provenance.record import decode
from monolisp.remote.pack import inflate
from monolisp.sources.unpack import unpack
from monolisp.store import Store, sha256_file
from monolisp.store.manifest import paths_in
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import KIND
from monolisp.trust.checksums import parse_checksums

# The directories that files are looked for in; systems are looked for in their own.
_PLACES = ("project", "archives", "headers", "recipes", "sources")
# The longest tar that a bundle may hold, in bytes.
_MOST = 1 << 36
# The longest header of a zstd frame, in bytes. Source: RFC 8878, 3.1.1.1.
_HEADER = 18


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds, unpacked in `folder`; `original` is the executable that it is about."""

    folder: Path
    original: Original

    @property
    def search(self) -> Search:
        """Nothing is looked for elsewhere."""
        folders = (self.folder / name for name in _PLACES)
        systems = self.folder / "systems"
        return Search(Places(tuple(filter(Path.is_dir, folders))), (systems,) if systems.is_dir() else ())

    def machine(self, machine: Machine, from_source: bool) -> Machine:
        """`machine` without a network, with the SBCL of the bundle as the one that compiles SBCL.

        Unless SBCL is to be built `from_source`, the bundle's toolchain is used. What a bundle brings is believed for
        this one build only: it goes into a store of its own, over the user's.
        """
        path = f"{self.folder / 'host-lisp' / 'bin'}:{machine.path}"
        alone = replace(machine, offline=True, source_dir=None, environ={**machine.environ, "PATH": path})
        digest = self.original.record.sbcl.toolchain
        brought = self.folder / TOOLCHAINS / digest
        if from_source or not is_safe(digest) or not brought.is_dir():
            return alone
        own = Store(
            self.folder.with_name("store"), (machine.store.root, *machine.store.shared), None, machine.store.tell
        )
        own.prepare().entry(KIND, digest, lambda directory: _move(brought, directory))
        return replace(alone, store=own)


def _move(folder: Path, into: Path) -> None:
    for path in folder.iterdir():
        path.rename(into / path.name)


def open_bundle(file: Path, into: Path) -> Bundle:
    """Unpack the bundle `file` as the directory `into`. Raises DamagedBundle, NoSuchFile, Unreadable, DiskFull."""
    plain = into.with_suffix(".tar")
    try:
        inflate(file, _size(file), plain)
        unpack(plain, into)
        _check(into)
        return Bundle(into, _original(into))
    except FileNotFoundError as error:
        raise NoSuchFile(file=file, reason="") from error
    except PermissionError as error:
        raise Unreadable(file=file, reason=error.strerror or error) from error
    except (BadArchive, BadChecksums, UnsafeArchive) as error:
        raise DamagedBundle(file=file, reason=f"{error.what_text}: {error.why_text}") from error
    except ValueError as error:
        raise DamagedBundle(file=file, reason=error) from error
    finally:
        plain.unlink(missing_ok=True)


def _size(file: Path) -> int:
    """How long the tar is. Raises ValueError."""
    import zstandard

    with file.open("rb") as stream:
        head = stream.read(_HEADER)
    try:
        size = zstandard.frame_content_size(head)
    except zstandard.ZstdError as error:
        raise ValueError("it is not compressed with zstd") from error
    if not 0 < size <= _MOST:
        raise ValueError("it does not say how long it is, or is absurdly long")
    return size


def _check(folder: Path) -> None:
    """Every file is in the manifest, with its sha256, and the reverse. Raises ValueError."""
    if not (folder / MANIFEST).is_file():
        raise ValueError("it has no manifest")
    rows = parse_checksums((folder / MANIFEST).read_bytes(), MANIFEST)
    told = {os.fsdecode(name): found for name, found in rows.items()}
    there = {name for name in paths_in(folder) if name != MANIFEST}
    faults = [f"{name} is missing" for name in told if name not in there]
    faults += [f"{name} is not in its manifest" for name in there if name not in told]
    faults += [f"{name} was changed" for name in sorted(there & told.keys()) if _changed(folder / name, told[name])]
    if faults:
        more = f", and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ValueError("; ".join(sorted(faults)[:5]) + more)


def _changed(path: Path, expected: str) -> bool:
    return path.is_symlink() or sha256_file(path) != expected


def _original(folder: Path) -> Original:
    """The executable of the bundle, or else what is said of it. Raises ValueError."""
    told = _texts(folder)
    match = re.fullmatch(r"([0-9a-f]{64})  executable/(.+)\n", told[SUM], re.DOTALL)
    if match is None:
        raise ValueError(f"{SUM} cannot be read")
    if "/" in match[2] or not (folder / "executable" / match[2]).is_file():
        return Original(decode(told[RECORD].encode()), match[1])
    return original_of(folder / "executable" / match[2])


def _texts(folder: Path) -> Mapping[str, str]:
    for name in (RECORD, SUM):
        if not (folder / name).is_file():
            raise ValueError(f"it has no {name}")
    return {name: (folder / name).read_text(encoding="utf-8") for name in (RECORD, SUM)}
