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
# What SBCL's processors have for a page, in bytes; a core does not say which, but its directory fits only one.
_PAGES = (32768, 65536, 16384, 8192, 4096)
_END, _BUILD_ID, _DIRECTORY, _INITIAL_FUNCTION = 0xF00, 0xF14, 0xF15, 0xF17
_COMPRESSED = 8
_LOWTAGS = 0xF


@dataclass(frozen=True)
class _Tagging:
    """How a processor's SBCL tags: the bits of a fixnum's tag, and the lowtags of lists and of other objects."""

    fixnum: int
    list: int
    other: int


# A core does not say which is its own, but the pointer to its table of names fits only one.
_TAGGINGS = (_Tagging(fixnum=1, list=0x7, other=0xF), _Tagging(fixnum=3, list=0x4, other=0xE))


@dataclass(frozen=True)
class ForeignName:
    """A name that Lisp calls or reads in C; its place in the list is its index in the linkage table."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Space:
    """`size` octets from the address `start`; in the file, from `offset` on, perhaps compressed. `kind` is SBCL's
    number for it."""

    kind: int
    start: int
    size: int
    offset: int
    compressed: bool


def linkage_of(path: Path) -> list[ForeignName]:
    """The linkage table of a core, or of an executable that holds one.

    Raises BadCore, BadElf, NoSuchFile, Unreadable.
    """
    with mapped(path, BadCore) as view:
        return Core(view[core_offset(view, str(path)) :], str(path)).linkage()


def tells_linkage(path: Path) -> bool:
    """Whether a core tells its linkage table: those of SBCL before 2.6.2 do not. Raises as linkage_of."""
    with mapped(path, BadCore) as view:
        return Core(view[core_offset(view, str(path)) :], str(path)).table() is not None


def build_id_of(path: Path) -> str:
    """Which SBCL saved a core, or what an executable holds. Raises BadCore, BadElf, NoSuchFile, Unreadable."""
    with mapped(path, BadCore) as view:
        return Core(view[core_offset(view, str(path)) :], str(path)).build_id()


def is_compressed(path: Path) -> bool:
    """Whether the core at `path` is compressed. Raises BadCore, BadElf, NoSuchFile, Unreadable."""
    with mapped(path, BadCore) as view:
        return Core(view[core_offset(view, str(path)) :], str(path)).is_compressed()


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
class Core:
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

    def spaces(self) -> list[Space]:
        for kind, offset, words in self.entries():
            if kind == _DIRECTORY:
                content = [self.word(offset + place * _WORD) for place in range(words)]
                rows = [content[place : place + 5] for place in range(0, words - 4, 5)]
                page = self._page([(size * _WORD, pages) for _, size, _, _, pages in rows])
                return [self._space(row, page) for row in rows]
        return []

    def _page(self, sizes: list[tuple[int, int]]) -> int:
        """The size of a page, from how many octets and pages the spaces have."""
        for page in _PAGES:
            if all(-(-size // page) == pages for size, pages in sizes):
                return page
        raise BadCore(file=self.path, reason="the sizes of its spaces fit no size of a page")

    def is_compressed(self) -> bool:
        return any(space.compressed for space in self.spaces())

    def table(self) -> int | None:
        """Where the vector of the linkage table is in memory."""
        functions = [(offset, words) for kind, offset, words in self.entries() if kind == _INITIAL_FUNCTION]
        return next((self.word(offset + _WORD) for offset, words in functions if words >= 4), None)

    def linkage(self) -> list[ForeignName]:
        vector = self.table()
        memory = Memory(self.spaces(), self.view, self.path)
        if vector is None or not memory.spaces:
            raise BadCore(file=self.path, reason="its header names no linkage table (SBCL before 2.6.2?)")
        return list(_names(memory, vector))

    def _space(self, row: list[int], page: int) -> Space:
        identifier, words, place, address, _ = row
        kind, compressed = identifier & ~_COMPRESSED, bool(identifier & _COMPRESSED)
        space = Space(kind, address, words * _WORD, (place + 1) * page, compressed)
        if space.offset + (0 if space.compressed else space.size) > len(self.view):
            raise BadCore(file=self.path, reason="it is cut off: a space of it lies beyond its end")
        return space


class Memory:
    """The saved heap, by address."""

    def __init__(self, spaces: list[Space], view: memoryview, path: str) -> None:
        self.spaces = spaces
        self._view = view
        self._path = path
        self._contents: dict[Space, memoryview] = {}

    def bad(self, reason: str) -> BadCore:
        return BadCore(file=self._path, reason=reason)

    def octets(self, address: int, size: int) -> memoryview:
        for space in self.spaces:
            if space.start <= address < space.start + space.size:
                begin = address - space.start
                found = self.content(space)[begin : begin + size]
                if len(found) == size:
                    return found
        raise self.bad(f"the address {address:#x} is in none of its spaces")

    def word(self, pointer: int, place: int = 0) -> int:
        """The word `place` words behind where a tagged pointer points to."""
        octets = self.octets(pointer & ~_LOWTAGS, (place + 1) * _WORD)
        found: int = struct.unpack_from("<Q", octets, place * _WORD)[0]
        return found

    def content(self, space: Space) -> memoryview:
        if space not in self._contents:
            stored = self._view[space.offset :]
            self._contents[space] = self._inflated(stored, space.size) if space.compressed else stored[: space.size]
        return self._contents[space]

    def _inflated(self, stored: memoryview, size: int) -> memoryview:
        import zstandard

        try:
            with zstandard.ZstdDecompressor().stream_reader(stored) as stream:
                return memoryview(stream.read(size))
        except zstandard.ZstdError as error:
            raise self.bad(f"a compressed space of it is damaged ({error})") from error


def _tagging(memory: Memory, vector: int) -> _Tagging:
    for tagging in _TAGGINGS:
        if vector & _LOWTAGS == tagging.other:
            return tagging
    raise memory.bad(f"{vector:#x}, where its linkage table should be, is no pointer to a vector")


def _names(memory: Memory, vector: int) -> Iterator[ForeignName]:
    """The vector behind SB-SYS:*LINKAGE-INFO*: a count, a word, then pairs of key and index. A key is a string for a
    function, a list of one string for data."""
    count = memory.word(vector, 2)
    tagging = _tagging(memory, vector)
    for index in range(count >> tagging.fixnum):
        key = memory.word(vector, 4 + 2 * index)
        data = key & _LOWTAGS == tagging.list
        name = _string(memory, memory.word(key) if data else key, tagging)
        yield ForeignName(name, Kind.DATA if data else Kind.FUNCTION)


def _string(memory: Memory, pointer: int, tagging: _Tagging) -> str:
    """A base-string: header, length as a fixnum, octets."""
    if pointer & _LOWTAGS != tagging.other:
        raise memory.bad(f"{pointer:#x} in its linkage table is no string")
    length = memory.word(pointer, 1) >> tagging.fixnum
    if length > 65536:
        raise memory.bad("a name in its linkage table is absurdly long")
    return bytes(memory.octets(pointer & ~_LOWTAGS, 2 * _WORD + length)[2 * _WORD :]).decode("ascii", "replace")
