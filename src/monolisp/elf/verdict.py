"""Facts and rules make a verdict: every finding, not the first. The rules are data: rules.toml says what and why."""

from __future__ import annotations

import re
import signal
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import assert_never

from monolisp.elf.facts import MACHINES, Facts, Kind
from monolisp.elf.layout import EM_386, EM_X86_64
from monolisp.elf.trial import Ending, Trial
from monolisp.target import Target

# Signals that say a program is broken, or was made for another processor.
FATAL = frozenset(
    {
        signal.SIGSEGV,
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGSYS,
        signal.SIGFPE,
        signal.SIGTRAP,
    }
)
_SHOWN_NAMES = 4


class Outcome(StrEnum):
    """What a rule says of a file."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    NOT_CHECKED = "not-checked"


class Severity(StrEnum):
    """How much it matters when a rule is broken."""

    FAIL = "fail"
    WARN = "warn"


class Expectation(StrEnum):
    """What a rule expects of its fact."""

    NONE = "none"
    """Nothing: None, False or empty."""
    EXECUTABLE = "executable"
    """A kind of file that can be started."""
    MACHINE = "machine"
    """The target's machine; without a target, one that is known."""
    BASELINE = "baseline"
    """No more than the processor that the target promises (without a target: the oldest of its machine)."""
    RUNS = "runs"
    """A trial that went well."""


@dataclass(frozen=True)
class Rule:
    """One rule: a row of rules.toml. `good` and `bad` are templates for what is reported, filled with {found}."""

    id: str
    title: str
    fact: str
    expect: Expectation
    severity: Severity
    good: str
    bad: str
    why: str
    todo: str


@dataclass(frozen=True)
class Finding:
    """What one rule says of a file; `found` is what it saw, in words."""

    rule: Rule
    outcome: Outcome
    found: str


@dataclass(frozen=True)
class Verdict:
    """The result of checking an ELF file: a finding for every rule. `trial` is None when it was not to be run."""

    facts: Facts
    target: Target | None
    trial: Trial | None
    findings: tuple[Finding, ...]

    @property
    def file(self) -> Path:
        return self.facts.path

    @property
    def ok(self) -> bool:
        """Truly static: no rule failed (warnings and what could not be checked do not count)."""
        return all(finding.outcome is not Outcome.FAIL for finding in self.findings)

    def failures(self) -> list[str]:
        """Every failure in words: "title: what was found"."""
        failed = [finding for finding in self.findings if finding.outcome is Outcome.FAIL]
        return [f"{finding.rule.title}: {finding.found}" for finding in failed]


@cache
def rules() -> tuple[Rule, ...]:
    """The rules, in the order in which they are reported."""
    rows = tomllib.loads(files("monolisp.elf").joinpath("rules.toml").read_text("utf-8"))["rule"]
    return tuple(
        Rule(**{**row, "expect": Expectation(row["expect"]), "severity": Severity(row["severity"])}) for row in rows
    )


def judge(facts: Facts, target: Target | None = None, trial: Trial | None = None) -> Verdict:
    """Hold `facts` and the trial against every rule. Without `trial`, the rule about running is not checked."""
    return Verdict(facts, target, trial, tuple(_finding(rule, facts, target, trial) for rule in rules()))


def _finding(rule: Rule, facts: Facts, target: Target | None, trial: Trial | None) -> Finding:
    outcome, found = _assess(rule, facts, target, trial)
    match outcome:
        case Outcome.PASS:
            return Finding(rule, outcome, rule.good.format(found=found))
        case Outcome.FAIL:
            return Finding(rule, Outcome(rule.severity.value), rule.bad.format(found=found))
        case Outcome.WARN | Outcome.NOT_CHECKED:
            return Finding(rule, outcome, found)
        case _:
            assert_never(outcome)


