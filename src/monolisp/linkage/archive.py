"""Reading `ar` archives: the members of a static library.

Source: the System V / GNU variant of the common archive format, ar(5); BSD long names are read too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monolisp.errors import BadElf

MAGIC = b"!<arch>\n"
_HEADER = 60
_INDEXES = {"/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED", "__.SYMDEF_64", "__.SYMDEF_64 SORTED"}


@dataclass(frozen=True)
class Member:
    """One file of an archive; `data` is a view into the archive."""

    name: str
    data: memoryview


def members(view: memoryview, archive: str) -> Iterator[Member]:
    """The members of the archive held in `view`, without its indexes. Raises BadElf (naming `archive`)."""
    if bytes(view[: len(MAGIC)]) != MAGIC:
        raise BadElf(file=archive, reason="it is no archive: the magic !<arch> is missing (thin archives are not read)")
    position, long_names = len(MAGIC), b""
    while position < len(view):
        name, size = _header(view, position, archive)
        data = view[position + _HEADER : position + _HEADER + size]
        if len(data) != size:
            raise BadElf(file=archive, reason=f"its member {name} is cut off")
        position += _HEADER + size + size % 2
        if name == "//":
            long_names = bytes(data)
        elif name not in _INDEXES:
            member = _named(name, data, long_names, archive)
            if member.name not in _INDEXES:
                yield member


def _header(view: memoryview, position: int, archive: str) -> tuple[str, int]:
    header = bytes(view[position : position + _HEADER])
    size = header[48:58].strip()
    if len(header) != _HEADER or header[58:] != b"`\n" or not size.isdigit():
        raise BadElf(file=archive, reason=f"no member header at byte {position}")
    return header[:16].decode("ascii", "replace").rstrip(" "), int(size)


def _named(name: str, data: memoryview, long_names: bytes, archive: str) -> Member:
    if name.startswith("#1/") and name[3:].isdigit():
        length = int(name[3:])
        if length > len(data):
            raise BadElf(file=archive, reason=f"a name of {length} bytes is longer than its member")
        return Member(bytes(data[:length]).rstrip(b"\0").decode("utf-8", "replace"), data[length:])
    if name.startswith("/") and name[1:].isdigit():
        start = int(name[1:])
        end = long_names.find(b"\n", start)
        if start >= len(long_names) or end < 0:
            raise BadElf(file=archive, reason=f"the long name {name} is not in its table of names")
        name = long_names[start:end].decode("utf-8", "replace")
    return Member(name.removesuffix("/"), data)
