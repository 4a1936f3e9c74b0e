"""Running a file where there is nothing else: an empty root directory, no network, no environment, no privileges."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import platform
import resource
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import assert_never

from monolisp.elf.confine import EMULATOR, NOBODY, PROGRAM, RECORD, Plan, Stage, Way, outer
from monolisp.elf.facts import Facts, Kind
from monolisp.elf.layout import PT_INTERP
from monolisp.elf.reader import open_elf
from monolisp.target import targets

TIMEOUT = 5.0
"""Seconds after which a program that still runs is said to run, and is killed."""
_KEPT_OUTPUT = 2048
_MS_RELATIME = 1 << 21

# Reasons for a failing execve that lie in this machine, not in the file.
_NOT_THE_FILE = {
    errno.EACCES: "permission denied: is it on a file system that is mounted noexec?",
    errno.EPERM: "this machine does not permit it to be started",
    errno.ETXTBSY: "it is being written",
    errno.ENOMEM: "not enough memory",
    errno.EAGAIN: "too many processes",
}
# Reasons that lie in the file.
_START_WORDS = {
    errno.ENOENT: "the interpreter that it asks for is not there",
    errno.ENOEXEC: "the kernel does not take it for an executable",
}
_STAGE_WORDS = {
    Stage.NAMESPACES: "no new namespaces",
    Stage.MAP: "no user namespace of one's own",
    Stage.MOUNT: "no mounts in a user namespace",
    Stage.CHROOT: "no chroot",
    Stage.FORK: "no further process",
}


@dataclass(frozen=True)
class Report:
    """What a forked process said: how far it came, an errno or wait status, the seconds that the program ran."""

    stage: Stage
    value: int
    seconds: float


class Ending(StrEnum):
    """How a trial ended."""

    EXITED = "exited"
    RUNNING = "still-running"
    KILLED = "killed"
    NOT_STARTED = "not-started"
    NOT_TRIED = "not-tried"


@dataclass(frozen=True)
class Trial:
    """What happened. `code` is the exit code (EXITED) or the signal (KILLED); `reason` says why it was not started or
    not tried; `isolation` what kept the world out; `output` is the beginning of what the program printed; `seconds`
    is how long it ran."""

    ending: Ending
    isolation: str = ""
    code: int | None = None
    reason: str = ""
    output: str = ""
    seconds: float = 0.0


def try_out(
    facts: Facts, timeout: float = TIMEOUT, ways: Sequence[Way] | None = None, emulator: Path | None = None
) -> Trial:
    """Run the file of `facts` for at most `timeout` seconds, or say why that cannot be done here; raises nothing that
    the file could cause. `ways` are tried in turn, without it those that fit the user and the file; `emulator` runs
    it where this machine does not."""
    path = facts.path.resolve()
    try:
        reason = obstacle(facts, platform.machine(), path.stat().st_mode, emulator)
        if reason is not None:
            return Trial(Ending.NOT_TRIED, reason=reason)
        return _first_way(path, emulator, timeout, _ways(path) if ways is None else ways)
    except OSError as error:
        return Trial(Ending.NOT_TRIED, reason=f"not tried: {error}")


def obstacle(facts: Facts, machine: str, mode: int, emulator: Path | None = None) -> str | None:
    """Why a file with these facts and permission bits cannot be run on a machine of this name, if so."""
    if facts.kind not in (Kind.EXECUTABLE, Kind.PIE):
        return f"it is no executable but: {facts.kind}"
    if emulator is None and not _runs_on(facts, machine):
        other = f"it is for another machine ({facts.machine_name or facts.machine}) than this one ({machine})"
        return f"{other}, and no qemu for it is on PATH"
    if emulator is not None and _needs_loader(emulator):
        return f"{emulator} is not static, so it cannot run it where there is nothing else; qemu-user-static is"
    if not mode & 0o111:
        return "it has no permission to be executed (chmod +x)"
    return None


def _runs_on(facts: Facts, machine: str) -> bool:
    kinds = {(target.elf_machine, target.bits) for target in targets().values() if target.runs_on(machine)}
    return facts.order == "little" and (facts.machine, facts.bits) in kinds


def _needs_loader(program: Path) -> bool:
    with open_elf(program) as elf:
        return any(segment.type == PT_INTERP for segment in elf.segments)


def _first_way(path: Path, emulator: Path | None, timeout: float, ways: Sequence[Way]) -> Trial:
    """The result of the first way that this machine allows."""
    reasons: list[str] = []
    for way in ways:
        trial = _run(path, emulator, way, timeout)
        if trial.ending is not Ending.NOT_TRIED:
            return trial
        reasons.append(trial.reason)
    return Trial(Ending.NOT_TRIED, reason="; ".join(dict.fromkeys(reasons)))


def _ways(path: Path) -> list[Way]:
    """Root has no privileges in a user namespace, so there it can run only what is its own or everybody's."""
    if os.geteuid() != 0:
        return [Way.NAMESPACES]
    status = path.stat()
    own = status.st_uid == 0 or status.st_mode & 0o005 == 0o005
    return [Way.NAMESPACES, Way.CHROOT] if own else [Way.CHROOT]


