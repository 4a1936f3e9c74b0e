from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monolisp.elf.facts import Facts, Kind, facts_in, facts_of
from monolisp.elf.reader import Elf
from monolisp.errors import BadElf
from tests.unit.elf.making import (
    DYNAMIC,
    FORMS,
    INTERP,
    LOAD,
    NOTE,
    RELRO,
    STACK,
    STACK_PLAIN,
    Form,
    R,
    Sec,
    Seg,
    Sym,
    W,
    X,
    dynamic_entries,
    dynamic_program,
    isa_note,
    make_elf,
    note,
    static_program,
    symbol_sections,
)


def facts(data: bytes) -> Facts:
    return facts_in(Elf.parse(memoryview(data), "a.out"), Path("a.out"))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_static_program(form: Form) -> None:
    found = facts(static_program(form))
    assert found == Facts(
        path=Path("a.out"),
        size=len(static_program(form)),
        kind=Kind.EXECUTABLE,
        bits=found.bits,
        order=found.order,
        machine=62,
        interpreter=None,
        dynamic_section=False,
        needed=(),
        undefined=(),
        loader_code=(),
        loader_paths=(),
        executable_stack=None,
        writable_code=(),
        text_relocations=False,
        x86_isa=None,
        relro=False,
        stripped=False,
        lisp=False,
    )
    assert found.machine_name == "x86-64"


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_dynamic_program(form: Form) -> None:
    found = facts(dynamic_program(form))
    assert found.kind is Kind.PIE
    assert found.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert found.dynamic_section
    assert found.needed == ("libone.so.1", "libtwo.so.2")
    assert found.undefined == ("puts",)
    assert found.loader_code == ("_dl_open", "glibc-ld.so.cache")
    assert found.loader_paths == ("/lib/ld-musl",), "the interpreter's own name is no mention of a loader"
    assert found.executable_stack and "X flag" in found.executable_stack
    assert len(found.writable_code) == 1 and "0x500000" in found.writable_code[0]
    assert found.text_relocations
    assert found.x86_isa == 3
    assert found.relro


@pytest.mark.parametrize(
    ("header_type", "segments", "kind"),
    [
        (1, [], Kind.OBJECT),
        (2, [], Kind.EXECUTABLE),
        (3, [], Kind.LIBRARY),
        (3, [Seg(INTERP, R, b"/lib/ld.so\0")], Kind.PIE),
        (3, [Seg(DYNAMIC, R, dynamic_entries([(0x6FFFFFFB, 0x08000001)], Form()))], Kind.PIE),
        (3, [Seg(DYNAMIC, R, dynamic_entries([(0x6FFFFFFB, 1)], Form()))], Kind.LIBRARY),
        (4, [], Kind.DUMP),
        (0xFE00, [], Kind.OTHER),
    ],
)
def test_kinds(header_type: int, segments: list[Seg], kind: Kind) -> None:
    assert facts(make_elf(segments, kind=header_type)).kind is kind


def test_a_missing_stack_header_counts_in_what_can_be_started() -> None:
    missing = facts(make_elf([Seg(LOAD, R | X)])).executable_stack
    assert missing and "missing" in missing
    assert facts(make_elf(kind=1)).executable_stack is None


@pytest.mark.parametrize(("flags", "count"), [(R, 0), (R | X, 0), (R | W, 0), (W | X, 1), (R | W | X, 1)])
def test_writable_code(flags: int, count: int) -> None:
    assert (
        len(facts(make_elf([Seg(LOAD, flags, b"1234"), Seg(STACK, R | W | X), Seg(RELRO, W | X)])).writable_code)
        == count
    )


