from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monolisp.elf.reader import Elf, Symbol, open_elf
from monolisp.errors import BadElf, NoSuchFile
from tests.unit.elf.making import (
    DYNSYM,
    FORMS,
    LOAD,
    NOBITS,
    NOTE,
    NOTES,
    SYMTAB,
    Form,
    R,
    Sec,
    Seg,
    Sym,
    X,
    dynamic_entries,
    dynamic_program,
    make_elf,
    note,
    static_program,
    symbol_sections,
)


def parse(data: bytes) -> Elf:
    return Elf.parse(memoryview(data), "a.out")


def walk(elf: Elf) -> None:
    """Read everything there is to be read."""
    list(elf.symbols())
    list(elf.notes())
    list(elf.dynamic())
    for section in elf.sections:
        bytes(elf.section_data(section))


def reason_of(data: bytes) -> str:
    with pytest.raises(BadElf) as caught:
        walk(parse(data))
    assert caught.value.fields["file"] == "a.out"
    return caught.value.fields["reason"]


@pytest.mark.parametrize("form", FORMS, ids=str)
class TestEveryForm:
    def test_header(self, form: Form) -> None:
        header = parse(make_elf([Seg(LOAD)], [Sec(".text")], form, kind=3, machine=183)).header
        assert (header.bits, header.order, header.type, header.machine) == (form.bits, form.order, 3, 183)
        assert (header.entry, header.segment_count, header.section_count) == (0x400000, 1, 3)

    def test_segments(self, form: Form) -> None:
        data = make_elf([Seg(LOAD, R | X, b"code", 0x401000, 16), Seg(NOTE, R)], form=form)
        first, second = parse(data).segments
        assert (first.type, first.flags, first.vaddr, first.align) == (LOAD, R | X, 0x401000, 16)
        assert data[first.offset : first.offset + first.filesz] == b"code"
        assert (second.type, second.flags, second.filesz) == (NOTE, R, 0)

    def test_sections(self, form: Form) -> None:
        elf = parse(
            make_elf(sections=[Sec(".text", data=b"abc", align=16), Sec(".bss", NOBITS, bytes(1000))], form=form)
        )
        assert [section.name for section in elf.sections] == ["", ".text", ".bss", ".shstrtab"]
        text, bss = elf.section(".text"), elf.section(".bss")
        assert text and bss and elf.section(".data") is None
        assert (bytes(elf.section_data(text)), text.addralign) == (b"abc", 16)
        assert (bytes(elf.section_data(bss)), bss.size) == (b"", 1000)

    def test_symbols(self, form: Form) -> None:
        symbols = [Sym("main", 0x12, 3, 0x1234, 99, 0xE2), Sym("größe", 0x21, 0, 5, 6)]
        data = make_elf(sections=symbol_sections(symbols, form), form=form)
        found = list(parse(data).symbols())
        assert [entry[:7] for entry in found] == [
            ("main", 0x1234, 99, 1, 2, 2, 3),
            ("größe", 5, 6, 2, 1, 0, 0),
        ]
        info_at = 4 if form.bits == 64 else 12
        assert [data[entry.offset + info_at] for entry in found] == [0x12, 0x21]

    def test_symbols_of_both_tables(self, form: Form) -> None:
        tables = symbol_sections([Sym("one")], form) + symbol_sections([Sym("two")], form, dynamic=True)
        assert [entry.name for entry in parse(make_elf(sections=tables, form=form)).symbols()] == ["one", "two"]

    @pytest.mark.parametrize("align", [4, 8])
    def test_notes(self, form: Form, align: int) -> None:
        data = note("GNU", 3, b"id-of-build", form, align) + note("Me", 7, b"", form, align)
        as_segment = make_elf([Seg(NOTE, R, data, align=align)], form=form)
        as_section = make_elf(sections=[Sec(".note", NOTES, data, align=align)], form=form)
        for file in (as_segment, as_section):
            assert list(parse(file).notes()) == [("GNU", 3, b"id-of-build"), ("Me", 7, b"")]

    def test_dynamic_stops_at_its_end(self, form: Form) -> None:
        entries = dynamic_entries([(1, 5), (30, 8)], form) + dynamic_entries([(1, 6)], form)
        assert list(parse(make_elf([Seg(2, R, entries)], form=form)).dynamic()) == [(1, 5), (30, 8)]

    def test_cut_off_anywhere(self, form: Form) -> None:
        data = static_program(form)
        for length in range(len(data)):
            assert reason_of(data[:length])