def _run(path: Path, emulator: Path | None, way: Way, timeout: float) -> Trial:
    with ExitStack() as stack:
        root = stack.enter_context(_root_for(path, way))
        if emulator is not None and way is Way.CHROOT:
            _copy(emulator, root / EMULATOR)
        null = _kept(stack, os.open(os.devnull, os.O_RDWR))
        output, printing = (_kept(stack, end) for end in os.pipe())
        report, reporting = (_kept(stack, end) for end in os.pipe())
        descriptors = (null.fileno(), printing.fileno(), reporting.fileno())
        plan = _plan(path, emulator, way, root, timeout, descriptors)
        child = os.fork()
        if child == 0:
            outer(plan)
        try:
            printing.close()
            reporting.close()
            last, printed = _watch(report.fileno(), output.fileno(), time.monotonic() + timeout)
        finally:
            _end(child)
    return trial_from(way, last, printed, timeout)


def _kept(stack: ExitStack, descriptor: int) -> FileIO:
    """The descriptor, closed when the stack ends, and above 2: where standard input was closed it could be 0."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return stack.enter_context(FileIO(moved))


@contextmanager
def _root_for(path: Path, way: Way) -> Iterator[Path]:
    """A directory to mount over, or one that holds the program: a hard link beside it if possible, else a copy."""
    if way is Way.NAMESPACES:
        root = Path(tempfile.gettempdir()).resolve()
        if root == Path("/"):
            raise NotADirectoryError(errno.ENOTDIR, "there is no directory for temporary files")
        yield root
        return
    with ExitStack() as stack:
        try:
            if path.stat().st_mode & 0o005 != 0o005:
                raise PermissionError(errno.EACCES, "it is not everybody's to run")
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".monolisp-", dir=path.parent)))
            (root / PROGRAM).hardlink_to(path)
        except OSError:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="monolisp-")))
            _copy(path, root / PROGRAM)
        root.chmod(0o755)
        yield root


def _copy(source: Path, copy: Path) -> None:
    """Sharing the blocks where the file system can."""
    with source.open("rb") as original, copy.open("xb") as written:
        size = os.fstat(original.fileno()).st_size
        try:
            while size > 0 and (done := os.copy_file_range(original.fileno(), written.fileno(), size)):
                size -= done
        except OSError:
            original.seek(0)
            written.seek(0)
            shutil.copyfileobj(original, written)
    copy.chmod(0o755)


def _plan(
    path: Path, emulator: Path | None, way: Way, root: Path, timeout: float, descriptors: tuple[int, int, int]
) -> Plan:
    maps: tuple[tuple[bytes, bytes], ...] = ()
    if way is Way.NAMESPACES:
        maps = (
            (b"/proc/self/setgroups", b"deny"),
            (b"/proc/self/uid_map", b"%d %d 1" % (NOBODY, os.geteuid())),
            (b"/proc/self/gid_map", b"%d %d 1" % (NOBODY, os.getegid())),
        )
    return Plan(
        way=way,
        program=(os.fsencode(path), _mount_flags(path)),
        emulator=None if emulator is None else (os.fsencode(emulator), _mount_flags(emulator)),
        root=os.fsencode(root),
        id_maps=maps,
        limits=_limits(timeout),
        null=descriptors[0],
        output=descriptors[1],
        report=descriptors[2],
    )


def _mount_flags(path: Path) -> int:
    """The MS_ flags for the ST_ flags of the mount of `path`: a user namespace may add to them, not take away."""
    flags = os.statvfs(path).f_flag
    same = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
    return flags & same | (_MS_RELATIME if flags & os.ST_RELATIME else 0)


def _limits(timeout: float) -> tuple[tuple[int, tuple[int, int]], ...]:
    """No memory dump, and no more processor time than the trial may take. A limit of 1 byte, unlike 0, also keeps
    the kernel from piping a dump to a program. Source: Linux 6.1 fs/coredump.c."""
    wanted = {resource.RLIMIT_CORE: 1, resource.RLIMIT_CPU: math.ceil(timeout) + 1}
    limits = []
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        limits.append((kind, (value, value)))
    return tuple(limits)


def _watch(report: int, output: int, deadline: float) -> tuple[Report | None, bytes]:
    """The last that is reported before the deadline (None: the trial came to nothing), the beginning of the output."""
    last, printed = None, b""
    os.set_blocking(output, False)
    poll = select.poll()
    poll.register(report, select.POLLIN)
    poll.register(output, select.POLLIN)
    while (last is None or last.stage is Stage.READY) and (left := deadline - time.monotonic()) > 0:
        ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
        printed += _available(output)[: _KEPT_OUTPUT - len(printed)]
        if report in ready:
            record = os.read(report, RECORD.size)
            if len(record) != RECORD.size:
                return None, printed
            stage, value, nanoseconds = RECORD.unpack(record)
            last = Report(Stage(stage), value, nanoseconds / 1e9)
    return last, printed + _available(output)[: _KEPT_OUTPUT - len(printed)]


def _available(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _end(child: int) -> None:
    """Kill what is left of a trial. Its first process leads a group; the namespace dies with the second."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)


