"""ELF files made by hand, byte by byte, for the tests of this room: nothing here comes from the reader under test.

Source: ELF-64 Object File Format 1.5; System V gABI, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

LOAD, DYNAMIC, INTERP, NOTE, STACK, RELRO = 1, 2, 3, 4, 0x6474E551, 0x6474E552
X, W, R = 1, 2, 4
PROGBITS, SYMTAB, STRTAB, NOBITS, DYNSYM, NOTES = 1, 2, 3, 8, 11, 7


@dataclass(frozen=True)
class Form:
    """Class and byte order."""

    bits: int = 64
    order: str = "little"

    @property
    def sign(self) -> str:
        return "<" if self.order == "little" else ">"

    def pack(self, wide: str, narrow: str, *values: int) -> bytes:
        return struct.pack(self.sign + (wide if self.bits == 64 else narrow), *values)


FORMS = [Form(bits, order) for bits in (64, 32) for order in ("little", "big")]


@dataclass(frozen=True)
class Seg:
    """A segment to be; its bytes follow the program headers."""

    type: int
    flags: int = R
    data: bytes = b""
    vaddr: int = 0
    align: int = 4


@dataclass(frozen=True)
class Sec:
    """A section to be; `link` is the name of another."""

    name: str
    type: int = PROGBITS
    data: bytes = b""
    link: str = ""
    entsize: int = 0
    align: int = 1


@dataclass(frozen=True)
class Sym:
    """A symbol to be; `info` is bind << 4 | type."""

    name: str
    info: int = 0x12
    shndx: int = 1
    value: int = 0
    size: int = 0
    other: int = 0


def symbol_sections(symbols: Sequence[Sym], form: Form, dynamic: bool = False) -> list[Sec]:
    """A symbol table with its null entry, and its string table."""
    names = b"\0"
    rows = b"\0" * (24 if form.bits == 64 else 16)
    for symbol in symbols:
        at = len(names)
        names += symbol.name.encode() + b"\0"
        if form.bits == 64:
            values = (at, symbol.info, symbol.other, symbol.shndx, symbol.value, symbol.size)
        else:
            values = (at, symbol.value, symbol.size, symbol.info, symbol.other, symbol.shndx)
        rows += form.pack("IBBHQQ", "IIIBBH", *values)
    table, strings = (".dynsym", ".dynstr") if dynamic else (".symtab", ".strtab")
    kind, entsize = DYNSYM if dynamic else SYMTAB, 24 if form.bits == 64 else 16
    return [Sec(table, kind, rows, strings, entsize, 8), Sec(strings, STRTAB, names)]


def note(name: str, kind: int, desc: bytes, form: Form, align: int = 4) -> bytes:
    label = name.encode() + b"\0"
    text = struct.pack(form.sign + "III", len(label), len(desc), kind) + label
    text += b"\0" * (-len(text) % align) + desc
    return text + b"\0" * (-len(text) % align)


def isa_note(levels: int, form: Form) -> bytes:
    """A note that needs the x86-64 levels whose bits are set: 1 the base, 2 v2, 4 v3, 8 v4."""
    align = form.bits // 8
    value = struct.pack(form.sign + "III", 0xC0008002, 4, levels)
    return note("GNU", 5, value + b"\0" * (-len(value) % align), form, align)


def dynamic_entries(entries: Sequence[tuple[int, int]], form: Form) -> bytes:
    return b"".join(form.pack("QQ", "II", tag, value) for tag, value in [*entries, (0, 0)])


def make_elf(
    segments: Sequence[Seg] = (),
    sections: Sequence[Sec] = (),
    form: Form = Form(),
    kind: int = 2,
    machine: int = 62,
) -> bytes:
    """An ELF file: header, program headers, the segments' bytes, the sections' bytes, section headers."""
    sections = _with_names(sections)
    header_size, segment_size, section_size = (64, 56, 64) if form.bits == 64 else (52, 32, 40)
    body, start = b"", header_size + segment_size * len(segments)
    rows = b""
    for segment in segments:
        body += b"\0" * (-(start + len(body)) % 8)
        rows += _segment_row(segment, start + len(body), form)
        body += segment.data
    places = []
    for section in sections:
        body += b"\0" * (-(start + len(body)) % 8)
        places.append(start + len(body))
        body += b"" if section.type == NOBITS else section.data
    table = start + len(body) if sections else 0
    ident = b"\x7fELF" + bytes([form.bits // 32, 1 if form.order == "little" else 2, 1]) + bytes(9)
    counts = (header_size, segment_size, len(segments), section_size, len(sections), max(len(sections) - 1, 0))
    fields = (kind, machine, 1, 0x400000, header_size if segments else 0, table, 0, *counts)
    header = ident + form.pack("HHIQQQIHHHHHH", "HHIIIIIHHHHHH", *fields)
    return header + rows + body + _section_rows(sections, places, form)


def _with_names(sections: Sequence[Sec]) -> list[Sec]:
    if not sections:
        return []
    every = [Sec("", 0), *sections, Sec(".shstrtab", STRTAB)]
    return [*every[:-1], replace(every[-1], data=b"".join(section.name.encode() + b"\0" for section in every))]


def _segment_row(segment: Seg, offset: int, form: Form) -> bytes:
    size = len(segment.data)
    if form.bits == 64:
        values = (segment.type, segment.flags, offset, segment.vaddr, 0, size, size, segment.align)
    else:
        values = (segment.type, offset, segment.vaddr, 0, size, size, segment.flags, segment.align)
    return form.pack("IIQQQQQQ", "IIIIIIII", *values)


def _section_rows(sections: Sequence[Sec], places: Sequence[int], form: Form) -> bytes:
    names = [section.name for section in sections]
    rows, at = b"", 0
    for section, place in zip(sections, places, strict=True):
        link = names.index(section.link) if section.link else 0
        offset = place if section.type else 0
        values = (at, section.type, 0, 0, offset, len(section.data), link, 0, section.align, section.entsize)
        rows += form.pack("IIQQQQIIQQ", "IIIIIIIIII", *values)
        at += len(section.name.encode()) + 1
    return rows


STACK_PLAIN = Seg(STACK, R | W)


def static_program(form: Form = Form(), machine: int = 62, sections: Sequence[Sec] = ()) -> bytes:
    """What every rule accepts."""
    code = Seg(LOAD, R | X, b"\x0f\x05" * 64, 0x400000)
    symbols = symbol_sections([Sym("_start"), Sym("_DYNAMIC", 0x00, 0), Sym("maybe", 0x20, 0)], form)
    return make_elf([code, STACK_PLAIN], [Sec(".text"), *symbols, *sections], form, machine=machine)


def dynamic_program(form: Form = Form()) -> bytes:
    """Nearly everything is wrong with it: an interpreter, needed libraries, writable code, a loader's code."""
    strings = b"\0libone.so.1\0libtwo.so.2\0"
    entries = [(1, 1), (1, 13), (5, 0x500000), (22, 0), (0x6FFFFFFB, 0x08000000)]
    segments = [
        Seg(INTERP, R, b"/lib64/ld-linux-x86-64.so.2\0", 0x400000),
        Seg(LOAD, R | W | X, strings + b"/lib/ld-musl-x86_64.so.1\0", 0x500000),
        Seg(LOAD, R | W, b"... glibc-ld.so.cache1.1\0", 0x600000),
        Seg(DYNAMIC, R | W, dynamic_entries(entries, form), 0x700000),
        Seg(STACK, R | W | X),
        Seg(RELRO, R),
        Seg(NOTE, R, isa_note(4, form), align=form.bits // 8),
    ]
    symbols = symbol_sections([Sym("puts@GLIBC_2.2.5", 0x12, 0), Sym("_dl_open"), Sym("weak", 0x20, 0)], form)
    return make_elf(segments, [Sec(".text"), *symbols], form, kind=3)
