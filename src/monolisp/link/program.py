"""The code of a finished executable: runtime object, libc and our start, linked with the core's linkage table."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from monolisp.errors import LinkFailed, MissingInArchive, MonolispError, SymbolClash
from monolisp.libraries.supply import Foreign, Supply, require_distinct
from monolisp.linkage.names import Kind, origin_of
from monolisp.linkage.sizes import Sizes
from monolisp.linkage.sources import c_source
from monolisp.linkage.table import Linked, program_table
from monolisp.lisp.corefile import is_compressed, linkage_of
from monolisp.process import Command, Runner
from monolisp.store import digest_of
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain
from monolisp.toolchain.version import Linking
from monolisp.toolchain.zig import Zig, find_zig

LINKAGE_SECTION = "monolisp.linkage"
# The stack of a thread that a C library starts, in bytes: musl's own default is 128 KiB.
_C_THREAD_STACK = 8 << 20
_STATISTICS = "archives.tsv"
# What must lie together: on 64-bit ARM musl's sigsetjmp jumps to setjmp with an instruction that reaches a megabyte.
_TOGETHER, _ORDER = ("setjmp", "sigsetjmp"), "order"
_COMPRESSES = "ZSTD_createCStream"


@dataclass(frozen=True)
class Program:
    """Linked code, without its core, the linkage table it was linked with, and the supplies that something of is
    inside: those of them that Lisp never asked for are what others depend on."""

    path: Path
    linkage: Sequence[Linked]
    supplies: Sequence[Supply]


Providers = Mapping[str, Mapping[str, str]]


def _linkage(core: Path, foreign: Foreign, providers: Providers, linking: Linking) -> list[Linked]:
    """The names that a core needs, each with what will define it, if anything. A core that does not tell them was told
    by those who looked them up while it was made: these are all defined."""
    if linking is Linking.PRELINKED:
        return [Linked(entry.name, entry.kind, origin_of(entry.name, providers)) for entry in linkage_of(core)]
    origins = {name: origin_of(name, providers) for name in sorted(foreign.looked_up)}
    return [Linked(name, Kind(providers[origin][name]), origin) for name, origin in origins.items() if origin]


def link_program(core: Path, foreign: Foreign, sizes: Sizes | None, toolchain: Toolchain, machine: Machine) -> Program:
    """Link what `core` needs. The result is kept: the same names and sizes need no second link. Without sizes the
    executable starts as SBCL does, and takes SBCL's options.

    Raises SymbolClash, MissingInArchive, LinkFailed.
    """
    target = toolchain.target
    providers = _providers(toolchain, foreign.supplies)
    linkage = _linkage(core, foreign, providers, toolchain.linking)
    require_distinct([entry.name for entry in linkage], foreign.supplies)
    compression = _compression(core, foreign, toolchain)
    # Lisp finds what is in a prelinked table by itself.
    prelinked = linkage if toolchain.linking is Linking.PRELINKED else None
    by_name = set(foreign.looked_up).difference(entry.name for entry in prelinked or ())
    exports = exported([*foreign.exports, *by_name], providers)
    sources = {
        "tables.c": program_table(prelinked, sizes, sorted(foreign.asked), exports),
        **{name: c_source(name) for name in (*_c_files(foreign, sizes, compression), "tables.h")},
    }
    supplied = [supply.digest for supply in foreign.supplies]
    bundle = hashlib.sha256(foreign.certificates or b"").hexdigest()
    digest = digest_of(["program", _maker(), toolchain.digest, sources, supplied, bundle, bool(compression)])

    def make(directory: Path) -> None:
        zig = find_zig(machine.store, machine.path)
        for name, text in sources.items():
            (directory / name).write_text(text, encoding="utf-8")
        (directory / "ca.pem").write_bytes(foreign.certificates or b"")
        objects = [directory / name.replace(".c", ".o") for name in sources if name.endswith(".c")]
        for compiled in objects:
            zig.compile(target, compiled.with_suffix(".c"), compiled, machine.runner)
        program = directory / "program"
        _link([*objects, *(compression or ())], foreign.supplies, program, toolchain, zig, machine.runner)
        drawn = json.dumps(_drawn(directory / _STATISTICS, foreign.supplies))
        (directory / "drawn.json").write_text(drawn, encoding="utf-8")
        # Lisp writes a core behind it, at the next page of its own kind.
        os.truncate(program, -(-program.stat().st_size // target.core_alignment) * target.core_alignment)

    entry = machine.store.entry("programs", digest, make)
    drawn = json.loads((entry / "drawn.json").read_bytes())
    return Program(entry / "program", linkage, [supply for supply in foreign.supplies if supply.digest in drawn])


def _drawn(statistics: Path, supplies: Sequence[Supply]) -> list[str]:
    """The digests of those supplies that the linker took something from. Source: lld's --print-archive-stats."""
    rows = [line.split("\t") for line in statistics.read_text(encoding="utf-8").splitlines()[1:]]
    counts = {archive: int(extracted) for _, extracted, archive in rows}
    objects = [supply for supply in supplies for path in supply.archives if counts.get(str(path), 1)]
    return sorted({supply.digest for supply in objects})


