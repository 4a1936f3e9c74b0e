"""The objects of a saved heap, one after another, and what they are, as a person would name them.

A Shape says what differs between versions and processors: shape.lisp tells it. Source: SBCL src/runtime/gc-common.c
(sizes), src/compiler/generic/objdef.lisp, 2.5.2 to 2.6.7, of 64 bits.
"""

from __future__ import annotations

import bisect
import json
import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

from monolisp.lisp.corefile import Memory, Space

_WORD = 8
_POINTER = (1 << 48) - 1
_ADDRESS = 6  # octets; above them some slots keep a small number
_SHORT = 0x7FFF
_MOST_TEXT, _MOST_PARTS, _DEEPEST = 60, 6, 3
# How far, and over how many, it is looked for something with a name that holds an object.
_MOST_KNOWN = 8
_FURTHEST, _MOST_HOLDERS = 8, 400


@dataclass(frozen=True)
class Shape:
    """Numbers of one SBCL for one processor: `tags` of objects, `vectors`: bits of an element, and how many elements
    there are besides those that count; lowtags; places of slots, in words."""

    tags: Mapping[int, str]
    vectors: Mapping[int, tuple[int, int]]
    list: int
    other: int
    function: int
    instance: int
    fixnum: int
    length_shift: int
    compact: int
    symbol_size: int
    symbol_name: int
    fdefn_name: int
    debug_info: int
    data_start: int
    layout_class: int
    class_name: int
    info_name: int
    info_source: int
    source_file: int
    location_file: int


def shape_of(text: str) -> Shape:
    """From what shape.lisp prints. Raises ValueError."""
    told = json.loads(text)
    plain = {item.name: told[item.name] for item in fields(Shape) if item.name not in ("tags", "vectors")}
    tags = {int(number): name for number, name in told["tags"].items()}
    vectors = {int(number): (bits, more) for number, (bits, more) in told["vectors"].items()}
    return Shape(tags=tags, vectors=vectors, **plain)


@dataclass(frozen=True)
class Part:
    """The objects of one space: `starts` are their addresses, in order."""

    space: Space
    content: bytes
    starts: array[int]


