"""Where two executables differ: by section, and in the heap by object, with what holds it and the file that made it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monolisp.elf.layout import SHT_NOBITS
from monolisp.elf.reader import mapped, open_elf
from monolisp.lisp.corefile import SECTION, Core, Memory, core_offset
from monolisp.lisp.heap import Heap, Part, Shape, shape_of
from monolisp.lisp.session import FOLDER, asked
from monolisp.provenance.note import SECTION as NOTE
from monolisp.provenance.note import inspect
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain

NONE, _ORDER = "(nothing)", "another order"
_CHUNK, _PIECE = 4096, 1 << 20
_WORD = 8
_MOST, _LONGEST = 10, 100
_SPACES = {1: "dynamic", 2: "static", 3: "read-only", 4: "permanent generation", 5: "immobile code"}


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what, as it is in the first, as it is in the second. Of an object of the heap, `held` is
    what holds it: from itself to something that has a name."""

    what: str
    before: str
    after: str
    held: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"{self.what}: {_short(self.before)} → {_short(self.after)}"
        return told + "".join(f"\n    in {part}" for part in self.held)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """What two tables say differently."""
    pairs = [(name, before.get(name, NONE), after.get(name, NONE)) for name in {**before, **after}]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def section_differences(before: Path, after: Path) -> list[Difference]:
    """Section by section: size in bytes and the beginning of the sha256."""
    return differing(_sections(before), _sections(after))


def _sections(path: Path) -> dict[str, str]:
    """Name → size and sha256; a name that comes again is numbered."""
    with open_elf(path) as elf:
        parts = [(part.name, part.offset, 0 if part.type == SHT_NOBITS else part.size) for part in elf.sections]
    found: dict[str, str] = {}
    with path.open("rb") as stream:
        for name, offset, size in parts:
            stream.seek(offset)
            digest, left = hashlib.sha256(), size
            while left and (piece := stream.read(min(left, _PIECE))):
                digest.update(piece)
                left -= len(piece)
            again = sum(1 for known in found if known.partition(" #")[0] == f"section {name}")
            label = f"section {name}" + (f" #{again + 1}" if again else "")
            found[label] = f"{size} bytes, sha256:{digest.hexdigest()[:12]}"
    return found


def differences(one: Path, other: Path, shape: Shape, most: int = _MOST) -> list[Difference]:
    """What is not the same in two executables of the SBCL that `shape` tells of: sections, and objects of the core, of
    each space at `most` so many.

    Raises BadElf, BadCore, and what inspect() raises.
    """
    told = [inspect(path).provenance for path in (one, other)]
    # Where the records agree only the seal is left over, which differs when anything does.
    known = {f"section {SECTION}", *([f"section {NOTE}"] if told[0] == told[1] else [])}
    sections = [found for found in section_differences(one, other) if found.what not in known]
    with mapped(one) as first, mapped(other) as second:
        return [*sections, *heap_differences(_heap(first, one, shape), _heap(second, other, shape), most)]


def _heap(view: memoryview, path: Path, shape: Shape) -> Heap:
    core = Core(view[core_offset(view, str(path)) :], str(path))
    return Heap(Memory(core.spaces(), core.view, core.path), shape)


def heap_differences(one: Heap, other: Heap, most: int = _MOST) -> list[Difference]:
    """Space by space, object by object; in which order the same objects lie only where nothing else differs."""
    found: list[Difference] = []
    orders: list[Difference] = []
    for here in one.parts:
        there = next((part for part in other.parts if part.space.kind == here.space.kind), None)
        if there is None:
            found.append(Difference(_space(here), f"{here.space.size} bytes", NONE))
        elif here.content != there.content or here.space.start != there.space.start:
            of_space = [*_of_parts(one, here, other, there, most)]
            found += [item for item in of_space if item.after != _ORDER]
            orders += [item for item in of_space if item.after == _ORDER]
    return found or orders


def _space(part: Part) -> str:
    return f"section {SECTION}, {_SPACES.get(part.space.kind, 'another')} space"


def _of_parts(one: Heap, here: Part, other: Heap, there: Part, most: int) -> Iterator[Difference]:
    where = _space(here)
    counts = [*_counts(where, one, here, other, there)]
    yield from counts
    seen: set[int] = set()
    moved: int | None = None
    for place in _words(here.content, there.content):
        address, beside = here.space.start + place, there.space.start + place
        start = one.object_at(address)
        if start in seen:
            continue
        if one.points_alike(address, other, beside):
            moved = moved or start  # Most likely the same thing, elsewhere since something else differs.
            continue
        if len(seen) == most:
            yield Difference(where, "and more", "and more")
            return
        seen.add(start)
        if other.object_at(beside) != start - here.space.start + there.space.start:
            what = f"{where}, from {start:#x} on"
            yield Difference(what, "objects", "objects in other places", tuple(one.held_by(start)))
            return
        what = f"{where}: {one.kind(start)} at {start:#x}, word {(address - start) // _WORD}"
        yield Difference(what, one.word_text(address), other.word_text(beside), tuple(one.held_by(start)))
    if moved and not seen and not counts:
        what = f"{where}: what {one.kind(moved)} at {moved:#x} refers to"
        yield Difference(what, "one order", _ORDER, tuple(one.held_by(moved)))


def _counts(where: str, one: Heap, here: Part, other: Heap, there: Part) -> Iterator[Difference]:
    """Of which kinds there are more in one of them."""
    if here.starts == there.starts:
        return
    kinds = [Counter(heap.kind(start) for start in part.starts) for heap, part in ((one, here), (other, there))]
    unlike = [kind for kind in dict.fromkeys([*kinds[0], *kinds[1]]) if kinds[0][kind] != kinds[1][kind]]
    for kind in unlike[:_MOST]:
        yield Difference(f"{where}: how many of {kind}", str(kinds[0][kind]), str(kinds[1][kind]))


def _words(here: bytes, there: bytes) -> Iterator[int]:
    """The offsets of the words that differ, of those that both have."""
    size = min(len(here), len(there))
    for begin in range(0, size, _CHUNK):
        if here[begin : begin + _CHUNK] == there[begin : begin + _CHUNK]:
            continue
        for place in range(begin, min(begin + _CHUNK, size), _WORD):
            if here[place : place + _WORD] != there[place : place + _WORD]:
                yield place


def shape_for(toolchain: Toolchain, machine: Machine) -> Shape:
    """What has to be known of a toolchain's SBCL to read its heaps. Raises LispDied."""
    return shape_of(asked(["--load", FOLDER / "shape.lisp"], toolchain, machine, "while telling of its heap"))