def _compression(core: Path, foreign: Foreign, toolchain: Toolchain) -> list[Path] | None:
    """What compresses cores, for an executable whose core is compressed; nothing if a library of the program's is that
    very thing; None if it is not needed."""
    if any(_COMPRESSES in supply.names for supply in foreign.supplies):
        return []
    return [toolchain.compression] if is_compressed(core) else None


def _c_files(foreign: Foreign, sizes: Sizes | None, compression: Sequence[Path] | None) -> list[str]:
    """Our C files that go into an executable."""
    files = ["dl.c", "program.c", "vector.c", "math.c", "start.c" if sizes else "probe.c"]
    files += ["emutls.c"] if foreign.supplies else []
    files += ["ca.c"] if foreign.certificates is not None else []
    return [*files, *(["nozstd.c"] if compression is None else [])]


@cache
def _maker() -> str:
    """Our own code that decides how a program is linked."""
    return Path(__file__).read_text(encoding="utf-8")


def exported(patterns: Sequence[str], providers: Providers) -> list[str]:
    """The names that `patterns` stand for, sorted: names, or with * and ? every name that some provider defines."""
    plain = [pattern for pattern in patterns if not set("*?[") & set(pattern)]
    wild = [re.compile(fnmatch.translate(pattern)) for pattern in patterns if pattern not in plain]
    names = {name for names in providers.values() for name in names} if wild else set()
    found = {name for name in names if any(pattern.match(name) for pattern in wild)}
    return sorted(found | {name for name in plain if origin_of(name, providers)})


def _providers(toolchain: Toolchain, supplies: Sequence[Supply]) -> dict[str, Mapping[str, str]]:
    """Who defines what, in link order: libc's own names are libc's, unless a library is there to take their place."""
    first = {supply.label: supply.names for supply in supplies if supply.before_libc}
    return {**first, **toolchain.names, **{supply.label: supply.names for supply in supplies}}


def _link(
    objects: Sequence[Path],
    supplies: Sequence[Supply],
    output: Path,
    toolchain: Toolchain,
    zig: Zig,
    runner: Runner,
) -> None:
    start, libc = toolchain.libc
    target = toolchain.target
    flags = ["-m", target.emulation, "-static", "--gc-sections", "--strip-all", "--build-id=none", "--eh-frame-hdr"]
    flags.append(f"--print-archive-stats={_STATISTICS}")
    (output.parent / _ORDER).write_text("\n".join(_TOGETHER), encoding="utf-8")
    flags += [f"--symbol-ordering-file={_ORDER}", "--no-warn-symbol-ordering"]
    settings = ["noexecstack", f"stack-size={_C_THREAD_STACK}", f"max-page-size={target.page_size}"]
    first = [archive for supply in supplies for archive in supply.before_libc]
    archives = [archive for supply in supplies for archive in supply.archives if archive not in first]
    inputs: list[str | Path] = [start, *objects, toolchain.runtime_object, "--start-group", *first, *libc, *archives]
    inputs.append("--end-group")
    argv = zig.ld(*flags, *(part for setting in settings for part in ("-z", setting)), "-o", output, *inputs)
    done = runner(Command(argv, zig.env, cwd=output.parent))
    if done.returncode != 0:
        raise explained(done.text)


def linked_libraries(program: Program, foreign: Foreign) -> list[tuple[Supply, list[str]]]:
    """Every library that something of is in the executable or that was asked for, with the names asked for."""
    asked = set(foreign.asked.values())
    used = [supply for supply in foreign.supplies if supply in program.supplies or supply.label in asked]
    return [(supply, sorted(name for name, label in foreign.asked.items() if label == supply.label)) for supply in used]


def explained(text: str) -> MonolispError:
    """The error that the linker's complaints mean. Source: LLD's messages, 19."""
    clash = re.search(r"duplicate symbol: (\S+)\n>>> defined at .*\n(?:>>> +.*\n)*?>>> +(.*)\n>>> defined at", text)
    places = re.findall(r"^>>> +(\S+\.a):?\(?|in archive (\S+)", text, re.MULTILINE)
    archives = list(dict.fromkeys(Path(one or other).name for one, other in places))
    if clash and len(archives) > 1:
        return SymbolClash(name=clash[1], first=archives[0], second=archives[1])
    undefined = re.findall(r"undefined symbol: (\S+)", text)
    if undefined:
        detail = f"{', '.join(archives) or 'a library'} refers to it"
        return MissingInArchive(names=", ".join(dict.fromkeys(undefined)), detail=detail)
    return LinkFailed(reason=text[-2000:])


def linkage_note(linkage: Sequence[Linked]) -> bytes:
    """The section that lets `monolisp linkage` tell where each name came from: JSON, one [name, kind, origin] each."""
    rows = [[entry.name, entry.kind, entry.origin] for entry in linkage]
    return json.dumps(rows, separators=(",", ":")).encode()