def test_address_to_offset() -> None:
    data = make_elf([Seg(LOAD, R, b"0123456789", 0x400000)])
    elf = parse(data)
    assert data[elf.offset_of(0x400004) :].startswith(b"456789")
    with pytest.raises(BadElf, match="is in none of its segments"):
        elf.offset_of(0x40000A)


def test_counts_that_do_not_fit_are_in_section_0() -> None:
    plain = make_elf([Seg(LOAD), Seg(NOTE)], [Sec(f"s{number}") for number in range(10)])
    extended = parse(_extended(plain, 12, 11, 2))
    assert extended.sections[1:] == parse(plain).sections[1:]
    assert extended.segments == parse(plain).segments


def test_a_count_is_absurd_even_where_the_file_is_long_enough() -> None:
    count = (1 << 18) + 1
    data = _extended(PROGRAM, count, 0) + bytes(64 * count)
    assert f"{count} entries" in reason_of(data)


def _extended(data: bytes, count: int, names: int, segments: int = 2) -> bytes:
    """The same file with its counts moved into section header 0."""
    table = struct.unpack_from("<Q", data, 40)[0]
    changed = bytearray(data)
    struct.pack_into("<H", changed, 56, 0xFFFF)
    struct.pack_into("<HH", changed, 60, 0, 0xFFFF)
    struct.pack_into("<Q", changed, table + 32, count)
    struct.pack_into("<II", changed, table + 40, names, segments)
    return bytes(changed)


def patched(data: bytes, offset: int, layout: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, offset, *values)
    return bytes(changed)


def section_field(data: bytes, name: str, field: int, layout: str, value: int) -> bytes:
    """`data` with one field (its offset in the 64-bit section header) of the section `name` changed."""
    index = [section.name for section in parse(data).sections].index(name)
    return patched(data, struct.unpack_from("<Q", data, 40)[0] + 64 * index + field, layout, value)


PROGRAM = static_program()
BROKEN = {
    "empty": b"",
    "text": b"#!/bin/sh\necho hello\n" * 10,
    "class": patched(PROGRAM, 4, "B", 3),
    "byte order": patched(PROGRAM, 5, "B", 0),
    "version": patched(PROGRAM, 6, "B", 2),
    "program headers beyond the end": patched(PROGRAM, 32, "<Q", 1 << 62),
    "65534 program headers": patched(PROGRAM, 56, "<H", 65534),
    "small program headers": patched(PROGRAM, 54, "<H", 8),
    "section headers beyond the end": patched(PROGRAM, 40, "<Q", len(PROGRAM) - 1),
    "small section headers": patched(PROGRAM, 58, "<H", 40),
    "65534 section headers": patched(PROGRAM, 60, "<H", 65534),
    "2^60 section headers": _extended(PROGRAM, 1 << 60, 0),
    "names in no section": patched(PROGRAM, 62, "<H", 5000),
    "segment beyond the end": patched(PROGRAM, 64 + 32, "<Q", 1 << 63),
    "section beyond the end": section_field(PROGRAM, ".text", 24, "<Q", 1 << 40),
    "section of 2^64 bytes": section_field(PROGRAM, ".text", 32, "<Q", (1 << 64) - 1),
    "a name beyond its table": section_field(PROGRAM, ".text", 0, "<I", 1 << 31),
    "symbols of 7 bytes": section_field(PROGRAM, ".symtab", 56, "<Q", 7),
    "symbols of 0 bytes": section_field(PROGRAM, ".symtab", 56, "<Q", 0),
    "half a symbol": section_field(PROGRAM, ".symtab", 32, "<Q", 36),
    "symbols' names in no section": section_field(PROGRAM, ".symtab", 40, "<I", 77),
    "symbols' names without an end": section_field(PROGRAM, ".strtab", 32, "<Q", 3),
    "symbols' names in no file": section_field(PROGRAM, ".strtab", 4, "<I", NOBITS),
    "a note longer than its segment": make_elf([Seg(NOTE, R, note("GNU", 5, bytes(8), Form())[:-4])]),
    "a note of 4 GB": make_elf([Seg(NOTE, R, struct.pack("<III", 4, 0xFFFFFFF0, 5) + bytes(32))]),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken(data: bytes) -> None:
    assert reason_of(data)


def test_a_cut_file_is_said_to_be_cut() -> None:
    assert "cut off" in reason_of(PROGRAM[:-1])


FILES = [build(form) for form in FORMS for build in (static_program, dynamic_program)]
FILES.append(
    make_elf(sections=[Sec(".note", NOTES, note("GNU", 1, b"abcd", Form())), Sec(".x", DYNSYM), Sec(".y", SYMTAB)])
)

ODD_NUMBERS = [0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1, (1 << 64) - 64]
changes = st.lists(
    st.tuples(
        st.integers(0, 4000),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([struct.pack("<Q", odd) for odd in ODD_NUMBERS])),
    ),
    max_size=6,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FILES), changes, st.one_of(st.none(), st.integers(0, 2000)))
