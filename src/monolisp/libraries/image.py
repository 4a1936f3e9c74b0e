"""Images: libraries linked for a fixed address against a running build runtime, which only maps them (desk.c).

A build runtime is a static program at a fixed address, so every address in it is known from its symbol table. An
image's references to libc, to the runtime and to earlier images become those addresses; what nothing defines leads to
monolisp_missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monolisp.elf.layout import PT_LOAD, PT_TLS, SHN_ABS, STT_OBJECT
from monolisp.elf.reader import SHN_UNDEF, STB_GLOBAL, STB_WEAK, STT_FUNC, STT_NOTYPE, STV_DEFAULT, Elf, mapped
from monolisp.errors import LinkFailed, UnlinkableArchive
from monolisp.linkage.archive import MAGIC, members
from monolisp.process import Command, Runner
from monolisp.target import Target
from monolisp.toolchain.zig import Zig

MISSING = "monolisp_missing"
_GAP = 1 << 20
# What the linker itself defines in every image.
_LINKERS = frozenset(
    (
        ".TOC.",
        "_GLOBAL_OFFSET_TABLE_",
        "_DYNAMIC",
        "_TLS_MODULE_BASE_",
        "__ehdr_start",
        "__executable_start",
        "__bss_start",
    )
)
_LINKERS_TOO = re.compile(r"_?(end|etext|edata)|__(start|stop)_.*|__(init|fini|preinit)_array_.*|__rela?_iplt_.*")


def addresses(program: Path) -> dict[str, int]:
    """Name → address of everything in a linked static program or image, hidden names included. Raises BadElf."""
    found: dict[str, int] = {}
    with mapped(program) as view:
        for symbol in Elf.parse(view, str(program)).symbols():
            if symbol.shndx in (SHN_UNDEF, SHN_ABS) or symbol.type not in (STT_NOTYPE, STT_OBJECT, STT_FUNC):
                continue
            if symbol.bind in (STB_GLOBAL, STB_WEAK):
                found[symbol.name] = symbol.value
            elif symbol.visibility != STV_DEFAULT:  # global in its object, and hidden: no function of one file alone
                found.setdefault(symbol.name, symbol.value)
    return found


@dataclass(frozen=True)
class Names:
    """What objects and archives refer to and define; `weak` are references that may stay empty."""

    wanted: set[str]
    weak: set[str]
    defined: set[str]


def names_of(paths: Sequence[Path]) -> Names:
    """Every global name in `paths`, hidden ones included. Raises BadElf."""
    names = Names(set(), set(), set())
    for path in paths:
        with mapped(path) as view:
            for name, content in members_of(view, str(path)):
                for symbol in Elf.parse(content, name).symbols():
                    if symbol.shndx != SHN_UNDEF and symbol.bind in (STB_GLOBAL, STB_WEAK):
                        names.defined.add(symbol.name)
                    elif symbol.bind == STB_GLOBAL:
                        names.wanted.add(symbol.name)
                    elif symbol.bind == STB_WEAK:
                        names.weak.add(symbol.name)
    return names


def members_of(view: memoryview, path: str) -> list[tuple[str, memoryview]]:
    """The ELF objects of an archive, or the one object that a file is."""
    if bytes(view[: len(MAGIC)]) != MAGIC:
        return [(path, view)]
    return [
        (f"{path}({member.name})", member.data)
        for member in members(view, path)
        if bytes(member.data[:4]) == b"\x7fELF"
    ]


def link_image(
    archives: Sequence[Path],
    base: int,
    known: Mapping[str, int],
    helpers: Sequence[Path],
    output: Path,
    target: Target,
    zig: Zig,
    runner: Runner,
) -> None:
    """Link all of `archives` at the address `base` into `output`; `known` are the addresses they may refer to and
    `helpers` archives that supply the compiler's own functions.

    Raises LinkFailed, UnlinkableArchive, BadElf.
    """
    names = names_of(archives)
    helped = names_of(helpers).defined
    open_names = {name for name in names.wanted | names.weak if name not in names.defined and not _is_linkers(name)}
    definitions = {name: known[name] for name in open_names if name in known} | {"__dso_handle": base}
    missing = sorted((open_names & names.wanted) - definitions.keys() - helped)
    definitions |= dict.fromkeys(missing, known[MISSING])
    table = output.with_suffix(".definitions")
    table.write_text(
        "".join(f"--defsym={name}=0x{value:x}\n" for name, value in sorted(definitions.items())), encoding="utf-8"
    )
    flags = ["-m", target.emulation, "-static", f"--image-base=0x{base:x}", "--entry=0", "--build-id=none"]
    flags += ["--strip-debug", "--allow-multiple-definition", "--no-gc-sections", "-z", "norelro", "-z", "noexecstack"]
    inputs: list[str | Path] = ["--whole-archive", *archives, "--no-whole-archive", *helpers]
    argv = zig.ld(*flags, "-z", f"max-page-size={target.page_size}", f"@{table}", "-o", output, *inputs)
    done = runner(Command(argv, zig.env, cwd=output.parent))
    if done.returncode != 0:
        raise LinkFailed(reason=done.text[-2000:])
    _check(output, archives, target)


def _is_linkers(name: str) -> bool:
    return name in _LINKERS or bool(_LINKERS_TOO.fullmatch(name))


def _check(image: Path, archives: Sequence[Path], target: Target) -> None:
    with mapped(image) as view:
        elf = Elf.parse(view, str(image))
        if any(segment.type == PT_TLS for segment in elf.segments):
            reason = "it has thread-local variables that the linker lays out; compile it with -femulated-tls"
            raise UnlinkableArchive(file=", ".join(map(str, archives)), reason=reason, target=target.triple)


def end_of(image: Path) -> int:
    """The first address that is free behind an image, for the next."""
    with mapped(image) as view:
        segments = [segment for segment in Elf.parse(view, str(image)).segments if segment.type == PT_LOAD]
    last = max(segment.vaddr + segment.memsz for segment in segments)
    return -(-last // _GAP) * _GAP