@dataclass(frozen=True)
class Heap:
    memory: Memory
    shape: Shape

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return tuple(self._part(space) for space in self.memory.spaces if space.size)

    def _part(self, space: Space) -> Part:
        content = bytes(self.memory.content(space))
        return Part(space, content, array("Q", self._walk(content, space.start)))

    def _walk(self, content: bytes, start: int) -> Iterator[int]:
        words = memoryview(content)[: len(content) // 16 * 16].cast("Q")
        vectors = self.shape.vectors
        sizes = {tag: _SIZES.get(name, _boxed) for tag, name in self.shape.tags.items() if tag not in vectors}
        sizes |= {tag: lambda *_: self.shape.symbol_size for tag, name in self.shape.tags.items() if name == "symbol"}
        shift, fixnum = self.shape.length_shift, self.shape.fixnum
        place, end = 0, len(words)
        while place < end:
            word = words[place]
            tag = word & 0xFF
            if tag in sizes:
                yield start + place * _WORD
                place += max(2, (sizes[tag](word, shift) + 1) & ~1)
            elif tag in vectors:
                yield start + place * _WORD
                bits, more = vectors[tag]
                length = words[place + 1] >> fixnum
                place += (2 + -(-(length + more) * bits // 64 if length + more else 0) + 1) & ~1
            else:
                # Two words of zero are a cons, or no object; nobody asks which.
                if word or words[place + 1]:
                    yield start + place * _WORD
                place += 2

    # What an object is

    def part_at(self, address: int) -> Part | None:
        return next((part for part in self.parts if 0 <= address - part.space.start < part.space.size), None)

    def object_at(self, address: int) -> int:
        """The address of the object in which the word at `address` is."""
        part = self.part_at(address)
        if part is None or not part.starts or address < part.starts[0]:
            raise self.memory.bad(f"nothing is at {address:#x}")
        return part.starts[bisect.bisect_right(part.starts, address) - 1]

    def kind(self, address: int) -> str:
        """cons, symbol, code-header…; an instance by the name of its class."""
        word = self.memory.word(address)
        name = self.shape.tags.get(word & 0xFF, "cons")
        return self._class(address, word) if name == "instance" else name

    def _class(self, address: int, word: int) -> str:
        layout = word >> 32 if self.shape.compact else self.memory.word(address, 1) & _POINTER
        if not layout:
            return "instance"
        return self._text(self._slot(self._slot(layout, self.shape.layout_class), self.shape.class_name))

    def _slot(self, pointer: int, index: int) -> int:
        return self.memory.word(pointer, self.shape.data_start + index)

    def name(self, address: int) -> str | None:
        """What has a name of its own: a symbol, a function's place, code."""
        kind = self.kind(address)
        if kind == "symbol":
            place = self._place(address)
            return f"symbol {self._symbol(address)}" + (f", defined in {place}" if place else "")
        if kind == "fdefn":
            return f"function {self._text(self.memory.word(address, self.shape.fdefn_name))}"
        if kind == "code-header":
            return self._code(address)
        return None

    def _code(self, address: int) -> str | None:
        info = self.memory.word(address, self.shape.debug_info)
        if not self._is(info, self.shape.instance) or self.kind(info & ~0xF) != "COMPILED-DEBUG-INFO":
            return None
        source = self._slot(info, self.shape.info_source)
        name = self._text(self._slot(info, self.shape.info_name))
        if not self._is(source, self.shape.instance) or self.kind(source & ~0xF) != "DEBUG-SOURCE":
            return f"code of {name}"
        file = self._slot(source, self.shape.source_file)
        return f"code of {name}" + (f", from {self._text(file)}" if self._is(file, self.shape.other) else "")

    def _place(self, symbol: int) -> str | None:
        """The file in which a symbol's variable is defined: a symbol holds what SBCL knows of it."""
        for known in self._held(symbol, self.shape.symbol_size, "PACKED-INFO"):
            for place in self._held(known, _MOST_KNOWN, "DEFINITION-SOURCE-LOCATION"):
                file = self._slot(place, self.shape.location_file)
                return self._text(file) if self._is(file, self.shape.other) else None
        return None

    def _held(self, holder: int, words: int, kind: str) -> Iterator[int]:
        """The instances of the class `kind` to which one of the first `words` of an object refers."""
        for index in range(1, words):
            pointer = self.memory.word(holder, index) & _POINTER
            if self._is(pointer, self.shape.instance) and self.kind(pointer & ~0xF) == kind:
                yield pointer & ~0xF

    def _is(self, pointer: int, lowtag: int) -> bool:
        return pointer & 0xF == lowtag and self.part_at(pointer) is not None

    def _symbol(self, address: int) -> str:
        return self._string((self.memory.word(address, self.shape.symbol_name) & _POINTER) & ~0xF)

    def _string(self, address: int) -> str:
        name = self.shape.tags.get(self.memory.word(address) & 0xFF, "")
        length = min(self.memory.word(address, 1) >> self.shape.fixnum, _MOST_TEXT)
        if name == "simple-base-string":
            return bytes(self.memory.octets(address + 2 * _WORD, length)).decode("latin-1")
        if name == "simple-character-string":
            octets = bytes(self.memory.octets(address + 2 * _WORD, length * 4))
            return "".join(chr(code & 0x1FFFFF) for (code,) in struct.iter_unpack("<I", octets))
        return "?"

    def _text(self, pointer: int, depth: int = 0) -> str:
        """A name: symbols, strings, numbers, lists of these."""
        if pointer & ((1 << self.shape.fixnum) - 1) == 0:
            return str(pointer >> self.shape.fixnum)
        if pointer & 0xF == self.shape.list:
            if not self._is_cons(pointer):
                return "NIL"
            return self._list(pointer, depth) if depth < _DEEPEST else "(…)"
        if self.part_at(pointer) is None:
            return "…"
        address = pointer & ~0xF
        kind = self.kind(address)
        if kind == "symbol":
            return self._symbol(address)
        return self._string(address) if kind.endswith("-string") else f"a {kind}"

    def _is_cons(self, pointer: int) -> bool:
        """NIL points as a list does, into the middle of a symbol, or where nothing is saved."""
        return self._is(pointer, self.shape.list) and self.object_at(pointer) == pointer & ~0xF

    def _list(self, pointer: int, depth: int) -> str:
        parts: list[str] = []
        while self._is_cons(pointer) and len(parts) < _MOST_PARTS:
            parts.append(self._text(self.memory.word(pointer), depth + 1))
            pointer = self.memory.word(pointer, 1)
        return f"({' '.join(parts)})"

    def _at(self, address: int) -> int:
        """The word at an address that is no pointer: objects begin at every other word."""
        return self.memory.word(address, address // _WORD % 2)

    def word_text(self, address: int) -> str:
        """A word, and what it points to, if anything."""
        word = self._at(address)
        return f"{word:#x} ({self._text(word)})" if self._pointer(word) and self.part_at(word) else f"{word:#x}"

    def points_alike(self, address: int, other: Heap, there: int) -> bool:
        """Whether two words point to objects of the same kind."""
        words = self._at(address), other._at(there)
        if words[0] & 0xF != words[1] & 0xF or not all(map(self._pointer, words)):
            return False
        if not self.part_at(words[0]) or not other.part_at(words[1]):
            return False
        return self.kind(self.object_at(words[0])) == other.kind(other.object_at(words[1]))

    def _pointer(self, word: int) -> bool:
        return word & 0xF in (self.shape.list, self.shape.other, self.shape.function, self.shape.instance)

    # Who holds it

    def holders(self, address: int) -> list[int]:
        """The objects that refer to the one at `address`."""
        found: dict[int, None] = {}
        for lowtag in {self.shape.list, self.shape.other, self.shape.function, self.shape.instance}:
            pattern = struct.pack("<Q", address | lowtag)[:_ADDRESS]
            for part in self.parts:
                for place in _places(part.content, pattern):
                    found.setdefault(self.object_at(part.space.start + place))
                    if len(found) > _MOST_HOLDERS:
                        return list(found)
        return list(found)

    def held_by(self, address: int) -> list[str]:
        """From the object at `address` to something with a name that holds it: what each is. Without one: itself."""
        ways = {address: [self.kind(address)]}
        front = [address]
        for _ in range(_FURTHEST):
            nearer = []
            for inner in front:
                if (name := self.name(inner)) is not None:
                    return [*ways[inner][:-1], name]
                for holder in self.holders(inner):
                    if holder not in ways and len(ways) < _MOST_HOLDERS:
                        ways[holder] = [*ways[inner], self.kind(holder)]
                        nearer.append(holder)
            front = nearer
        return ways[address]


def _places(content: bytes, pattern: bytes) -> Iterator[int]:
    place = content.find(pattern)
    while place >= 0:
        if place % _WORD == 0:
            yield place
        place = content.find(pattern, place + 1)


def _boxed(word: int, _: int) -> int:
    return 1 + ((word >> 8 & _SHORT) | 1)


def _instance(word: int, shift: int) -> int:
    return 1 + ((word >> shift & 0x3FFF) + (word >> 9 & 1) | 1)


def _code(word: int, _: int) -> int:
    return word >> 32


def _bignum(word: int, _: int) -> int:
    return 1 + (word >> 8 & 0x7FFFFF)


_SIZES = {"instance": _instance, "code-header": _code, "bignum": _bignum, "filler": _code}
