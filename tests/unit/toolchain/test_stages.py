"""The stages of a toolchain's build: their order, what runs side by side, and what happens when one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from monolisp import stages
from monolisp.process import Command, Finished, Stopped, Together
from monolisp.progress import Silent
from monolisp.stages import expected, run_stages
from monolisp.toolchain.build import STAGES
from monolisp.toolchain.version import find_version, shipped_versions

SECOND = dict.fromkeys(STAGES, 1.0)


class Watched(Silent):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, stage: str) -> None:
        self.told.append(f"+{stage}")

    def end(self, stage: str) -> None:
        self.told.append(f"-{stage}")


def nothing() -> None: ...


def run(progress: Silent, stop: Callable[[], None] = nothing, **work: Callable[[], object]) -> None:
    """Every stage does nothing, but those in `work` (with _ for a blank or a hyphen)."""
    named = {name: work.get(name.replace(" ", "_").replace("-", "_"), nothing) for name in STAGES}
    run_stages(STAGES, named, progress, stop, len(STAGES))


def test_a_stage_waits_for_what_it_needs() -> None:
    watched = Watched()
    run(watched)
    assert sorted(watched.told) == sorted(f"{sign}{name}" for sign in "+-" for name in STAGES)
    for name, needed in STAGES.items():
        assert all(watched.told.index(f"-{other}") < watched.told.index(f"+{name}") for other in needed)


@pytest.mark.parametrize("pair", [("C_library", "cross_compiler"), ("compile", "runtime")])
def test_what_need_not_wait_runs_side_by_side(pair: tuple[str, str]) -> None:
    """Each of the two waits until the other is there."""
    meeting = threading.Barrier(2, timeout=10)
    first, second = pair
    run(Silent(), **{first: meeting.wait, second: meeting.wait})


def test_a_failure_stops_the_others_and_is_raised() -> None:
    """The C library's stage ends only when it is stopped, as a killed compiler does: with an error of its own."""
    stopped = threading.Event()
    watched = Watched()

    def killed() -> None:
        assert stopped.wait(10)
        raise RuntimeError("killed")

    def fail() -> None:
        raise ValueError("the first failure")

    with pytest.raises(ValueError, match="the first failure"):
        run(watched, stopped.set, C_library=killed, cross_compiler=fail)
    assert "+headers" not in watched.told


class Interrupted(ThreadPoolExecutor):
    """Ctrl-C comes when a thread has started and the pool has not noted it yet."""

    def submit(self, work: Any, /, *args: Any, **more: Any) -> Future[Any]:
        threading.Thread(target=work, args=args).start()
        time.sleep(0.1)
        raise KeyboardInterrupt


def test_an_interrupt_while_a_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on writing into a directory that is being removed."""
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(5)
        time.sleep(0.2)
        ended.set()

    monkeypatch.setattr(stages, "ThreadPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_stages({"one": ()}, {"one": work}, Silent(), stop.set, 1)
    assert ended.is_set()


def test_the_expected_end_is_that_of_the_longest_way() -> None:
    seconds = {**SECOND, "C library": 10.0, "runtime": 5.0}
    plan = {stage.stage: stage for stage in expected(STAGES, seconds)}
    assert (plan["headers"].begin, plan["warm load"].begin, plan["install"].end) == (10, 16, 19)


@pytest.mark.parametrize("version", shipped_versions())
def test_a_pin_knows_every_stage(version: str) -> None:
    assert find_version(version).stages.keys() == STAGES.keys()


class TestTogether:
    @staticmethod
    def runner(command: Command, started: Callable[[int], None] | None = None) -> Finished:
        """Says that it started a process that is long gone (no process has this number)."""
        assert started is not None
        started(2**22 + 1)
        return Finished(0, b"done", 0.1)

    def test_runs(self) -> None:
        pids: list[int] = []
        assert Together(self.runner)(Command(["x"], {}), pids.append).output == b"done"
        assert pids == [2**22 + 1]

    def test_nothing_starts_any_more(self) -> None:
        together = Together(self.runner)
        together.stop()
        with pytest.raises(Stopped):
            together(Command(["x"], {}))
