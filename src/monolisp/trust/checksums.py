"""SHA256SUMS: checksums of the files of a directory, in the format of sha256sum, so that `sha256sum -c` checks them.

Source: GNU coreutils 9.1, cksum(1): digest, a space, a space or "*", the name; a line that begins with a backslash has
the name's backslashes, newlines and returns escaped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from monolisp.errors import BadChecksums, OutputUnwritable
from monolisp.publish import candidate
from monolisp.store import locked, sha256_file
from monolisp.trust.reading import MOST

FILE = "SHA256SUMS"
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPES = {b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}


def write_checksums(paths: Sequence[Path]) -> list[Path]:
    """Note the sha256 of each file in the SHA256SUMS of its directory, where entries of other files stay. Several
    processes may do this at once. Returns the lists.

    Raises BadChecksums, OutputUnwritable, DiskFull.
    """
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    for folder, files in folders.items():
        _update(folder / FILE, {os.fsencode(path.name): sha256_file(path) for path in files})
    return [folder / FILE for folder in folders]


def _update(path: Path, digests: Mapping[bytes, str]) -> None:
    """Under the directory's lock, so that nobody's entry is lost."""
    try:
        with locked(path.parent, wait=True):
            before = path.read_bytes() if path.exists() else b""
            content = checksums_text({**parse_checksums(before, str(path)), **digests})
            if content == before:
                return
            with candidate(path, "sums") as beside:
                beside.write_bytes(content)
                beside.rename(path)
    except OSError as error:
        raise OutputUnwritable(path=path, reason=error.strerror or error) from error


def parse_checksums(content: bytes, name: str) -> dict[bytes, str]:
    """The entries of a list: name → sha256. `name` is for messages. Raises BadChecksums."""
    found = {}
    if len(content) > MOST:
        raise BadChecksums(file=name, reason="it is absurdly long")
    for number, line in enumerate(content.split(b"\n"), 1):
        if line and not line.startswith(b"#"):
            row = _LINE.fullmatch(line)
            if row is None:
                raise BadChecksums(file=name, reason=f"line {number} is no sha256 and name")
            plain = re.sub(rb"\\[\\nr]", lambda match: _PLAIN[match[0]], row[3]) if row[1] else row[3]
            found[plain] = row[2].decode("ascii")
    return found


def checksums_text(entries: Mapping[bytes, str]) -> bytes:
    """A list's text, sorted by name."""
    return b"".join(_line(name, entries[name]) for name in sorted(entries))


def _line(name: bytes, digest: str) -> bytes:
    escaped = re.sub(rb"[\\\n\r]", lambda match: _ESCAPES[match[0]], name)
    return (b"\\" if escaped != name else b"") + digest.encode("ascii") + b"  " + escaped + b"\n"
