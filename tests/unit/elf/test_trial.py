from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from monolisp.elf.facts import Kind, facts_in
from monolisp.elf.reader import Elf
from monolisp.elf.trial import obstacle
from tests.unit.elf.making import Form, static_program

PROGRAM = facts_in(Elf.parse(memoryview(static_program()), "a.out"), Path("a.out"))
ARM = replace(PROGRAM, machine=183)
NARROW = facts_in(Elf.parse(memoryview(static_program(Form(32))), "a.out"), Path("a.out"))


def test_what_can_be_run() -> None:
    assert obstacle(PROGRAM, "x86_64", 0o755) is None
    assert obstacle(replace(PROGRAM, kind=Kind.PIE), "x86_64", 0o100) is None
    assert obstacle(ARM, "aarch64", 0o755) is None


@pytest.mark.parametrize(
    ("facts", "machine", "mode", "word"),
    [
        (ARM, "x86_64", 0o755, "AArch64"),
        (PROGRAM, "aarch64", 0o755, "x86-64"),
        (PROGRAM, "sparc64", 0o755, "sparc64"),
        (NARROW, "x86_64", 0o755, "another machine"),
        (replace(PROGRAM, order="big"), "x86_64", 0o755, "another machine"),
        (PROGRAM, "x86_64", 0o644, "chmod"),
        (replace(PROGRAM, kind=Kind.OBJECT), "x86_64", 0o755, "object file"),
        (replace(PROGRAM, kind=Kind.LIBRARY), "x86_64", 0o755, "shared library"),
    ],
)
def test_what_cannot(facts: object, machine: str, mode: int, word: str) -> None:
    reason = obstacle(facts, machine, mode)  # type: ignore[arg-type]
    assert reason is not None and word in reason
