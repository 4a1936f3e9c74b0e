"""The executor of this machine: processes, as many at a time as processors and memory allow."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from monolisp.matrix.run import Ended
from monolisp.process import Command, Together
from monolisp.toolchain.machine import Machine, jobs

# What loading a program and saving it takes of memory, by experience: the heap in use, and a copy of it while it is
# collected.
_MEMORY = 2 << 30


def workers() -> int:
    """How many programs may be built at a time: one for each processor, as far as memory goes."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(jobs(), memory // _MEMORY))


class Local:
    """At most `count` steps at a time; of those that use every processor, one."""

    def __init__(self, count: int, cwd: Path, machine: Machine) -> None:
        self._pool = ThreadPoolExecutor(count)
        self._heavy = threading.Lock()
        self._together = Together(machine.runner)
        self._cwd, self._environ = cwd, dict(machine.environ)

    def submit(self, arguments: Sequence[str], heavy: bool) -> Future[Ended]:
        return self._pool.submit(self._run, list(arguments), heavy)

    def _run(self, arguments: Sequence[str], heavy: bool) -> Ended:
        if heavy:
            with self._heavy:
                return self._command(arguments)
        return self._command(arguments)

    def _command(self, arguments: Sequence[str]) -> Ended:
        argv = [sys.executable, "-m", "monolisp", *arguments]
        done = self._together(Command(argv, self._environ, cwd=self._cwd))
        return Ended(done.returncode, done.text, done.seconds)

    def stop(self) -> None:
        self._together.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
