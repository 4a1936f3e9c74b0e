"""ELF files: bytes → facts → verdict. Facts and rules are apart; the rules are data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from monolisp.elf.facts import Facts, facts_of
from monolisp.elf.trial import Ending, Trial, try_out
from monolisp.elf.verdict import Finding, Outcome, Verdict, judge
from monolisp.target import Target

__all__ = ["Ending", "Facts", "Finding", "Outcome", "Trial", "Verdict", "facts_of", "judge", "try_out", "verify"]


def verify(
    path: Path, target: Target | None = None, run: bool = True, trial: Callable[[Facts], Trial] = try_out
) -> Verdict:
    """Judge the ELF file at `path` by every rule of "truly static"; with `run`, also start it where nothing else is.

    Without `target`, any machine will do. Raises NoSuchFile, BadElf.
    """
    facts = facts_of(path)
    return judge(facts, target, trial(facts) if run else None)
