"""ELF files: bytes → facts → verdict. Facts and rules are apart; the rules are data.

Who only reads symbols (linkage does, for each build) pays for the reader alone: the rest is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monolisp.elf.facts import Facts
    from monolisp.elf.trial import Trial
    from monolisp.elf.verdict import Verdict
    from monolisp.target import Target

__all__ = ["verify"]


def verify(
    path: Path,
    target: Target | None = None,
    run: bool = True,
    trial: Callable[[Facts], Trial] | None = None,
    programs: str = "",
) -> Verdict:
    """Judge the ELF file at `path` by every rule of "truly static"; with `run`, also start it where nothing else is.

    Without `target`, any machine will do; `trial` is how it is started (try_out), `programs` a PATH on which emulators
    of other machines are looked for. Raises NoSuchFile, Unreadable, BadElf.
    """
    from monolisp.elf.facts import facts_of
    from monolisp.elf.verdict import judge

    facts = facts_of(path)
    return judge(facts, target, (trial or _trial_of(programs))(facts) if run else None)


def _trial_of(programs: str) -> Callable[[Facts], Trial]:
    from monolisp.elf.trial import try_out
    from monolisp.emulator import emulator_for

    return lambda facts: try_out(facts, emulator=emulator_for(facts.machine, facts.bits, programs))
