"""A verdict for people (a table) and for programs (JSON). Pure: values in, text or plain data out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import assert_never

from monolisp.elf.facts import Facts
from monolisp.elf.trial import Trial
from monolisp.elf.verdict import Finding, Outcome, Verdict
from monolisp.errors import MonolispError

SCHEMA = "monolisp-verify-2"
WIDTH = 100
"""Columns of a table; only a file's own name may be longer."""


def as_table(verdict: Verdict) -> str:
    """The verdict, then a line for each rule; under each rule that is broken why it matters and what to do."""
    titles = max(len(finding.rule.title) for finding in verdict.findings)
    lines = [f"{_printable(str(verdict.file))}: {_summary(verdict)}"]
    for finding in verdict.findings:
        lines += _lines(f"  {_mark(finding.outcome):<4}  {finding.rule.title:<{titles}}  ", _printable(finding.found))
        if finding.outcome in (Outcome.FAIL, Outcome.WARN):
            lines += _lines(f"{'':{titles + 10}}why: ", finding.rule.why)
            lines += _lines(f"{'':{titles + 10}}try: ", finding.rule.todo)
    return "\n".join(lines)


def _summary(verdict: Verdict) -> str:
    failed = len(verdict.failures())
    if failed:
        return f"NOT truly static: {failed} of {len(verdict.findings)} rules broken"
    unchecked = sum(finding.outcome is Outcome.NOT_CHECKED for finding in verdict.findings)
    return f"truly static, as far as checked: {unchecked} not checked" if unchecked else "truly static"


def _mark(outcome: Outcome) -> str:
    match outcome:
        case Outcome.PASS:
            return "ok"
        case Outcome.FAIL:
            return "FAIL"
        case Outcome.WARN:
            return "warn"
        case Outcome.NOT_CHECKED:
            return "--"
        case _:
            assert_never(outcome)


def _lines(start: str, text: str) -> list[str]:
    """`text` after `start`, wrapped under itself."""
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)) or [start.rstrip()]


def _printable(text: str) -> str:
    """What a file says of itself may hold anything, a terminal's escape sequences too."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def as_json(verdicts: Sequence[Verdict], unreadable: Sequence[tuple[str, MonolispError]] = ()) -> dict[str, object]:
    """All verdicts, and why other files (name, error) got none, in the form that verify.schema.json describes."""
    return {
        "schema": SCHEMA,
        "ok": not unreadable and all(verdict.ok for verdict in verdicts),
        "files": [_file(verdict) for verdict in verdicts],
        "unreadable": [_refusal(name, error) for name, error in unreadable],
    }


def _refusal(name: str, error: MonolispError) -> dict[str, object]:
    said = {"error": error.name, "what": error.what_text, "why": error.why_text, "try": error.todo_text}
    return {"file": _text(name), **{key: _text(text) for key, text in said.items()}}


def _file(verdict: Verdict) -> dict[str, object]:
    return {
        "file": _text(str(verdict.file)),
        "ok": verdict.ok,
        "target": verdict.target.triple if verdict.target is not None else None,
        "facts": _plain(verdict.facts),
        "trial": _plain(verdict.trial) if verdict.trial is not None else None,
        "findings": [_finding(finding) for finding in verdict.findings],
    }


def _finding(finding: Finding) -> dict[str, object]:
    rule = finding.rule
    return {
        "rule": rule.id,
        "title": rule.title,
        "outcome": finding.outcome.value,
        "found": _text(finding.found),
        "why": rule.why,
        "todo": rule.todo,
    }


def _plain(facts: Facts | Trial) -> dict[str, object]:
    return {name: _json(value) for name, value in asdict(facts).items() if name != "path"}


def _json(value: object) -> object:
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Names of files may hold bytes that are not UTF-8, which JSON cannot say."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
