"""Entries from one store to another in a file: `store export` and `store import`.

The file is a tar of archives, KIND/DIGEST.tar.zst each, in the order of their names, and of a line for each that says
how long the tar in it is: the same bytes for the same entries.
"""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from monolisp.errors import BadArchive, NotAnExport, UnsafeArchive
from monolisp.remote.pack import add_file, pack, unpack_entry
from monolisp.store import Entry, Store

_INDEX = "monolisp-export.json"
_NAME = re.compile(r"[a-z-]+/[0-9a-f]{32,64}")


def export(entries: Sequence[Entry], output: Path, tell: Callable[[str], None]) -> None:
    """Write `entries` to the file `output`, which gets its name when it is complete."""
    beside = output.with_name(f".{output.name}.part")
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".monolisp-", dir=output.parent) as folder,
            tarfile.open(beside, "w", format=tarfile.PAX_FORMAT) as tar,
        ):
            sizes: dict[str, int] = {}
            for number, entry in enumerate(sorted(entries, key=lambda entry: (entry.kind, entry.digest))):
                tell(f"packing {entry.kind} {entry.digest[:12]} ({entry.size / 1e6:.1f} MB)")
                name = f"{entry.kind}/{entry.digest}"
                archive = Path(folder, str(number))
                sizes[name] = pack(entry.path, archive)
                add_file(tar, archive, f"{name}.tar.zst")
                archive.unlink()
            index = Path(folder, _INDEX)
            index.write_text(json.dumps({"format": 1, "entries": sizes}, sort_keys=True) + "\n", encoding="utf-8")
            add_file(tar, index, _INDEX)
        beside.rename(output)
    finally:
        beside.unlink(missing_ok=True)


def import_file(file: Path, store: Store, tell: Callable[[str], None]) -> list[str]:
    """Take the entries of `file` into the store; returns the names of those that it did not have. Each is verified
    before it gets its name. Raises NotAnExport."""
    try:
        with tarfile.open(file, "r:") as tar:
            return [name for name, size in _index(file, tar).items() if _import_one(file, tar, name, size, store, tell)]
    except (OSError, tarfile.TarError, EOFError) as error:
        raise NotAnExport(file=file, reason=error) from error


def _index(file: Path, tar: tarfile.TarFile) -> dict[str, int]:
    try:
        stream = tar.extractfile(_INDEX)
        table = json.loads(stream.read() if stream else "")
        sizes: dict[str, int] = table["entries"]
        if table["format"] != 1 or not all(_NAME.fullmatch(name) and type(size) is int for name, size in sizes.items()):
            raise ValueError("its list of entries is damaged")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotAnExport(file=file, reason=f"it is not what `monolisp store export FILE` writes ({error})") from error
    return sizes


def _import_one(
    file: Path, tar: tarfile.TarFile, name: str, size: int, store: Store, tell: Callable[[str], None]
) -> bool:
    kind, digest = name.split("/")
    made = False

    def make(directory: Path) -> None:
        nonlocal made
        archive = directory.with_name(f"{directory.name}.archive")
        try:
            stream = tar.extractfile(f"{name}.tar.zst")
            if stream is None:
                raise ValueError("it is no file")
            with stream, archive.open("wb") as target:
                while piece := stream.read(1 << 20):
                    target.write(piece)
            wrong = unpack_entry(archive, size, directory)
        except (BadArchive, UnsafeArchive, ValueError, KeyError) as error:
            raise NotAnExport(file=file, reason=f"{name}: {error}") from error
        finally:
            archive.unlink(missing_ok=True)
        if wrong:
            raise NotAnExport(file=file, reason=f"{name}: {wrong[0]}")
        tell(f"imported {name}")
        made = True

    store.entry(kind, digest, make)
    return made
