"""Where two executables differ: by section, and in the heap by object, with what holds it and the file that made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from monolisp.elf.reader import Elf, mapped
from monolisp.errors import LispDied
from monolisp.lisp.corefile import SECTION, Core, Memory, core_offset
from monolisp.lisp.heap import Heap, Part, Shape, shape_of
from monolisp.lisp.session import FOLDER, environment, lisp
from monolisp.process import Command
from monolisp.provenance.note import SECTION as NOTE
from monolisp.provenance.note import inspect
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain

_CHUNK = 4096
_WORD = 8
_MOST = 10
_SPACES = {1: "dynamic", 2: "static", 3: "read-only", 4: "permanent generation", 5: "immobile code"}


@dataclass(frozen=True)
class Difference:
    """`where` is a section, perhaps with the space of the heap; `what` is in each of the two; `held` is what holds
    that object: from it to something that has a name."""

    where: str
    what: str
    held: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + "".join(f"\n    in {part}" for part in self.held)


def differences(one: Path, other: Path, shape: Shape) -> list[Difference]:
    """What is not the same in two executables of the SBCL that `shape` tells of. Raises BadElf, BadCore,
    and what inspect() raises."""
    told = [inspect(path).provenance for path in (one, other)]
    with ExitStack() as stack:
        views = [stack.enter_context(mapped(path)) for path in (one, other)]
        elves = [Elf.parse(view, str(path)) for view, path in zip(views, (one, other), strict=True)]
        heaps = [_heap(view, path, shape) for view, path in zip(views, (one, other), strict=True)]
        found = [*_of_sections(*elves), *_of_heaps(*heaps)]
    # What is left over is the seal, which differs when anything does.
    return [item for item in found if item.where != f"section {NOTE}" or told[0] != told[1]]


def _heap(view: memoryview, path: Path, shape: Shape) -> Heap:
    core = Core(view[core_offset(view, str(path)) :], str(path))
    return Heap(Memory(core.spaces(), core.view, core.path), shape)


def _of_sections(one: Elf, other: Elf) -> Iterator[Difference]:
    names = dict.fromkeys(section.name for elf in (one, other) for section in elf.sections)
    for name in names:
        here, there = one.section(name), other.section(name)
        if here is None or there is None:
            yield Difference(f"section {name}", f"only in the {'second' if here is None else 'first'}")
        elif name != SECTION and one.section_data(here) != other.section_data(there):
            sizes = f"{here.size} and {there.size} bytes" if here.size != there.size else f"{here.size} bytes"
            yield Difference(f"section {name}", f"another content ({sizes})")


def _of_heaps(one: Heap, other: Heap) -> Iterator[Difference]:
    for here in one.parts:
        there = next((part for part in other.parts if part.space.kind == here.space.kind), None)
        if there is None:
            yield Difference(_space(here), "only in the first")
        elif here.content != there.content or here.space.start != there.space.start:
            yield from _of_parts(one, here, other, there)


def _space(part: Part) -> str:
    return f"section {SECTION}, {_SPACES.get(part.space.kind, 'another')} space"


def _of_parts(one: Heap, here: Part, other: Heap, there: Part) -> Iterator[Difference]:
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
            moved = moved or start  # The same thing elsewhere, most likely since something else differs.
            continue
        if len(seen) == _MOST:
            yield Difference(where, "and more")
            return
        seen.add(start)
        if other.object_at(beside) != start - here.space.start + there.space.start:
            yield Difference(where, f"from {start:#x} on, objects are in other places", tuple(one.held_by(start)))
            return
        words = f"word {(address - start) // _WORD}: {one.word_text(address)} and {other.word_text(beside)}"
        yield Difference(where, f"{one.kind(start)} at {start:#x}, {words}", tuple(one.held_by(start)))
    if moved and not seen and not counts:
        what = f"what {one.kind(moved)} at {moved:#x} refers to lies in another order"
        yield Difference(where, what, tuple(one.held_by(moved)))


def _counts(where: str, one: Heap, here: Part, other: Heap, there: Part) -> Iterator[Difference]:
    """Of which kinds there are more in one of them."""
    if here.starts == there.starts:
        return
    kinds = [Counter(heap.kind(start) for start in part.starts) for heap, part in ((one, here), (other, there))]
    unlike = [kind for kind in dict.fromkeys([*kinds[0], *kinds[1]]) if kinds[0][kind] != kinds[1][kind]]
    for kind in unlike[:_MOST]:
        yield Difference(where, f"{kinds[0][kind]} and {kinds[1][kind]} of {kind}")


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
    argv = [*lisp(toolchain, machine), "--non-interactive", "--load", FOLDER / "shape.lisp"]
    done = machine.runner(Command(argv, environment(toolchain, machine)))
    if done.returncode != 0:
        raise LispDied(place="while telling of its heap", reason=done.text[-2000:])
    return shape_of(done.text)
