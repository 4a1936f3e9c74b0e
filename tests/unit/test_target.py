from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from monolisp import target as module
from monolisp.errors import NoSuchTarget, TargetRefused
from monolisp.target import State, Target, find_target, find_targets, targets

ARM, X86 = "aarch64-linux-musl", "x86_64-linux-musl"


@pytest.mark.parametrize("name", [ARM, "arm64", "aarch64", "linux/arm64"])
def test_every_spelling_is_one_target(name: str) -> None:
    assert find_target(name) is targets()[ARM]


@pytest.mark.parametrize(("machine", "triple"), [("x86_64", X86), ("aarch64", ARM)])
def test_without_a_name_the_machine_decides(machine: str, triple: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine))
    assert find_target(None).triple == triple


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(NoSuchTarget) as raised:
        find_target("arm46")
    assert ARM in raised.value.todo_text


def test_nothing_is_near_a_pdp10() -> None:
    with pytest.raises(NoSuchTarget) as raised:
        find_target("pdp10")
    assert raised.value.todo_text == "choose one of them"
    assert X86 in raised.value.why_text


def test_a_refused_target_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = replace(find_target(X86), triple="z80", names=(), state=State.REFUSED, why="it has 64 KiB")
    monkeypatch.setattr(module, "targets", lambda: {"z80": refused})
    with pytest.raises(TargetRefused) as raised:
        find_target("z80")
    assert raised.value.why_text == "it has 64 KiB"


def test_several_names_each_once() -> None:
    assert [target.triple for target in find_targets(["arm64,amd64", "linux/arm64"])] == [ARM, X86]


def test_all_are_those_that_work() -> None:
    found = find_targets(["all"])
    assert {X86, ARM} <= {target.triple for target in found}
    assert all(target.state is State.WORKS for target in found)


def test_without_names_it_is_this_machine() -> None:
    assert find_targets([]) == [find_target(None)]


@pytest.mark.parametrize("target", targets().values(), ids=lambda target: target.triple)
class TestEvery:
    def test_says_why_unless_it_works(self, target: Target) -> None:
        assert bool(target.why) == (target.state is not State.WORKS)

    def test_names_are_its_own(self, target: Target) -> None:
        others = {name for other in targets().values() if other is not target for name in (other.triple, *other.names)}
        assert not others & {target.triple, *target.names}

    def test_cores_lie_on_pages_of_every_kernel(self, target: Target) -> None:
        assert target.core_alignment % target.page_size == 0


def test_arm_runs_on_every_size_of_page() -> None:
    assert find_target(ARM).page_size == 65536


def test_what_is_only_told_changes_no_digest() -> None:
    told = replace(find_target(X86), names=("other",), state=State.BUILDS, why="told", oci="linux/other")
    assert told.inputs == find_target(X86).inputs
    assert replace(find_target(X86), page_size=65536).inputs != find_target(X86).inputs


def test_the_table_in_the_docs_is_true() -> None:
    text = (Path(module.__file__).parents[2] / "docs/targets.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    told = {row[0]: (tuple(row[1].split(", ")), row[2], row[6]) for row in rows[1:] if row[0][0] != "-"}
    assert told == {target.triple: (target.names, str(target.state), target.oci) for target in targets().values()}
