"""Reading SBCL core files: the linkage table of a core, as the runtime will read it.

Source: SBCL src/runtime/core.h, coreparse.c, save.c and os-common.c, 2.6.4 (64-bit, little endian).
A core begins with a magic word; then come entries: type, length in words, contents. The directory entry says where
each space lies in the file and in memory; the initial-function entry names the vector of the linkage table.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monolisp.elf.reader import Elf, mapped
from monolisp.errors import BadCore
from monolisp.linkage.names import Kind

MAGIC = 0x5342434C
SECTION = "lisp.core"
_WORD = 8
_PAGE = 32768
_END, _BUILD_ID, _DIRECTORY, _INITIAL_FUNCTION = 0xF00, 0xF14, 0xF15, 0xF17
_COMPRESSED = 8
_LIST_LOWTAG, _OTHER_LOWTAG, _LOWTAGS = 0x7, 0xF, 0xF


@dataclass(frozen=True)
class ForeignName:
    """A name that Lisp calls or reads in C; its place in the list is its index in the linkage table."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class _Space:
    start: int
    size: int
    offset: int


def linkage_of(path: Path) -> list[ForeignName]:
    """The linkage table of a core, or of an executable that holds one.

    Raises BadCore, BadElf, NoSuchFile, Unreadable.
    """
    with mapped(path, BadCore) as view:
        return _Core(view[core_offset(view, str(path)) :], str(path)).linkage()


def build_id_of(path: Path) -> str:
    """Which SBCL saved a core, or what an executable holds. Raises BadCore, BadElf, NoSuchFile, Unreadable."""
    with mapped(path, BadCore) as view:
        return _Core(view[core_offset(view, str(path)) :], str(path)).build_id()


@dataclass(frozen=True)
class Span:
    """Where a core lies in a file: its first byte, and the first byte behind it."""

    begin: int
    end: int


def core_span(path: Path) -> Span:
    """Where a saved core lies: without the trailer (where it begins, and the magic) that SBCL writes behind it."""
    with mapped(path) as view:
        trailer = 2 * _WORD if _word_at(view, len(view) - _WORD) == MAGIC else 0
        return Span(core_offset(view, str(path)), len(view) - trailer)


def core_offset(view: memoryview, path: str) -> int:
    """Where the core begins: a core file, an ELF section, or appended with a trailer that says where."""
    if _word_at(view, 0) == MAGIC:
        return 0
    if bytes(view[:4]) == b"\x7fELF":
        section = Elf.parse(view, path).section(SECTION)
        if section is not None and _word_at(view, section.offset) == MAGIC:
            return section.offset
    if _word_at(view, len(view) - _WORD) == MAGIC:
        start = _word_at(view, len(view) - 2 * _WORD)
        if start is not None and _word_at(view, start) == MAGIC:
            return start
    raise BadCore(file=path, reason=f"it is no core, has no section {SECTION}, and no core is appended to it")


def _word_at(view: memoryview, offset: int) -> int | None:
    if offset < 0 or offset + _WORD > len(view):
        return None
    found: int = struct.unpack_from("<Q", view, offset)[0]
    return found


@dataclass(frozen=True)
class _Core:
    view: memoryview
    path: str

    def word(self, offset: int) -> int:
        found = _word_at(self.view, offset)
        if found is None:
            raise BadCore(file=self.path, reason=f"it ends before byte {offset} of its core")
        return found

    def entries(self) -> Iterator[tuple[int, int, int]]:
        """Type, offset of the contents, number of words in them."""
        offset = _WORD
        while (kind := self.word(offset)) != _END:
            length = self.word(offset + _WORD)
            if not 2 <= length < 1 << 20:
                raise BadCore(file=self.path, reason=f"entry {kind:#x} of its header has an absurd length")
            yield kind, offset + 2 * _WORD, length - 2
            offset += length * _WORD

    def build_id(self) -> str:
        """Behind the kind of its collector, two words about it, and a length in octets."""
        for kind, offset, words in self.entries():
            if kind == _BUILD_ID and words >= 4:
                length = min(self.word(offset + 3 * _WORD), (words - 4) * _WORD)
                name = bytes(self.view[offset + 4 * _WORD : offset + 4 * _WORD + length])
                return re.sub(rb"[^ -~].*", b"", name, flags=re.DOTALL).decode("ascii")
        raise BadCore(file=self.path, reason="its header does not say which SBCL saved it")

    def linkage(self) -> list[ForeignName]:
        spaces: list[_Space] = []
        vector = None
        for kind, offset, words in self.entries():
            if kind == _DIRECTORY:
                spaces = [self._space(offset + place * 5 * _WORD) for place in range(words // 5)]
            elif kind == _INITIAL_FUNCTION and words >= 4:
                vector = self.word(offset + _WORD)
        if vector is None or not spaces:
            raise BadCore(file=self.path, reason="its header names no linkage table (SBCL before 2.6?)")
        return list(self._names(spaces, vector))

    def _space(self, offset: int) -> _Space:
        identifier, words, page, address = (self.word(offset + place * _WORD) for place in range(4))
        if identifier & _COMPRESSED:
            raise BadCore(file=self.path, reason="its spaces are compressed")
        space = _Space(address, words * _WORD, (page + 1) * _PAGE)
        if space.offset + space.size > len(self.view):
            raise BadCore(file=self.path, reason="it is cut off: a space of it lies beyond its end")
        return space

    def _locate(self, spaces: list[_Space], pointer: int) -> int:
        address = pointer & ~_LOWTAGS
        for space in spaces:
            if space.start <= address < space.start + space.size:
                return space.offset + address - space.start
        raise BadCore(file=self.path, reason=f"the address {pointer:#x} is in none of its spaces")

    def _names(self, spaces: list[_Space], vector: int) -> Iterator[ForeignName]:
        """The vector behind SB-SYS:*LINKAGE-INFO*: a count, a word, then pairs of key and index. A key is a string
        for a function, a list of one string for data."""
        base = self._locate(spaces, vector) + 2 * _WORD
        for index in range(self.word(base) >> 1):
            key = self.word(base + (2 + 2 * index) * _WORD)
            data = key & _LOWTAGS == _LIST_LOWTAG
            string = self.word(self._locate(spaces, key)) if data else key
            yield ForeignName(self._string(spaces, string), Kind.DATA if data else Kind.FUNCTION)

    def _string(self, spaces: list[_Space], pointer: int) -> str:
        """A base-string: header, length as a fixnum, octets."""
        if pointer & _LOWTAGS != _OTHER_LOWTAG:
            raise BadCore(file=self.path, reason=f"{pointer:#x} in its linkage table is no string")
        base = self._locate(spaces, pointer)
        length = self.word(base + _WORD) >> 1
        if length > 65536:
            raise BadCore(file=self.path, reason="a name in its linkage table is absurdly long")
        return bytes(self.view[base + 2 * _WORD : base + 2 * _WORD + length]).decode("ascii", "replace")
