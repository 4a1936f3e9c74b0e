from __future__ import annotations

import errno
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from monolisp.elf.confine import Stage, Way
from monolisp.elf.facts import Kind, facts_in
from monolisp.elf.reader import Elf
from monolisp.elf.trial import Ending, Report, obstacle, trial_from
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


@pytest.mark.parametrize(
    ("stage", "value", "ending", "code", "word"),
    [
        (Stage.ENDED, 0, Ending.EXITED, 0, ""),
        (Stage.ENDED, 3 << 8, Ending.EXITED, 3, ""),
        (Stage.ENDED, signal.SIGSEGV, Ending.KILLED, signal.SIGSEGV, ""),
        (Stage.ENDED, signal.SIGABRT | 0x80, Ending.KILLED, signal.SIGABRT, ""),
        (Stage.ENDED, signal.SIGXCPU, Ending.RUNNING, None, ""),
        (Stage.READY, 0, Ending.RUNNING, None, ""),
        (Stage.START, errno.ENOENT, Ending.NOT_STARTED, None, "interpreter"),
        (Stage.START, errno.ENOEXEC, Ending.NOT_STARTED, None, "kernel"),
        (Stage.START, errno.EINVAL, Ending.NOT_STARTED, None, "Invalid"),
        (Stage.START, errno.EACCES, Ending.NOT_TRIED, None, "noexec"),
        (Stage.START, errno.ETXTBSY, Ending.NOT_TRIED, None, "written"),
        (Stage.NAMESPACES, errno.EPERM, Ending.NOT_TRIED, None, "namespaces"),
        (Stage.MAP, errno.EPERM, Ending.NOT_TRIED, None, "user namespace"),
        (Stage.MOUNT, errno.EACCES, Ending.NOT_TRIED, None, "mounts"),
        (Stage.CHROOT, errno.EPERM, Ending.NOT_TRIED, None, "chroot"),
        (Stage.FORK, errno.EAGAIN, Ending.NOT_TRIED, None, "process"),
    ],
)
def test_what_a_report_says(stage: Stage, value: int, ending: Ending, code: int | None, word: str) -> None:
    trial = trial_from(Way.CHROOT, Report(stage, int(value), 0.25), b"out\xff", 5.0)
    assert (trial.ending, trial.code) == (ending, code)
    assert word in trial.reason


def test_without_a_report_nothing_is_claimed() -> None:
    assert trial_from(Way.CHROOT, None, b"", 5.0).ending is Ending.NOT_TRIED
