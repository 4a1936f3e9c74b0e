"""Which Lisp processes a build takes, by what there is to compile and who else is at it."""

from __future__ import annotations

import threading
from pathlib import Path

from monolisp.lisp.events import Event
from monolisp.lisp.job import Pass
from monolisp.lisp.session import Ended, in_turns
from monolisp.process import Finished
from monolisp.store import Store


class Lisp:
    """Processes that find files to compile until one has compiled them."""

    def __init__(self, *, cold: bool) -> None:
        self.cold = cold
        self.turns: list[Pass] = []

    def run(self, turn: Pass) -> Ended:
        self.turns.append(turn)
        if not self.cold:
            return Finished(0, b"", 0.0), [Event("save", {})]
        if turn is Pass.LOOK:
            return Finished(0, b"", 0.0), [Event("compiles", {})]
        self.cold = False
        return Finished(0, b"", 0.0), [Event("compiled" if turn is Pass.COMPILE else "save", {})]


def turns(store: Store, *, cold: bool) -> list[Pass]:
    lisp = Lisp(cold=cold)
    assert in_turns(lisp.run, store, "lock")[1] == [Event("save", {})]
    return lisp.turns


def test_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").prepare()
    assert turns(store, cold=False) == [Pass.COMPILE]
    assert turns(store, cold=True) == [Pass.COMPILE, Pass.SAVE]


def test_while_another_compiles(tmp_path: Path) -> None:
    """Who has nothing to compile goes on; who has waits."""
    store = Store(tmp_path / "store").prepare()
    held, free = threading.Event(), threading.Event()

    def other() -> None:
        with store.lock("lock"):
            held.set()
            free.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(5)
    assert turns(store, cold=False) == [Pass.LOOK]
    timer = threading.Timer(0.2, free.set)
    timer.start()
    assert turns(store, cold=True) == [Pass.LOOK, Pass.COMPILE, Pass.SAVE]
    assert free.is_set()
    thread.join(5)
