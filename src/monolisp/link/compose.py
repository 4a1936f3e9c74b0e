"""Adding sections to a linked ELF file: the core goes in behind the code, outside of what the kernel maps.

SBCL's runtime finds its core by the section name in the file and maps it from there itself. Because the core takes no
part in the link, the linked code can be kept between builds, and a core of any size costs one copy, or none where Lisp
wrote it behind the code at once.
Source: ELF-64 Object File Format 1.5; SBCL src/runtime/os-common.c (search_for_elf_core), 2.6.4.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from monolisp.elf.reader import Elf
from monolisp.errors import BadElf
from monolisp.lisp.corefile import MAGIC, Span

_SHT_PROGBITS = 1
_SECTION = struct.Struct("<IIQQQQIIQQ")
_E_SHOFF, _E_SHNUM = 40, 60
_TRAILER = struct.Struct("<QQ")


def compose(
    code: Path, core: Path, alignment: int, notes: Mapping[str, bytes], output: Path, span: Span | None = None
) -> None:
    """Write `output`: the 64-bit ELF file `code` with a core as section lisp.core, which begins at a multiple of
    `alignment` bytes, and one further section for each of `notes` (name → content).

    The core is the file `core`, or what lies in `span` of it.
    """
    content = code.read_bytes()
    with output.open("wb") as target:
        target.write(content)
        begin = _align(target, alignment)
        size = _copy(core, span or Span(0, core.stat().st_size), target)
        _add_sections(target, content, begin, size, alignment, notes)


def complete(path: Path, span: Span, alignment: int, notes: Mapping[str, bytes]) -> None:
    """Make of `path`, which holds code and then a core in `span`, what compose() would have written."""
    with path.open("r+b") as target:
        content = target.read(span.begin)
        target.truncate(span.end)
        target.seek(0, os.SEEK_END)
        _add_sections(target, content, span.begin, span.end - span.begin, alignment, notes)


def _add_sections(
    target: BinaryIO, code: bytes, begin: int, size: int, alignment: int, notes: Mapping[str, bytes]
) -> None:
    headers, strings, names = _sections(code, target.name)
    headers.append(_header(strings, "lisp.core", begin, size, alignment))
    for name, content in notes.items():
        place = _align(target, 8)
        target.write(content)
        headers.append(_header(strings, name, place, len(content), 1))
    _finish(target, headers, strings, names)
    # Where the core begins, as SBCL says it behind a core that it saves itself: so it is found by programs that save
    # another executable, and where the runtime does not look into sections. Source: coreparse.c.
    target.seek(0, os.SEEK_END)
    target.write(_TRAILER.pack(begin, MAGIC))


def _sections(code: bytes, name: str) -> tuple[list[list[int]], bytearray, int]:
    """The section headers of a linked file, its section names, and which section holds those. Raises BadElf."""
    elf = Elf.parse(memoryview(code), name)
    if elf.header.bits != 64 or elf.header.order != "little" or not elf.sections:
        raise BadElf(file=name, reason="it is no 64-bit little-endian ELF file with sections")
    table, count = elf.header.section_offset, elf.header.section_count
    headers = [list(_SECTION.unpack_from(code, table + place * _SECTION.size)) for place in range(count)]
    own = headers[elf.header.section_names]
    return headers, bytearray(code[own[4] : own[4] + own[5]]), elf.header.section_names


def _header(strings: bytearray, name: str, offset: int, size: int, alignment: int) -> list[int]:
    place = len(strings)
    strings += name.encode() + b"\0"
    return [place, _SHT_PROGBITS, 0, 0, offset, size, 0, 0, alignment, 0]


def _finish(target: BinaryIO, headers: list[list[int]], strings: bytearray, names: int) -> None:
    """Write the names anew (`names` is the index of their section) and the table, and in the header where it is."""
    headers[names][4:6] = [target.tell(), len(strings)]
    target.write(strings)
    table = _align(target, 8)
    for header in headers:
        target.write(_SECTION.pack(*header))
    target.seek(_E_SHOFF)
    target.write(struct.pack("<Q", table))
    target.seek(_E_SHNUM)
    target.write(struct.pack("<H", len(headers)))


def _align(target: BinaryIO, alignment: int) -> int:
    """Pad to a multiple of `alignment` and say where that is."""
    place = target.tell()
    target.write(b"\0" * (-place % alignment))
    return target.tell()


def _copy(source: Path, span: Span, target: BinaryIO) -> int:
    """Append a core; the kernel copies, or shares the blocks where the file system can. Returns its size in bytes."""
    target.flush()
    with source.open("rb") as stream:
        size = left = span.end - span.begin
        os.lseek(stream.fileno(), span.begin, os.SEEK_SET)
        while left > 0:
            try:
                copied = os.copy_file_range(stream.fileno(), target.fileno(), min(left, 1 << 30))
            except OSError:
                # Not between these file systems: sendfile can.
                copied = os.sendfile(target.fileno(), stream.fileno(), None, min(left, 1 << 30))
            if copied == 0:
                break
            left -= copied
    target.seek(0, os.SEEK_END)
    return size - left
