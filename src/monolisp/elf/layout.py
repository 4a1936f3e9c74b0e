"""The numbers and record layouts of ELF, as far as monolisp reads them.

Source: ELF-64 Object File Format 1.5; System V gABI, chapters 4 and 5; glibc's elf.h for the GNU additions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Literal

Bits = Literal[32, 64]
Order = Literal["little", "big"]

MAGIC = b"\x7fELF"
IDENT_SIZE = 16

ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4

EM_386, EM_X86_64, EM_AARCH64 = 3, 62, 183

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS = 1, 2, 3, 4, 7
PT_GNU_STACK, PT_GNU_RELRO = 0x6474E551, 0x6474E552
PF_X, PF_W, PF_R = 1, 2, 4
PN_XNUM = 0xFFFF

SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOTE, SHT_NOBITS, SHT_DYNSYM = 0, 1, 2, 3, 7, 8, 11
SHN_UNDEF, SHN_ABS, SHN_XINDEX = 0, 0xFFF1, 0xFFFF

STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS, STT_GNU_IFUNC = 0, 1, 2, 3, 4, 5, 6, 10
STV_DEFAULT, STV_INTERNAL, STV_HIDDEN, STV_PROTECTED = 0, 1, 2, 3

DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_TEXTREL, DT_FLAGS, DT_FLAGS_1 = 0, 1, 5, 10, 22, 30, 0x6FFFFFFB
DF_TEXTREL, DF_1_PIE = 4, 0x08000000

NT_GNU_PROPERTY_TYPE_0 = 5
GNU_PROPERTY_X86_ISA_1_NEEDED = 0xC0008002


@dataclass(frozen=True)
class Layout:
    """How the records of one class and byte order are packed. The order of a symbol's fields differs by class."""

    header: struct.Struct
    segment: struct.Struct
    section: struct.Struct
    symbol: struct.Struct
    dynamic: struct.Struct
    note: struct.Struct
    property: struct.Struct


_FORMATS = {
    64: ("HHIQQQIHHHHHH", "IIQQQQQQ", "IIQQQQIIQQ", "IBBHQQ", "qQ"),
    32: ("HHIIIIIHHHHHH", "IIIIIIII", "IIIIIIIIII", "IIIBBH", "iI"),
}


@cache
def layout_of(bits: Bits, order: Order) -> Layout:
    """The layout of `bits`-bit files of this byte order."""
    sign = "<" if order == "little" else ">"
    header, segment, section, symbol, dynamic = (struct.Struct(sign + text) for text in _FORMATS[bits])
    return Layout(header, segment, section, symbol, dynamic, struct.Struct(sign + "III"), struct.Struct(sign + "II"))
