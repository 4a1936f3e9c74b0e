"""The target: the processor and libc that a program is built for. One TOML file each in targets/, read here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path

from monolisp.errors import NoSuchTarget, TargetRefused

_FOLDER = Path(__file__).parent / "targets"
ALL = "all"


class State(StrEnum):
    """How far a target has come: its tests pass; programs build and run, with what `why` says; or it cannot be."""

    WORKS = "works"
    BUILDS = "builds"
    REFUSED = "refused"


@dataclass(frozen=True)
class Target:
    """One row of facts about a processor and its libc.

    `triple` is zig's name of it and `names` are others; `state` says how far it has come and `why` what is amiss.
    `sbcl_arch` is SBCL's name of the processor, and `options` go to its make-config.sh besides the version's.
    `machines` are the kernels' names (uname -m) of machines that run its programs, `qemu` is what qemu-user calls it
    on others, `oci` its platform in container images. `elf_machine` is the ELF header's e_machine number, `bits` 32 or
    64, `emulation` the linker's -m name, `page_size` the largest page in bytes that a kernel of this processor may
    use, `baseline` the oldest processor, as zig names it. `images` is the address of the first library that a build
    takes in: clear of SBCL's spaces and of C's heap, within reach of the build runtime's code. `weaken` are functions
    of SBCL's runtime for this processor that our C files replace, besides the version's.
    """

    triple: str
    names: tuple[str, ...]
    state: State
    sbcl_arch: str
    options: tuple[str, ...]
    machines: tuple[str, ...]
    qemu: str
    oci: str
    elf_machine: int
    bits: int
    emulation: str
    page_size: int
    baseline: str
    images: int
    weaken: tuple[str, ...] = ()
    why: str = ""

    @property
    def core_alignment(self) -> int:
        """Where a core may begin in a file, in bytes: SBCL maps it from there, on any kernel of the processor."""
        return max(65536, self.page_size)

    @property
    def inputs(self) -> list[object]:
        """What of these facts decides the bytes of what is built."""
        how = (self.sbcl_arch, list(self.options), self.emulation, self.page_size, self.baseline, list(self.weaken))
        return [self.triple, *how]

    def runs_on(self, machine: str) -> bool:
        """Whether a machine of this name (uname -m) runs its programs itself."""
        return machine in self.machines


@cache
def targets() -> Mapping[str, Target]:
    """Every target by its triple: those that work first."""
    import tomllib

    found = [_target(tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(_FOLDER.glob("*.toml"))]
    order = [*State]
    return {target.triple: target for target in sorted(found, key=lambda target: order.index(target.state))}


def _target(table: Mapping[str, object]) -> Target:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Target(**{**values, "state": State(str(table["state"]))})  # type: ignore[arg-type]


def find_target(name: str | None) -> Target:
    """The target called `name`; without a name, the one of this machine. Raises NoSuchTarget, TargetRefused."""
    wanted = name if name is not None else os.uname().machine
    for target in targets().values():
        if wanted == target.triple or wanted in target.names or (name is None and target.runs_on(wanted)):
            if target.state is State.REFUSED:
                raise TargetRefused(name=target.triple, reason=target.why)
            return target
    known = {spelling: target.triple for target in targets().values() for spelling in (target.triple, *target.names)}
    near = [known[spelling] for spelling in get_close_matches(wanted, known, n=2)]
    suggestion = f"did you mean {' or '.join(dict.fromkeys(near))}?" if near else "choose one of them"
    raise NoSuchTarget(name=wanted, known=", ".join(targets()), suggestion=suggestion)


def find_targets(names: Sequence[str]) -> list[Target]:
    """The targets that `names` mean, each once: names with commas between them, or "all" for every one that can be
    built for. Without names, this machine's. Raises NoSuchTarget, TargetRefused."""
    wanted = [name.strip() for entry in names for name in entry.split(",") if name.strip()]
    if not wanted:
        return [find_target(None)]
    found: list[Target] = []
    for name in wanted:
        every = [target for target in targets().values() if target.state is State.WORKS]
        found += every if name == ALL else [find_target(name)]
    return list(dict.fromkeys(found))
