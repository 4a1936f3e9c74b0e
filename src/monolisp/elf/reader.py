"""Reading ELF files: header, segments, sections, symbols, notes and the dynamic section, over a view of the bytes.

Nothing is copied but what is asked for, in bounded pieces, so memory does not grow with the file. Every offset, size
and count is checked before use; whatever is wrong raises BadElf.
Source: ELF-64 Object File Format 1.5; System V gABI, chapters 4 and 5.
"""

from __future__ import annotations

import mmap
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from monolisp.elf.layout import (
    DT_NULL,
    IDENT_SIZE,
    MAGIC,
    PN_XNUM,
    PT_DYNAMIC,
    PT_LOAD,
    PT_NOTE,
    SHN_UNDEF,
    SHN_XINDEX,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_NULL,
    SHT_SYMTAB,
    STB_GLOBAL,
    STB_WEAK,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_TLS,
    STV_DEFAULT,
    Bits,
    Layout,
    Order,
    layout_of,
)
from monolisp.errors import BadCore, BadElf, NoSuchFile, Unreadable

# The values that a Symbol's fields take belong to it; every other number is to be had from layout.py.
__all__ = [
    "SHN_UNDEF",
    "STB_GLOBAL",
    "STB_WEAK",
    "STT_FUNC",
    "STT_GNU_IFUNC",
    "STT_NOTYPE",
    "STT_TLS",
    "STV_DEFAULT",
    "Elf",
    "Header",
    "Note",
    "Section",
    "Segment",
    "Symbol",
    "mapped",
    "open_elf",
]

# Far beyond what any linker writes; a file that claims more is broken or hostile.
_MOST_SECTIONS = 1 << 18
_MOST_DYNAMIC = 1 << 16
_LONGEST_NAME = 1 << 20
_LONGEST_NOTE = 1 << 24
_STRINGS_AT_ONCE = 1 << 22
_SYMBOLS_AT_ONCE = 4096


@dataclass(frozen=True)
class Header:
    """The ELF header. `bits` is 32 or 64; the counts are the true ones, also where the file keeps them in section 0."""

    bits: Bits
    order: Order
    type: int
    machine: int
    entry: int
    flags: int
    segment_offset: int
    segment_count: int
    section_offset: int
    section_count: int
    section_names: int


@dataclass(frozen=True)
class Segment:
    """A program header; offset and sizes in bytes."""

    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int
    align: int


@dataclass(frozen=True)
class Section:
    """A section header; offset and size in bytes (a NOBITS section has a size, but no bytes in the file)."""

    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int


class Symbol(NamedTuple):
    """A symbol table entry. `shndx` is the section index as written: 0 undefined, 0xffff "see another table";
    `offset` is where the entry itself lies in the file."""

    name: str
    value: int
    size: int
    bind: int
    type: int
    visibility: int
    shndx: int
    offset: int


class Note(NamedTuple):
    """A note: its owner's name, a type that the owner defines, and the description."""

    name: str
    type: int
    desc: bytes


@contextmanager
def open_elf(path: Path) -> Iterator[Elf]:
    """The ELF file at `path`, mapped, not read. Raises NoSuchFile, Unreadable, BadElf."""
    with mapped(path) as view:
        yield Elf.parse(view, str(path))


