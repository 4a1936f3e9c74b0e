from __future__ import annotations

import signal
from dataclasses import fields, replace
from pathlib import Path

import pytest

from monolisp.elf import verify
from monolisp.elf.facts import Facts, Kind, facts_in
from monolisp.elf.reader import Elf
from monolisp.elf.trial import Ending, Trial
from monolisp.elf.verdict import Expectation, Outcome, Severity, Verdict, judge, rules
from monolisp.errors import BadElf
from monolisp.target import Target, find_target
from tests.unit.elf.making import dynamic_program, static_program

RAN = Trial(Ending.EXITED, "new namespaces", 0)
X86 = find_target("x86_64-linux-musl")
X86_V3 = replace(X86, baseline="x86_64_v3")
ARM = find_target("aarch64-linux-musl")


def facts(data: bytes) -> Facts:
    return facts_in(Elf.parse(memoryview(data), "a.out"), Path("a.out"))


STATIC, DYNAMIC = facts(static_program()), facts(dynamic_program())


def outcome(verdict: Verdict, rule: str) -> Outcome:
    return next(finding.outcome for finding in verdict.findings if finding.rule.id == rule)


def found(verdict: Verdict, rule: str) -> str:
    return next(finding.found for finding in verdict.findings if finding.rule.id == rule)


def test_rules_are_complete() -> None:
    names = {field.name for field in fields(Facts)}
    assert len({rule.id for rule in rules()}) == len(rules()) > 10
    for rule in rules():
        assert rule.fact in names or rule.expect is Expectation.RUNS, rule.id
        assert rule.title and rule.why and rule.todo
        assert rule.good.format(found="") is not None and rule.bad.format(found="x")
    assert {rule.expect for rule in rules()} == set(Expectation)


def test_a_static_program_passes_every_rule() -> None:
    verdict = judge(STATIC, X86, RAN)
    assert verdict.ok and verdict.failures() == []
    assert {finding.outcome for finding in verdict.findings} == {Outcome.PASS}


def test_every_finding_is_reported_not_the_first() -> None:
    verdict = judge(DYNAMIC, ARM, Trial(Ending.NOT_STARTED, "chroot only", reason="gone"))
    assert not verdict.ok
    others = [finding.rule.id for finding in verdict.findings if finding.outcome is not Outcome.FAIL]
    assert others == ["executable", "loader-path"]
    assert len(verdict.failures()) == len(verdict.findings) - 2
    assert "no needed libraries: libone.so.1, libtwo.so.2" in verdict.failures()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"kind": Kind.OBJECT}, "executable"),
        ({"kind": Kind.LIBRARY}, "executable"),
        ({"interpreter": "/lib/ld.so"}, "interpreter"),
        ({"dynamic_section": True}, "dynamic-section"),
        ({"needed": ("libc.so.6",)}, "needed"),
        ({"undefined": ("puts",)}, "undefined"),
        ({"loader_code": ("_dl_open",)}, "loader-code"),
        ({"executable_stack": "PT_GNU_STACK is missing"}, "stack"),
        ({"writable_code": ("5 bytes at 0x5",)}, "writable-code"),
        ({"text_relocations": True}, "text-relocations"),
        ({"x86_isa": 2}, "cpu"),
    ],
)
def test_each_rule_can_be_the_only_one_that_fails(change: dict[str, object], rule: str) -> None:
    changed: Facts = replace(STATIC, **change)  # type: ignore[arg-type]
    verdict = judge(changed, X86, RAN)
    assert [finding.rule.id for finding in verdict.findings if finding.outcome is Outcome.FAIL] == [rule]


def test_a_loaders_path_is_a_warning() -> None:
    verdict = judge(replace(STATIC, loader_paths=("/lib64/ld-linux",)), X86, RAN)
    assert verdict.ok
    assert outcome(verdict, "loader-path") is Outcome.WARN
    assert {rule.id for rule in rules() if rule.severity is Severity.WARN} == {"loader-path"}


def test_long_lists_are_cut_and_counted() -> None:
    verdict = judge(replace(STATIC, undefined=tuple(f"s{number}" for number in range(100))))
    assert found(verdict, "undefined") == "s0, s1, s2, s3 and 96 more"


