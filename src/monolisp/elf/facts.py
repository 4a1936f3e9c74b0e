"""What is true of an ELF file, as far as "truly static" is concerned. Facts know no policy: see verdict.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from monolisp.elf.layout import (
    DF_1_PIE,
    DF_TEXTREL,
    DT_FLAGS,
    DT_FLAGS_1,
    DT_NEEDED,
    DT_STRTAB,
    DT_TEXTREL,
    EM_386,
    EM_AARCH64,
    EM_X86_64,
    ET_CORE,
    ET_DYN,
    ET_EXEC,
    ET_REL,
    GNU_PROPERTY_X86_ISA_1_NEEDED,
    NT_GNU_PROPERTY_TYPE_0,
    PF_W,
    PF_X,
    PT_DYNAMIC,
    PT_GNU_RELRO,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    SHN_UNDEF,
    SHT_SYMTAB,
    STB_GLOBAL,
    Bits,
    Order,
)
from monolisp.elf.reader import Elf, open_elf
from monolisp.errors import BadElf

LISP_SECTION = "lisp.core"

# Source: EM_* of the System V gABI and its registry.
MACHINES = {
    EM_386: "x86",
    EM_X86_64: "x86-64",
    EM_AARCH64: "AArch64",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "S/390",
    40: "ARM",
    43: "SPARC64",
    243: "RISC-V",
    258: "LoongArch",
}

# What only the code of a dynamic loader defines or holds. Source: glibc 2.36 elf/dl-open.c, dl-load.c, dl-cache.c;
# musl 1.2.5 ldso/dynlink.c, which a static musl program leaves out.
LOADER_SYMBOLS = ("_dl_open", "_dl_map_object", "_dl_load_cache_lookup", "__dls2", "__dls2b", "__dls3")
LOADER_STRINGS = ("glibc-ld.so.cache", "/etc/ld.so.preload", "/etc/ld-musl-")
# Where loaders live: a program that holds such a path may start one, or may only mention it (a linker does).
LOADER_PATHS = ("/lib64/ld-linux", "/lib/ld-linux", "/lib/ld-musl", "/lib/ld64.so", "/libexec/ld-elf")

_SCAN_BYTES = 1 << 20
_MOST_NAMES = 1000
_MOST_INTERPRETER = 4096


class Kind(StrEnum):
    """What kind of ELF file it is."""

    EXECUTABLE = "executable"
    PIE = "position-independent executable"
    LIBRARY = "shared library"
    OBJECT = "object file"
    DUMP = "memory dump of a process"
    OTHER = "of no known kind"


@dataclass(frozen=True)
class Facts:
    """What an ELF file says of itself.

    `size` is in bytes. `undefined` holds strong undefined symbols (at most the first 1000). `executable_stack` and
    `writable_code` say what makes it so. `x86_isa` is the x86-64 level (1 to 4) that the file says it needs, None
    when it does not say. `lisp` tells whether it is an executable that holds a Lisp core of monolisp's.
    """

    path: Path
    size: int
    kind: Kind
    bits: Bits
    order: Order
    machine: int
    interpreter: str | None
    dynamic_section: bool
    needed: tuple[str, ...]
    undefined: tuple[str, ...]
    loader_code: tuple[str, ...]
    loader_paths: tuple[str, ...]
    executable_stack: str | None
    writable_code: tuple[str, ...]
    text_relocations: bool
    x86_isa: int | None
    relro: bool
    stripped: bool
    lisp: bool

    @property
    def machine_name(self) -> str | None:
        """What people call the machine; None when its number is not known here."""
        return MACHINES.get(self.machine)


def facts_of(path: Path) -> Facts:
    """Read what is true of the file at `path`; a file of any size in little memory. Raises NoSuchFile, BadElf."""
    with open_elf(path) as elf:
        return facts_in(elf, path)


def facts_in(elf: Elf, path: Path) -> Facts:
    """The facts of an ELF file that is open already. Raises BadElf."""
    interpreter, dynamic = _interpreter(elf), tuple(elf.dynamic())
    undefined, symbols = _symbols(elf)
    strings = _found(elf, (*LOADER_STRINGS, *LOADER_PATHS))
    return Facts(
        path=path,
        size=len(elf.view),
        kind=_kind(elf, interpreter, dynamic),
        bits=elf.header.bits,
        order=elf.header.order,
        machine=elf.header.machine,
        interpreter=interpreter,
        dynamic_section=any(segment.type == PT_DYNAMIC for segment in elf.segments),
        needed=_needed(elf, dynamic),
        undefined=undefined,
        loader_code=(*symbols, *(text for text in LOADER_STRINGS if text in strings)),
        loader_paths=tuple(text for text in LOADER_PATHS if text in strings),
        executable_stack=_executable_stack(elf),
        writable_code=_writable_code(elf),
        text_relocations=any(tag == DT_TEXTREL or (tag == DT_FLAGS and value & DF_TEXTREL) for tag, value in dynamic),
        x86_isa=_x86_isa(elf),
        relro=any(segment.type == PT_GNU_RELRO for segment in elf.segments),
        stripped=not any(section.type == SHT_SYMTAB for section in elf.sections),
        lisp=elf.section(LISP_SECTION) is not None,
    )


def _interpreter(elf: Elf) -> str | None:
    for segment in elf.segments:
        if segment.type == PT_INTERP:
            if segment.filesz > _MOST_INTERPRETER:
                raise BadElf(file=elf.name, reason="the name of its interpreter is absurdly long")
            name = elf.bytes_at(segment.offset, segment.filesz, "the name of its interpreter")
            return name.partition(b"\0")[0].decode("utf-8", "backslashreplace")
    return None


def _kind(elf: Elf, interpreter: str | None, dynamic: tuple[tuple[int, int], ...]) -> Kind:
    """An ET_DYN file is an executable when it says so (DF_1_PIE), or when it names an interpreter."""
    if elf.header.type == ET_DYN:
        says_so = any(tag == DT_FLAGS_1 and value & DF_1_PIE for tag, value in dynamic)
        return Kind.PIE if says_so or interpreter is not None else Kind.LIBRARY
    kinds = {ET_EXEC: Kind.EXECUTABLE, ET_REL: Kind.OBJECT, ET_CORE: Kind.DUMP}
    return kinds.get(elf.header.type, Kind.OTHER)


def _needed(elf: Elf, dynamic: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    names = [value for tag, value in dynamic if tag == DT_NEEDED]
    if not names:
        return ()
    table = next((value for tag, value in dynamic if tag == DT_STRTAB), None)
    if table is None:
        raise BadElf(file=elf.name, reason="its dynamic section needs libraries but has no table of their names")
    start = elf.offset_of(table)
    return tuple(elf.string_at(start + name, "the name of a needed library") for name in names)


def _symbols(elf: Elf) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Strong undefined symbols, and the loader's functions among the defined ones. Weak undefined symbols are zero."""
    undefined: dict[str, None] = {}
    loader: set[str] = set()
    for symbol in elf.symbols():
        if symbol.shndx != SHN_UNDEF:
            if symbol.name in LOADER_SYMBOLS:
                loader.add(symbol.name)
        elif symbol.bind == STB_GLOBAL and len(undefined) < _MOST_NAMES:
            undefined[symbol.name.partition("@")[0]] = None
    return tuple(undefined), tuple(sorted(loader))


