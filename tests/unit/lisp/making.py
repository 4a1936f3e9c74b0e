"""SBCL core files made by hand, word by word: nothing here comes from the reader under test.

Source: SBCL src/runtime/core.h, save.c and gc-common.c, src/code/foreign.lisp, 2.6.4 (64-bit, little endian).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

MAGIC = 0x5342434C
PAGE = 32768
END, BUILD_ID, DIRECTORY, INITIAL_FUNCTION, OPTIONS = 0xF00, 0xF14, 0xF15, 0xF17, 0x31EBF355
LIST, OTHER = 7, 15
SIMPLE_VECTOR, BASE_STRING = 0x89, 0xE1
FIXED, DYNAMIC = 0x50000000, 0x1000000000


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def fixnum(value: int) -> int:
    return value << 1


@dataclass(frozen=True)
class Name:
    """A key of the linkage table to be: a string for a function, a list of one for data."""

    text: str
    data: bool = False


class Heap:
    """A space that grows; objects are aligned to two words."""

    def __init__(self, start: int) -> None:
        self.start, self.content = start, b""

    def put(self, content: bytes, lowtag: int) -> int:
        """Returns a tagged pointer."""
        self.content += b"\0" * (-len(self.content) % 16)
        pointer = self.start + len(self.content) + lowtag
        self.content += content
        return pointer

    def string(self, text: str) -> int:
        return self.put(words(BASE_STRING, fixnum(len(text))) + text.encode() + b"\0", OTHER)

    def cons(self, car: int, cdr: int) -> int:
        return self.put(words(car, cdr), LIST)

    def vector(self, *elements: int) -> int:
        return self.put(words(SIMPLE_VECTOR, fixnum(len(elements)), *elements), OTHER)


@dataclass(frozen=True)
class Space:
    """A row of the directory; `page` counts the pages of the file behind the header's."""

    identifier: int
    heap: Heap
    page: int

    def row(self) -> bytes:
        length = -(-len(self.heap.content) // 8)
        return words(self.identifier, length, self.page, self.heap.start, -(-length * 8 // PAGE))


def entry(kind: int, content: bytes) -> bytes:
    return words(kind, 2 + len(content) // 8) + content


def initial_function(vector: int) -> bytes:
    """Number of prelinked names, their vector, the thread-local map, the function."""
    return entry(INITIAL_FUNCTION, words(3, vector, 0, DYNAMIC + 11))


def core_of(entries: Sequence[bytes], spaces: Sequence[Space] = ()) -> bytes:
    """A core file: magic word, entries, end; then the spaces, each from a page of its own."""
    core = words(MAGIC) + b"".join(entries) + words(END)
    for space in spaces:
        core = core.ljust((space.page + 1) * PAGE, b"\0") + space.heap.content
    return core


def key_vector(heap: Heap, names: Sequence[Name], strings: Heap | None = None) -> int:
    """What a hash table keeps its keys and values in: how many pairs, a word, key and value by turns."""
    pairs: list[int] = []
    for index, name in enumerate(names):
        string = (strings or heap).string(name.text)
        pairs += [heap.cons(string, 0x100) if name.data else string, fixnum(index)]
    return heap.vector(fixnum(len(names)), 0, *pairs)


def make_core(names: Sequence[Name], options: bool = False) -> bytes:
    """A core with this linkage table: vector and conses in one space, the strings in another that ends the file."""
    dynamic, fixed = Heap(DYNAMIC), Heap(FIXED)
    vector = key_vector(dynamic, names, fixed)
    dynamic.content += b"\0" * (-len(dynamic.content) % 8)
    fixed.content += b"\0" * (-len(fixed.content) % 8)
    spaces = [Space(1, dynamic, 0), Space(6, fixed, 1)]
    entries = [
        *([entry(OPTIONS, words(1 << 30, 1 << 21, 0))] if options else []),
        entry(BUILD_ID, words(1, 9, 0x50000117, 8) + b"build-id"),
        entry(DIRECTORY, b"".join(space.row() for space in spaces)),
        initial_function(vector),
    ]
    return core_of(entries, spaces)
