"""What runs side by side is over when Ctrl-C is told of, whenever it came."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from monolisp import stages
from monolisp.progress import Silent
from monolisp.stages import run_stages


class Interrupted(ThreadPoolExecutor):
    """Ctrl-C comes when a thread has started and the pool has not noted it yet."""

    def submit(self, work: Any, /, *args: Any, **more: Any) -> Future[Any]:
        threading.Thread(target=work, args=args).start()
        time.sleep(0.1)
        raise KeyboardInterrupt


def test_an_interrupt_while_a_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(5)
        time.sleep(0.2)
        ended.set()

    monkeypatch.setattr(stages, "ThreadPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_stages({"one": ()}, {"one": work}, Silent(), stop.set, 1)
    assert ended.is_set(), "it would go on writing into a directory that is being removed"


def test_nothing_begins_after_a_failure() -> None:
    begun: list[str] = []

    def fail() -> None:
        raise ValueError

    work = {"one": fail, "two": lambda: begun.append("two")}
    with pytest.raises(ValueError):
        run_stages({"one": (), "two": ("one",)}, work, Silent(), lambda: None, 2)
    assert begun == []