@pytest.mark.parametrize(
    ("machine", "target", "expected"),
    [
        (62, None, Outcome.PASS),
        (183, None, Outcome.PASS),
        (9999, None, Outcome.WARN),
        (62, X86, Outcome.PASS),
        (183, X86, Outcome.FAIL),
        (183, ARM, Outcome.PASS),
        (62, ARM, Outcome.FAIL),
    ],
)
def test_machine(machine: int, target: Target | None, expected: Outcome) -> None:
    verdict = judge(replace(STATIC, machine=machine), target)
    assert outcome(verdict, "machine") is expected
    assert (verdict.facts.machine_name or "9999") in found(verdict, "machine")


@pytest.mark.parametrize(
    ("isa", "target", "expected"),
    [
        (None, X86, Outcome.PASS),
        (1, X86, Outcome.PASS),
        (2, X86, Outcome.FAIL),
        (2, None, Outcome.FAIL),
        (3, X86_V3, Outcome.PASS),
        (4, X86_V3, Outcome.FAIL),
    ],
)
def test_processor_level(isa: int | None, target: Target | None, expected: Outcome) -> None:
    assert outcome(judge(replace(STATIC, x86_isa=isa), target), "cpu") is expected


def test_other_processors_do_not_state_their_level() -> None:
    assert outcome(judge(replace(STATIC, machine=183), ARM), "cpu") is Outcome.NOT_CHECKED


SEGV, TERM = int(signal.SIGSEGV), int(signal.SIGTERM)


@pytest.mark.parametrize(
    ("ending", "code", "foreign", "lisp"),
    [
        (Ending.EXITED, 0, Outcome.PASS, Outcome.PASS),
        (Ending.EXITED, 1, Outcome.PASS, Outcome.FAIL),
        (Ending.RUNNING, None, Outcome.PASS, Outcome.WARN),
        (Ending.KILLED, SEGV, Outcome.FAIL, Outcome.FAIL),
        (Ending.KILLED, TERM, Outcome.PASS, Outcome.FAIL),
        (Ending.NOT_STARTED, None, Outcome.FAIL, Outcome.FAIL),
        (Ending.NOT_TRIED, None, Outcome.NOT_CHECKED, Outcome.NOT_CHECKED),
    ],
)
def test_trials(ending: Ending, code: int | None, foreign: Outcome, lisp: Outcome) -> None:
    trial = Trial(ending, "new namespaces", code, reason="because", output="one\n\nlast words \n")
    assert outcome(judge(STATIC, None, trial), "runs") is foreign
    assert outcome(judge(replace(STATIC, lisp=True), None, trial), "runs") is lisp


def test_a_trial_in_words() -> None:
    def said(trial: Trial) -> str:
        return found(judge(STATIC, None, trial), "runs")

    assert "SIGSEGV" in said(Trial(Ending.KILLED, "chroot only", SEGV))
    assert "signal 250" in said(Trial(Ending.KILLED, "chroot only", 250))
    assert "exit code 3" in said(Trial(Ending.EXITED, "chroot only", 3))
    assert '"last words"' in said(Trial(Ending.EXITED, "chroot only", 3, output="first\nlast words\n\n"))
    assert "said" not in said(Trial(Ending.EXITED, "chroot only", 0, output="hello"))
    assert "still running after 5 s" in said(Trial(Ending.RUNNING, "chroot only", seconds=5))
    assert said(Trial(Ending.NOT_TRIED, reason="for no reason")) == "for no reason"


def test_verify_joins_facts_rules_and_trial(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(static_program())
    tried: list[Facts] = []

    def trial(facts: Facts) -> Trial:
        tried.append(facts)
        return RAN

    verdict = verify(file, X86, trial=trial)
    assert verdict.ok and verdict.file == file and verdict.trial is RAN
    assert [entry.path for entry in tried] == [file]
    unrun = verify(file, run=False, trial=trial)
    assert unrun.ok and outcome(unrun, "runs") is Outcome.NOT_CHECKED and len(tried) == 1


def test_verify_what_is_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BadElf):
        verify(tmp_path / "text")