@pytest.mark.parametrize(("levels", "level"), [(0, 0), (1, 1), (3, 2), (7, 3), (8, 4), (15, 4)])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_x86_levels(form: Form, levels: int, level: int) -> None:
    data = note("Go", 4, b"abcd", form, form.bits // 8) + isa_note(levels, form)
    assert facts(make_elf([Seg(NOTE, R, data, align=form.bits // 8)], form=form)).x86_isa == level


def test_x86_levels_are_for_x86() -> None:
    assert facts(make_elf([Seg(NOTE, R, isa_note(8, Form()), align=8)], machine=183)).x86_isa is None


@pytest.mark.parametrize(
    ("symbol", "counts"),
    [
        (Sym("f", 0x12, 0), True),
        (Sym("weak", 0x20, 0), False),
        (Sym("_DYNAMIC", 0x00, 0, other=2), False),
        (Sym("here", 0x12, 1), False),
        (Sym("absolute", 0x10, 0xFFF1), False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_undefined(symbol: Sym, counts: bool) -> None:
    found = facts(make_elf(sections=[Sec(".text"), *symbol_sections([symbol], Form())])).undefined
    assert found == ((symbol.name,) if counts else ())


def test_a_loader_that_is_only_called_is_not_inside() -> None:
    symbols = symbol_sections([Sym("_dl_open", 0x12, 0)], Form())
    assert facts(make_elf(sections=symbols)).loader_code == ()


MARK = b"/etc/ld-musl-"


@pytest.mark.parametrize("before", [0, (1 << 20) - 5, (1 << 20) - len(MARK), 1 << 20, (2 << 20) - 1])
def test_strings_are_found_across_the_pieces_that_are_read(before: int) -> None:
    assert facts(make_elf([Seg(LOAD, R, bytes(before) + MARK)])).loader_code == (MARK.decode(),)


def test_strings_count_only_in_what_is_loaded_and_not_in_the_lisp_core() -> None:
    outside = [Sec(".comment", data=MARK), Sec("lisp.core", data=MARK)]
    found = facts(make_elf([Seg(LOAD, R, b"nothing"), Seg(NOTE, R), STACK_PLAIN], outside))
    assert found.loader_code == ()
    assert found.lisp


def test_a_lisp_core_inside_a_segment_is_not_searched_either() -> None:
    """But what is before it and behind it is."""
    loaded = Seg(LOAD, R, b"/lib/ld-musl" + b"A" * 64 + MARK + b"B" * 64 + b"glibc-ld.so.cache", 0x400000)
    data = make_elf([loaded, STACK_PLAIN], [Sec("lisp.core")])
    assert facts(data).loader_code == ("glibc-ld.so.cache", MARK.decode())
    start, table = data.index(MARK), struct.unpack_from("<Q", data, 40)[0]
    changed = bytearray(data)
    struct.pack_into("<QQ", changed, table + 64 + 24, start - 5, len(MARK) + 10)
    assert facts(bytes(changed)).loader_code == ("glibc-ld.so.cache",)
    assert facts(bytes(changed)).loader_paths == ("/lib/ld-musl",)


def test_overlapping_segments_are_searched_once() -> None:
    """30,000 segments, each a byte longer than the last: 60 GB if each were searched."""
    data = bytearray(make_elf([Seg(LOAD, R)] * 30_000))
    for index in range(30_000):
        struct.pack_into("<QQQQ", data, 64 + 56 * index + 8, 0, 0, 0, len(data) - 30_000 + index)
    begin = time.perf_counter()
    assert facts(bytes(data)).loader_code == ()
    assert time.perf_counter() - begin < 10


def test_needed_without_names_is_broken() -> None:
    with pytest.raises(BadElf):
        facts(make_elf([Seg(DYNAMIC, R, dynamic_entries([(1, 1)], Form()))]))
    with pytest.raises(BadElf):
        facts(make_elf([Seg(DYNAMIC, R, dynamic_entries([(1, 1), (5, 0x1234)], Form()))]))


def test_memory_and_time_do_not_grow_with_the_file(tmp_path: Path) -> None:
    """A core of 3 GB (a hole on the disk) in a section outside of the segments."""
    file = tmp_path / "large"
    core_size = 3 << 30
    data = bytearray(static_program(sections=[Sec("lisp.core")]))
    table = struct.unpack_from("<Q", data, 40)[0]
    index = [section.name for section in Elf.parse(memoryview(bytes(data)), "large").sections].index("lisp.core")
    struct.pack_into("<QQ", data, table + 64 * index + 24, len(data), core_size)
    file.write_bytes(data)
    with file.open("r+b") as stream:
        stream.truncate(len(data) + core_size)
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        found = facts_of(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.lisp and found.size > core_size
    assert peak < 1 << 20
    assert time.perf_counter() - begin < 1


FILES = [build(form) for form in FORMS for build in (static_program, dynamic_program)]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=8)), max_size=5))
def test_whatever_is_changed_only_bad_elf_comes_out(data: bytes, edits: list[tuple[int, bytes]]) -> None:
    changed = bytearray(data)
    for position, octets in edits:
        at = position % len(changed)
        changed[at : at + len(octets)] = octets[: len(changed) - at]
    try:
        facts(bytes(changed))
    except BadElf as error:
        assert error.fields["reason"]