def trial_from(way: Way, report: Report | None, printed: bytes, timeout: float) -> Trial:
    """The trial that the last report tells of."""
    if report is None:
        return Trial(Ending.NOT_TRIED, reason="this machine did not bring its trial to an end")
    output = printed.decode("utf-8", "backslashreplace")
    code, seconds = report.value, report.seconds
    match report.stage:
        case Stage.READY:
            return Trial(Ending.RUNNING, way, output=output, seconds=timeout)
        case Stage.ENDED if os.WIFEXITED(code):
            return Trial(Ending.EXITED, way, os.WEXITSTATUS(code), output=output, seconds=seconds)
        case Stage.ENDED if os.WTERMSIG(code) == signal.SIGXCPU:
            return Trial(Ending.RUNNING, way, output=output, seconds=seconds)
        case Stage.ENDED:
            return Trial(Ending.KILLED, way, os.WTERMSIG(code), output=output, seconds=seconds)
        case Stage.START if code not in _NOT_THE_FILE:
            return Trial(Ending.NOT_STARTED, way, reason=_START_WORDS.get(code, os.strerror(code)))
        case Stage.START:
            return Trial(Ending.NOT_TRIED, reason=_NOT_THE_FILE[code])
        case Stage.NAMESPACES | Stage.MAP | Stage.MOUNT | Stage.CHROOT | Stage.FORK:
            return Trial(
                Ending.NOT_TRIED, reason=f"this machine allows {_STAGE_WORDS[report.stage]} ({os.strerror(code)})"
            )
        case _:
            assert_never(report.stage)