def _executable_stack(elf: Elf) -> str | None:
    """Without PT_GNU_STACK, Linux before 5.8 gives an x86-64 program an executable stack; x86 and ARM still do."""
    stacks = [segment for segment in elf.segments if segment.type == PT_GNU_STACK]
    if not stacks and elf.header.type in (ET_EXEC, ET_DYN):
        return "PT_GNU_STACK is missing"
    return "PT_GNU_STACK has the X flag" if any(stack.flags & PF_X for stack in stacks) else None


def _writable_code(elf: Elf) -> tuple[str, ...]:
    both = PF_W | PF_X
    loaded = [segment for segment in elf.segments if segment.type == PT_LOAD and segment.flags & both == both]
    return tuple(f"{segment.memsz} bytes at {segment.vaddr:#x}" for segment in loaded[:_MOST_NAMES])


def _x86_isa(elf: Elf) -> int | None:
    """The highest x86-64 level in the GNU property notes. Source: x86-64 psABI, "Linux Extensions", 2024."""
    if elf.header.machine not in (EM_386, EM_X86_64):
        return None
    levels = [
        int.from_bytes(value, elf.header.order).bit_length()
        for note in elf.notes()
        if note.name == "GNU" and note.type == NT_GNU_PROPERTY_TYPE_0
        for kind, value in _properties(elf, note.desc)
        if kind == GNU_PROPERTY_X86_ISA_1_NEEDED
    ]
    return max(levels, default=None)


def _properties(elf: Elf, data: bytes) -> Iterator[tuple[int, bytes]]:
    record, align, position = elf.layout.property, elf.header.bits // 8, 0
    while position + record.size <= len(data):
        kind, size = record.unpack_from(data, position)
        start = position + record.size
        if start + size > len(data):
            raise BadElf(file=elf.name, reason="a property in its notes is longer than the note")
        yield kind, data[start : start + size]
        position = start + size + -size % align


def _found(elf: Elf, texts: tuple[str, ...]) -> set[str]:
    """Which of `texts` are in what is loaded: not in the Lisp core, which is data, nor in the interpreter's name."""
    holes = [(part.offset, part.offset + part.filesz) for part in elf.segments if part.type == PT_INTERP]
    core = elf.section(LISP_SECTION)
    holes += [(core.offset, core.offset + core.size)] if core is not None else []
    wanted = {text.encode(): text for text in texts}
    overlap = max(map(len, wanted)) - 1
    found: set[str] = set()
    for start, end in _without(_loaded(elf), sorted(holes)):
        for position in range(start, end, _SCAN_BYTES):
            piece = elf.bytes_at(position, min(_SCAN_BYTES + overlap, end - position), "a segment")
            found.update(text for octets, text in wanted.items() if octets in piece)
    return found


def _loaded(elf: Elf) -> Iterator[tuple[int, int]]:
    """The parts of the file that are loaded, each byte once however the segments overlap."""
    done = 0
    for start, size in sorted((part.offset, part.filesz) for part in elf.segments if part.type == PT_LOAD):
        if start + size > done:
            yield max(start, done), start + size
            done = start + size


def _without(ranges: Iterator[tuple[int, int]], holes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for start, end in ranges:
        for hole_start, hole_end in holes:
            if start < hole_end and hole_start < end:
                if start < hole_start:
                    yield start, hole_start
                start = min(hole_end, end)
        if start < end:
            yield start, end