@contextmanager
def mapped(path: Path, bad: type[BadElf | BadCore] = BadElf) -> Iterator[memoryview]:
    """The bytes of the file at `path`, mapped, not read. Raises NoSuchFile, Unreadable, and `bad` for what is no file
    or empty."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise bad(file=path, reason="it is no regular file")
        with path.open("rb") as stream:
            mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchFile(file=path, reason="there is nothing of that name") from error
    except OSError as error:
        raise Unreadable(file=path, reason=error.strerror or error) from error
    except ValueError as error:
        raise bad(file=path, reason="it is empty") from error
    view = memoryview(mapping)
    try:
        yield view
    finally:
        # An error on its way out may hold a piece of the file; the mapping then goes with the last piece.
        with suppress(BufferError):
            view.release()
            mapping.close()


@dataclass(frozen=True, eq=False)
class Elf:
    """A parsed ELF file over `view` (format "B"), which must stay valid as long as this is used."""

    name: str
    header: Header
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    view: memoryview = field(repr=False)

    @classmethod
    def parse(cls, view: memoryview, name: str) -> Elf:
        """Read header, program headers and section headers. `name` is for messages. Raises BadElf."""
        file = _File(view, name)
        ident = file.bytes_at(0, IDENT_SIZE, "the ELF header")
        if ident[:4] != MAGIC:
            raise BadElf(file=name, reason="it does not begin with the magic of ELF")
        if ident[4] not in (1, 2) or ident[5] not in (1, 2) or ident[6] != 1:
            raise BadElf(file=name, reason="its class, byte order or version is none that exists")
        bits: Bits = 32 if ident[4] == 1 else 64
        order: Order = "little" if ident[5] == 1 else "big"
        layout = layout_of(bits, order)
        fields = file.record(IDENT_SIZE, layout.header, "the ELF header")
        header = _header(file, layout, bits, order, fields)
        sections = _sections(file, layout, header, fields[10])
        return cls(name, header, _segments(file, layout, header, fields[8]), sections, view)

    @property
    def layout(self) -> Layout:
        return layout_of(self.header.bits, self.header.order)

    def section(self, name: str) -> Section | None:
        """The first section called `name`."""
        return next((section for section in self.sections if section.name == name), None)

    def section_data(self, section: Section) -> memoryview:
        """The bytes of a section: a view, empty for NOBITS."""
        return self.view[section.offset : section.offset + (0 if section.type == SHT_NOBITS else section.size)]

    def bytes_at(self, offset: int, size: int, what: str) -> bytes:
        """A copy of `size` bytes of the file. Raises BadElf, naming `what`."""
        return _File(self.view, self.name).bytes_at(offset, size, what)

    def string_at(self, offset: int, what: str) -> str:
        """The zero-terminated string at an offset of the file. Raises BadElf."""
        return _Strings(_File(self.view, self.name), 0, len(self.view), what).at(offset)

    def offset_of(self, address: int) -> int:
        """Where the byte that is loaded at `address` lies in the file. Raises BadElf."""
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
                return segment.offset + address - segment.vaddr
        raise BadElf(file=self.name, reason=f"the address {address:#x} is in none of its segments")

    def symbols(self) -> Iterator[Symbol]:
        """The symbols of the static, then of the dynamic symbol table, without their null entries. Raises BadElf."""
        for section in self.sections:
            if section.type in (SHT_SYMTAB, SHT_DYNSYM):
                yield from self._symbols_of(section)

    def _symbols_of(self, section: Section) -> Iterator[Symbol]:
        record = self.layout.symbol
        if section.entsize != record.size or section.size % record.size:
            raise BadElf(file=self.name, reason=f"its symbol table {section.name} has entries of an unknown size")
        if section.link >= len(self.sections):
            raise BadElf(file=self.name, reason=f"the names of its symbol table {section.name} are in no section")
        names = self.sections[section.link]
        size = 0 if names.type == SHT_NOBITS else names.size
        name_at = _Strings(_File(self.view, self.name), names.offset, size, "a symbol's name").at
        end, piece = section.offset + section.size, record.size * _SYMBOLS_AT_ONCE
        for start in range(section.offset + record.size, end, piece):
            rows: Iterator[tuple[int, ...]] = record.iter_unpack(bytes(self.view[start : min(start + piece, end)]))
            if self.header.bits == 32:
                rows = ((name, info, other, shndx, value, size) for name, value, size, info, other, shndx in rows)
            for at, (name, info, other, shndx, value, size) in zip(range(start, end, record.size), rows, strict=False):
                yield Symbol(name_at(name), value, size, info >> 4, info & 15, other & 3, shndx, at)

    def notes(self) -> Iterator[Note]:
        """The notes of the note segments; of the note sections where there are no such segments. Raises BadElf."""
        areas = [(part.offset, part.filesz, part.align) for part in self.segments if part.type == PT_NOTE]
        areas = areas or [(part.offset, part.size, part.addralign) for part in self.sections if part.type == SHT_NOTE]
        for offset, size, align in areas:
            if size > _LONGEST_NOTE:
                raise BadElf(file=self.name, reason="its notes are absurdly long")
            yield from self._notes_in(self.bytes_at(offset, size, "a note"), 8 if align == 8 else 4)

    def _notes_in(self, data: bytes, align: int) -> Iterator[Note]:
        record, position = self.layout.note, 0
        while position + record.size <= len(data):
            name_size, desc_size, kind = record.unpack_from(data, position)
            name_start = position + record.size
            desc_start = name_start + name_size
            desc_start += -(desc_start - position) % align
            end = desc_start + desc_size
            if end > len(data):
                raise BadElf(file=self.name, reason="a note is longer than the place it is in")
            name = data[name_start : name_start + name_size].rstrip(b"\0").decode("utf-8", "backslashreplace")
            yield Note(name, kind, data[desc_start:end])
            position = end + -(end - position) % align

    def dynamic(self) -> Iterator[tuple[int, int]]:
        """The entries (tag, value) of the dynamic segment up to DT_NULL. Raises BadElf."""
        record = self.layout.dynamic
        for segment in self.segments:
            if segment.type == PT_DYNAMIC:
                if segment.filesz > record.size * _MOST_DYNAMIC:
                    raise BadElf(file=self.name, reason="its dynamic section is absurdly long")
                whole = segment.filesz - segment.filesz % record.size
                for tag, value in record.iter_unpack(self.bytes_at(segment.offset, whole, "the dynamic section")):
                    if tag == DT_NULL:
                        break
                    yield tag, value


@dataclass(frozen=True)
class _File:
    """The bytes, and the file's name for messages."""

    view: memoryview
    name: str

    def check(self, offset: int, size: int, what: str) -> None:
        if offset < 0 or size < 0 or offset + size > len(self.view):
            raise BadElf(
                file=self.name,
                reason=f"{what} would be bytes {offset} to {offset + size} of its {len(self.view)}: is it cut off?",
            )

    def bytes_at(self, offset: int, size: int, what: str) -> bytes:
        self.check(offset, size, what)
        return bytes(self.view[offset : offset + size])

    def record(self, offset: int, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        return layout.unpack(self.bytes_at(offset, layout.size, what))

    def table(self, offset: int, count: int, layout: struct.Struct, what: str) -> Iterator[tuple[Any, ...]]:
        if count > _MOST_SECTIONS:
            raise BadElf(file=self.name, reason=f"{what} would have {count} entries")
        return layout.iter_unpack(self.bytes_at(offset, count * layout.size, what))


class _Strings:
    """A string table: `size` bytes from `start`. Small ones are copied once, of large ones only what is asked for."""

    def __init__(self, file: _File, start: int, size: int, what: str) -> None:
        self._file, self._start, self._size, self._what = file, start, size, what
        self._whole = file.bytes_at(start, size, what) if size <= _STRINGS_AT_ONCE else None

    def at(self, offset: int) -> str:
        """The string at `offset` of the table. Bytes that are not UTF-8 come out as \\xNN. Raises BadElf."""
        if offset == 0 and self._size == 0:
            return ""
        if self._whole is not None:
            end = self._whole.find(0, offset, offset + _LONGEST_NAME)
            if end >= 0:
                return self._whole[offset:end].decode("utf-8", "backslashreplace")
        elif offset < self._size:
            for window in (256, _LONGEST_NAME):
                data = bytes(self._file.view[self._start + offset : self._start + min(offset + window, self._size)])
                text, terminator, _ = data.partition(b"\0")
                if terminator:
                    return text.decode("utf-8", "backslashreplace")
        raise BadElf(file=self._file.name, reason=f"{self._what} at {offset} is outside its table or has no end")


def _header(file: _File, layout: Layout, bits: Bits, order: Order, fields: tuple[Any, ...]) -> Header:
    """The header with true counts: section header 0 holds those that do not fit into 16 bits."""
    kind, machine, _, entry, segment_offset, section_offset, flags, _, _, segments, _, sections, names = fields
    if not section_offset:
        sections = names = 0
    elif sections == 0 or PN_XNUM in (segments, names):
        first = file.record(section_offset, layout.section, "section header 0")
        sections = first[5] if sections == 0 else sections
        names = first[6] if names == SHN_XINDEX else names
        segments = first[7] if segments == PN_XNUM else segments
    return Header(bits, order, kind, machine, entry, flags, segment_offset, segments, section_offset, sections, names)


def _segments(file: _File, layout: Layout, header: Header, entry_size: int) -> tuple[Segment, ...]:
    if not header.segment_count:
        return ()
    if entry_size != layout.segment.size:
        raise BadElf(file=file.name, reason=f"its program headers would have {entry_size} bytes each")
    found: list[Segment] = []
    for row in file.table(header.segment_offset, header.segment_count, layout.segment, "its program headers"):
        if header.bits == 64:
            kind, flags, offset, vaddr, _, filesz, memsz, align = row
        else:
            kind, offset, vaddr, _, filesz, memsz, flags, align = row
        file.check(offset, filesz, f"its segment {len(found)}")
        found.append(Segment(kind, flags, offset, vaddr, filesz, memsz, align))
    return tuple(found)


def _sections(file: _File, layout: Layout, header: Header, entry_size: int) -> tuple[Section, ...]:
    if not header.section_count:
        return ()
    if entry_size != layout.section.size:
        raise BadElf(file=file.name, reason=f"its section headers would have {entry_size} bytes each")
    rows = list(file.table(header.section_offset, header.section_count, layout.section, "its section headers"))
    if header.section_names >= len(rows):
        raise BadElf(file=file.name, reason="the names of its sections are in no section")
    _, kind, _, _, offset, size, *_ = rows[header.section_names]
    has_names = header.section_names != SHN_UNDEF and kind != SHT_NOBITS
    name_at = _Strings(file, offset, size if has_names else 0, "a section's name").at
    sections = [Section(name_at(row[0]) if has_names else "", *row[1:]) for row in rows]
    for section in sections:
        if section.type not in (SHT_NULL, SHT_NOBITS):
            file.check(section.offset, section.size, f"its section {section.name}")
    return tuple(sections)
