"""The one door to other processes.

Everything that starts a program goes through a `Runner`, so that unit tests can refuse to start any, and so that
an interrupt (Ctrl-C) always ends everything that was started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from monolisp.errors import CannotStart, CommandTimeout, MonolispError, ToolMissing

STANDARD_ERROR = 2


@dataclass(frozen=True)
class Command:
    """One program to start.

    `env` is the complete environment; `log` is a file that standard output and standard error are appended to, or an
    open descriptor (without it both are captured together); `pass_fds` stay open in the child; `timeout` is in seconds.
    """

    argv: Sequence[str | Path]
    env: Mapping[str, str]
    cwd: Path | None = None
    stdin: bytes = b""
    log: Path | int | None = None
    pass_fds: Sequence[int] = field(default=())
    timeout: float | None = None


@dataclass(frozen=True)
class Finished:
    """A program that has ended: its exit code (negative: killed by that signal), what it printed, seconds taken."""

    returncode: int
    output: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


class Runner(Protocol):
    def __call__(self, command: Command, started: Callable[[int], None] | None = None) -> Finished: ...


def become(program: str, arguments: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Run `program` in the place of this process. Raises CannotStart."""
    try:
        os.execve(program, list(arguments), dict(env))
    except OSError as error:
        raise CannotStart(tool=program, reason=error.strerror or error) from error


def run(command: Command, started: Callable[[int], None] | None = None) -> Finished:
    """Run `command` to its end; `started` is told its process id. Raises ToolMissing, CannotStart, CommandTimeout."""
    begin = time.monotonic()
    with ExitStack() as opened:
        log = command.log
        if isinstance(log, Path):
            log.parent.mkdir(parents=True, exist_ok=True)
            log = opened.enter_context(log.open("ab")).fileno()
        try:
            child = subprocess.Popen(
                [os.fspath(part) for part in command.argv],
                env=dict(command.env),
                cwd=command.cwd,
                stdin=subprocess.PIPE,
                stdout=log if log is not None else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(command.pass_fds),
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(command, error) from error
        try:
            if started is not None:
                started(child.pid)
            output, _ = child.communicate(command.stdin, timeout=command.timeout)
        except subprocess.TimeoutExpired as error:
            end_sessions([child.pid])
            child.wait()
            raise CommandTimeout(command=_shown(command), seconds=command.timeout) from error
        except BaseException:
            end_sessions([child.pid])
            child.wait()
            raise
    return Finished(child.returncode, output or b"", time.monotonic() - begin)


class Stopped(Exception):
    """A command was to start after everything had been stopped."""


class Together:
    """A runner for several threads at once: `stop` ends everything that runs, and lets nothing start any more."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._running: set[int] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, command: Command, started: Callable[[int], None] | None = None) -> Finished:
        mine: list[int] = []

        def begun(pid: int) -> None:
            with self._lock:
                if self._stopped:
                    raise Stopped
                self._running.add(pid)
            mine.append(pid)
            if started is not None:
                started(pid)

        try:
            return self._runner(command, begun)
        finally:
            with self._lock:
                self._running.difference_update(mine)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = frozenset(self._running)
        end_sessions(running)


def _not_started(command: Command, error: OSError) -> MonolispError:
    """The error for a program that the kernel refused to start."""
    tool = os.fspath(command.argv[0])
    if command.cwd is not None and not command.cwd.is_dir():
        return CannotStart(tool=tool, reason=f"there is no directory {command.cwd} to start it in")
    if not isinstance(error, FileNotFoundError):
        return CannotStart(tool=tool, reason=error.strerror or error)
    if "/" in tool and Path(tool).exists():
        return CannotStart(tool=tool, reason="it is there, but the interpreter or loader that it asks for is not")
    return ToolMissing(tool=tool, detail=error)


def end_sessions(leaders: Collection[int]) -> None:
    """End children and everything that they started: politely first, then for certain.

    Not only their process groups: bash makes one for each job of a script that says `set -m`, as SBCL's do.
    """
    groups = {*leaders, *_groups(leaders)}
    for sign, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, sign)
        deadline = time.monotonic() + patience
        while (groups := _groups(leaders)) and time.monotonic() < deadline:
            time.sleep(0.02)


def _groups(sessions: Collection[int]) -> set[int]:
    """The process groups of the sessions, as far as anything in them still runs. Source: proc(5), /proc/pid/stat."""
    groups = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group, session, *_ = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(session) in sessions and state not in "ZX":
                groups.add(int(group))
    return groups


def tail_of(log: Path, begin: int) -> str:
    """The last lines of what a command wrote to the log, from the byte `begin` on."""
    with log.open("rb") as stream:
        stream.seek(max(begin, log.stat().st_size - 4000))
        return "\n".join(stream.read().decode("utf-8", "replace").splitlines()[-20:])


def _shown(command: Command) -> str:
    return " ".join(str(part) for part in command.argv)[:200]
