"""A heap of a few objects, written by hand with the numbers of SBCL 2.6.4 on x86-64."""

from __future__ import annotations

import struct

from monolisp.compare import heap_differences
from monolisp.lisp.corefile import Memory, Space
from monolisp.lisp.heap import Heap, Shape

START = 0x1200000000
SHAPE = Shape(
    tags={45: "symbol", 137: "simple-vector", 225: "simple-base-string", 77: "value-cell", 57: "instance"},
    vectors={137: (64, 0), 225: (8, 1)},
    list=7,
    other=15,
    function=11,
    instance=3,
    fixnum=1,
    length_shift=10,
    compact=1,
    symbol_size=6,
    symbol_name=5,
    fdefn_name=2,
    debug_info=3,
    data_start=1,
    layout_class=3,
    class_name=1,
    info_name=0,
    info_source=1,
    source_file=0,
    location_file=0,
)
STRING, SYMBOL, CELL, CONS = START, START + 32, START + 80, START + 96


def heap(value: int = 42, first: int = 2) -> Heap:
    """The string "COUNT", its symbol, whose value is a cell that holds `value`; a cons of two numbers."""
    words = [225, 5 << 1, int.from_bytes(b"COUNT\0\0\0", "little"), 0]
    words += [45 | 5 << 8, 0, CELL | 15, 0, 0, STRING | 15]
    words += [77 | 1 << 8, value << 1]
    words += [first << 1, 4]
    content = struct.pack(f"<{len(words)}Q", *words)
    return Heap(Memory([Space(1, START, len(content), 0, False)], memoryview(content), "core"), SHAPE)


def test_objects_one_after_another() -> None:
    (part,) = heap().parts
    assert list(part.starts) == [STRING, SYMBOL, CELL, CONS]
    assert [heap().kind(start) for start in part.starts] == ["simple-base-string", "symbol", "value-cell", "cons"]
    assert heap().object_at(SYMBOL + 40) == SYMBOL


def test_names_and_holders() -> None:
    assert heap().name(SYMBOL) == "symbol COUNT"
    assert heap().holders(CELL) == [SYMBOL]
    assert heap().held_by(CELL) == ["value-cell", "symbol COUNT"]
    assert heap().held_by(CONS) == ["cons"]


def test_equal_heaps() -> None:
    assert heap_differences(heap(), heap()) == []


def test_a_word_that_differs() -> None:
    (found,) = heap_differences(heap(), heap(value=43))
    assert found.what == f"section lisp.core, dynamic space: value-cell at {CELL:#x}, word 1"
    assert (found.before, found.after) == ("0x54", "0x56")
    assert found.held == ("value-cell", "symbol COUNT")


def test_two_words_that_differ() -> None:
    assert [found.held[-1] for found in heap_differences(heap(), heap(value=43, first=9))] == ["symbol COUNT", "cons"]
