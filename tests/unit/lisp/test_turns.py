"""Which Lisp processes a build takes, by what there is to compile and who else is at it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from monolisp.errors import LispFileInterrupted
from monolisp.lisp.events import Event
from monolisp.lisp.job import Pass
from monolisp.lisp.turns import Ended, Process, Turns
from monolisp.process import Command, Finished
from monolisp.progress import Silent
from monolisp.store import Store
from monolisp.toolchain.machine import Machine

DONE = Finished(0, b"", 0.0)


class Desk:
    where: Callable[[], tuple[str, str]] = staticmethod(lambda: ("", ""))


class Lisp:
    """Processes that find files to compile until one has compiled them."""

    def __init__(self, *, cold: bool, tells: bool = True) -> None:
        self.cold = cold
        self.tells = tells
        self.turns: list[Pass] = []
        self.told: list[bytes] = []

    def run(self, process: Process) -> Ended:
        self.turns.append(process.turn)
        process.ear.listen()
        try:
            return DONE, [Event(self.ends(process), {})]
        finally:
            process.ear.close()

    def ends(self, process: Process) -> str:
        if process.wait is not None:
            self.told.append(os.read(process.wait, 1))
            return "save" if self.told == [b"!"] else "nothing"
        if not self.cold:
            return "save"
        if process.turn is Pass.LOOK:
            return "compiles"
        if self.tells:
            process.ear._compiling()
        self.cold = False
        return "compiled"


def machine(store: Store) -> Machine:
    def refuse(command: Command, started: Callable[[int], None] | None = None) -> Finished:
        raise AssertionError("nothing is started here")

    return Machine(store, refuse, Silent(), {})


def turns(store: Store, lisp: Lisp) -> list[Pass]:
    assert Turns(lisp.run, machine(store), Desk()).saved(store, "lock")[1] == [Event("save", {})]
    return lisp.turns


def test_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").prepare()
    assert turns(store, Lisp(cold=False)) == [Pass.COMPILE]
    assert turns(store, Lisp(cold=True)) == [Pass.COMPILE, Pass.SAVE]
    assert turns(store, Lisp(cold=True, tells=False)) == [Pass.COMPILE, Pass.SAVE]


def test_the_successor_is_told_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").prepare()
    lisp = Lisp(cold=True)
    turns(store, lisp)
    assert lisp.told == [b"!"]


def test_what_fails_while_it_compiles_has_no_successor(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").prepare()
    lisp = Lisp(cold=True)

    def run(process: Process) -> Ended:
        ended = lisp.run(process)
        return ended if process.wait is not None else (replace(DONE, returncode=1), [Event("failed", {})])

    assert Turns(run, machine(store), Desk()).saved(store, "lock")[1] == [Event("failed", {})]
    assert lisp.told == [b""], "the descriptor is closed, and the process ends"


def test_a_successor_that_died_is_followed_by_another(tmp_path: Path) -> None:
    """Where there is no room for two at once, for example."""
    store = Store(tmp_path / "store").prepare()
    lisp, died = Lisp(cold=True), threading.Event()

    def run(process: Process) -> Ended:
        if process.wait is not None:
            process.ear.close()
            died.set()
            return replace(DONE, returncode=1), []
        ended = lisp.run(process)
        assert process.turn is Pass.SAVE or died.wait(5)
        time.sleep(0.1)
        return ended

    assert Turns(run, machine(store), Desk()).saved(store, "lock")[1] == [Event("save", {})]
    assert lisp.turns == [Pass.COMPILE, Pass.SAVE]


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
    assert turns(store, Lisp(cold=False)) == [Pass.LOOK]
    timer = threading.Timer(0.2, free.set)
    timer.start()
    assert turns(store, Lisp(cold=True)) == [Pass.LOOK, Pass.COMPILE, Pass.SAVE]
    assert free.is_set()
    thread.join(5)


def test_an_interrupt_ends_the_successor(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").prepare()
    lisp = Lisp(cold=True)

    def run(process: Process) -> Ended:
        if process.wait is None:
            return lisp.run(process)
        lisp.run(process)
        raise KeyboardInterrupt

    with pytest.raises(LispFileInterrupted):
        Turns(run, machine(store), Desk()).saved(store, "lock")