@example(PROGRAM, [], None)
def test_whatever_is_changed_only_bad_elf_comes_out(
    data: bytes, edits: list[tuple[int, bytes]], length: int | None
) -> None:
    changed = bytearray(data)
    for position, octets in edits:
        at = position % len(changed)
        changed[at : at + len(octets)] = octets[: len(changed) - at]
    try:
        walk(parse(bytes(changed[:length])))
    except BadElf as error:
        assert error.fields["reason"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(data: bytes) -> None:
    for start in (b"", b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02\x01"):
        try:
            walk(parse(start + data))
        except BadElf as error:
            assert error.fields["reason"]


def test_many_symbols_are_quick() -> None:
    form = Form()
    data = make_elf(
        sections=symbol_sections([Sym(f"a_symbol_of_usual_length_{number}") for number in range(9000)], form)
    )
    begin = time.perf_counter()
    assert sum(1 for _ in parse(data).symbols()) == 9000
    assert time.perf_counter() - begin < 0.25


def test_a_table_of_names_too_large_to_copy() -> None:
    names = [Sym("first"), Sym("x" * 500), Sym("y" * 5_000_000), Sym("last")]
    data = make_elf(sections=symbol_sections([names[0], names[1], names[3]], Form()))
    large = symbol_sections([names[0], names[1], names[3]], Form())
    large[1] = Sec(".strtab", large[1].type, large[1].data + b"z" * 5_000_000)
    assert [s.name for s in parse(make_elf(sections=large)).symbols()] == [s.name for s in parse(data).symbols()]
    too_long = symbol_sections(names, Form())
    assert "has no end" in reason_of(make_elf(sections=too_long))


def test_symbols_past_the_first_piece_have_their_own_offsets() -> None:
    data = make_elf(sections=symbol_sections([Sym(f"s{number}", value=number) for number in range(5000)], Form()))
    last = list(parse(data).symbols())[-1]
    assert isinstance(last, Symbol)
    assert (last.name, struct.unpack_from("<Q", data, last.offset + 8)[0]) == ("s4999", 4999)


def test_open(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(PROGRAM)
    with open_elf(file) as elf:
        assert elf.header.machine == 62


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"hello"])
def test_open_what_is_no_elf_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(BadElf, match=str(file)), open_elf(file):
        pass


def test_open_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile), open_elf(tmp_path / "absent"):
        pass
    with pytest.raises(BadElf, match=str(tmp_path)), open_elf(tmp_path):
        pass


def test_an_error_while_a_piece_is_held_stays_that_error(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(PROGRAM)
    with pytest.raises(KeyError), open_elf(file) as elf:
        piece = elf.section_data(elf.sections[-1])
        raise KeyError(bytes(piece[:1]))
