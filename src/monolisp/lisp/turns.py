"""Which Lisp processes a build takes, and when each begins.

One at a time compiles files into one area: ASDF deletes what another may be about to load. What has compiled files
keeps more than what has only loaded them, so it does not save: a successor does, which begins meanwhile, and waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from monolisp.errors import LispFileInterrupted
from monolisp.lisp.ear import Ear
from monolisp.lisp.events import Event
from monolisp.lisp.job import Pass
from monolisp.process import Finished, Runner, Together
from monolisp.store import Store
from monolisp.toolchain.machine import Machine

# How a Lisp process ended, and what it told.
Ended = tuple[Finished, list[Event]]


@dataclass(frozen=True)
class Process:
    """A Lisp process that is to be: what it does, who hears it, and the descriptor on which it waits for a byte before
    it loads anything of the program."""

    turn: Pass
    ear: Ear
    runner: Runner
    wait: int | None = None


Run = Callable[[Process], Ended]


class Asked(Protocol):
    """What wants to know where the process at work is."""

    where: Callable[[], tuple[str, str]]


class Turns:
    """The processes of one build, one of which saves; `run` runs one to its end."""

    def __init__(self, run: Run, machine: Machine, asked: Asked) -> None:
        self._run = run
        self._machine = machine
        self._asked = asked

    def saved(self, store: Store, lock: str) -> Ended:
        """The process that saved, or failed; `lock` is the name of the area that it compiles into."""
        with Successor(self._run, self._machine) as successor:
            with store.lock_if_free(lock) as held:
                ended = self._now(Pass.COMPILE if held else Pass.LOOK, successor)
            if _told(ended, "compiles"):
                with store.lock(lock):
                    ended = self._now(Pass.COMPILE, successor)
            if not _told(ended, "compiled"):
                return ended
            if successor.gone:  # there was no room for both, for example
                return self._now(Pass.SAVE, successor)
            self._asked.where = successor.ear.where
            return successor.go()

    def _now(self, turn: Pass, successor: Successor) -> Ended:
        ear = Ear(self._machine.progress, successor.begin)
        self._asked.where = ear.where
        return self._run(Process(turn, ear, self._machine.runner))


class Successor:
    """The process that loads what another has compiled, and saves."""

    def __init__(self, run: Run, machine: Machine) -> None:
        self.ear = Ear(machine.progress)
        self._run = run
        self._runner = Together(machine.runner)
        self._waiting, self._telling = os.pipe()
        self._pool = ThreadPoolExecutor(1)
        self._ended: Future[Ended] | None = None

    def __enter__(self) -> Successor:
        return self

    def __exit__(self, *_: object) -> None:
        """What nobody told to go on ends here."""
        os.close(self._telling)
        if self._ended is not None and not self._ended.done():
            self._runner.stop()
        self._pool.shutdown()
        os.close(self._waiting)
        if self._ended is None:
            self.ear.close()

    @property
    def gone(self) -> bool:
        """Whether it ended before it was told to go on."""
        return self._ended is not None and self._ended.done()

    def begin(self) -> Future[Ended]:
        """Start it, if it is not there yet."""
        if self._ended is None:
            process = Process(Pass.SAVE, self.ear, self._runner, self._waiting)
            self._ended = self._pool.submit(self._run, process)
        return self._ended

    def go(self) -> Ended:
        """Let it go on, to its end."""
        ended = self.begin()
        os.write(self._telling, b"!")
        try:
            return ended.result()
        except KeyboardInterrupt as interrupt:
            self._runner.stop()
            raise interrupted(self.ear) from interrupt


def interrupted(ear: Ear) -> LispFileInterrupted:
    where = ear.last("file")
    place = f"while loading {where.text('file')}" if where else "before anything was loaded"
    return LispFileInterrupted(place=place, reason="Ctrl-C")


def _told(ended: Ended, name: str) -> bool:
    return any(event.name == name for event in ended[1])