def _assess(rule: Rule, facts: Facts, target: Target | None, trial: Trial | None) -> tuple[Outcome, str]:
    match rule.expect:
        case Expectation.NONE:
            value: object = getattr(facts, rule.fact)
            return _pass_if(not value), _in_words(value)
        case Expectation.EXECUTABLE:
            return _pass_if(facts.kind in (Kind.EXECUTABLE, Kind.PIE)), str(facts.kind)
        case Expectation.MACHINE:
            return _machine(facts, target)
        case Expectation.BASELINE:
            return _baseline(facts, target)
        case Expectation.RUNS:
            return _runs(facts, trial)
        case _:
            assert_never(rule.expect)


def _pass_if(condition: bool) -> Outcome:
    return Outcome.PASS if condition else Outcome.FAIL


def _in_words(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    more = len(value) - _SHOWN_NAMES
    return ", ".join(map(str, value[:_SHOWN_NAMES])) + (f" and {more} more" if more > 0 else "")


def _machine(facts: Facts, target: Target | None) -> tuple[Outcome, str]:
    name = facts.machine_name or f"machine number {facts.machine}"
    found = f"{name}, {facts.bits}-bit, {facts.order}-endian"
    if target is not None:
        right = facts.machine == target.elf_machine
        wanted = MACHINES.get(target.elf_machine, str(target.elf_machine))
        return _pass_if(right), found if right else f"{found}; {target.triple} is {wanted}"
    return (Outcome.PASS if facts.machine_name else Outcome.WARN), found


def _baseline(facts: Facts, target: Target | None) -> tuple[Outcome, str]:
    if facts.machine not in (EM_386, EM_X86_64):
        return Outcome.NOT_CHECKED, "files for this machine do not say which processor features they need"
    level = _level(target.baseline) if target is not None else 1
    if facts.x86_isa is None:
        return Outcome.PASS, "no note asks for more than the oldest x86-64"
    return _pass_if(facts.x86_isa <= level), f"needs x86-64-v{facts.x86_isa}, the base is x86-64-v{level}"


def _level(baseline: str) -> int:
    """The x86-64 level in the name of a processor as zig writes it: x86_64 is 1, x86_64_v3 is 3."""
    named = re.fullmatch(r"x86_64_v([1-4])", baseline)
    return int(named[1]) if named else 1


def _runs(facts: Facts, trial: Trial | None) -> tuple[Outcome, str]:
    """Our own executables end with 0 at once when they are only tried; others may do and answer what they like."""
    if trial is None:
        return Outcome.NOT_CHECKED, "it was not to be run"
    found = _trial_in_words(trial)
    match trial.ending:
        case Ending.EXITED:
            return _pass_if(trial.code == 0 or not facts.lisp), found
        case Ending.RUNNING:
            return (Outcome.WARN if facts.lisp else Outcome.PASS), found
        case Ending.KILLED:
            return _pass_if(trial.code not in FATAL and not facts.lisp), found
        case Ending.NOT_STARTED:
            return Outcome.FAIL, found
        case Ending.NOT_TRIED:
            return Outcome.NOT_CHECKED, found
        case _:
            assert_never(trial.ending)


def _trial_in_words(trial: Trial) -> str:
    where = f"in an empty root directory ({trial.isolation})"
    match trial.ending:
        case Ending.EXITED:
            last = _last_line(trial.output) if trial.code else ""
            return f"ran {where}, exit code {trial.code}, {trial.seconds * 1e3:.0f} ms{last}"
        case Ending.RUNNING:
            return f"ran {where}, still running after {trial.seconds:.0f} s"
        case Ending.KILLED:
            return f"ended {where} by {_signal_name(trial.code)}{_last_line(trial.output)}"
        case Ending.NOT_STARTED:
            return f"could not be started {where}: {trial.reason}"
        case Ending.NOT_TRIED:
            return trial.reason
        case _:
            assert_never(trial.ending)


def _last_line(output: str) -> str:
    lines: Iterable[str] = (line.strip() for line in reversed(output.splitlines()))
    last = next((line for line in lines if line), "")
    return f'; it said "{last[:120]}"' if last else ""


def _signal_name(number: int | None) -> str:
    return next((entry.name for entry in signal.Signals if entry == number), f"signal {number}")
