"""The inside of a trial: what the forked processes do, from the fork to the program's start.

Three processes: `outer` leaves the world (new namespaces), its child `inner` is process 1 there and makes the empty
root directory, and its child becomes the program. When `inner` ends, the kernel ends whatever the program has
started. The process that was forked may have had threads, whose locks stay locked for ever here: so nothing is done
but system calls with values that were prepared before the fork, and every way out is os._exit.
Source: namespaces(7), user_namespaces(7), mount_namespaces(7), capabilities(7), core(5).
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NoReturn

NOBODY = 65534
PROGRAM = "program"
EMULATOR = "emulator"
ENVIRONMENT = {b"MONOLISP_PROBE": b"1"}
RECORD = struct.Struct("=BiQ")
"""What is reported: a Stage, an errno or wait status, the nanoseconds that the program ran."""

_NEW_NAMESPACES = (0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000)  # mount, UTS, IPC, process, network
_NEW_USER = 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_MOST_CAPABILITIES = 64
_MOST_FILES = 1 << 16

_PATH, _EMULATOR = (b"/" + name.encode() for name in (PROGRAM, EMULATOR))
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


class Way(StrEnum):
    """How the world is kept out."""

    NAMESPACES = "new namespaces"
    CHROOT = "chroot only"


class Stage(IntEnum):
    """How far a trial came. READY is reported on the way, every other stage ends it."""

    NAMESPACES = 1
    MAP = 2
    MOUNT = 3
    CHROOT = 4
    FORK = 5
    READY = 6
    START = 7
    ENDED = 8


@dataclass(frozen=True)
class Plan:
    """All that the forked processes need, made ready before the fork.

    `program` is the path of the file, and `emulator` that of a static program that runs it (none: the machine does),
    each with the flags that its file system must keep as a mount; `root` is
    the directory that becomes the root: an existing one to mount over (NAMESPACES), or one that holds the program
    (CHROOT). `id_maps` are (file, content); `limits` are (resource, (soft, hard)); the rest are file descriptors,
    none below 3.
    """

    way: Way
    program: tuple[bytes, int]
    emulator: tuple[bytes, int] | None
    root: bytes
    id_maps: tuple[tuple[bytes, bytes], ...]
    limits: tuple[tuple[int, tuple[int, int]], ...]
    null: int
    output: int
    report: int


def outer(plan: Plan) -> NoReturn:
    """The first forked process: never returns. What happens is written to `plan.report` as one RECORD."""
    try:
        gc.disable()
        os.setsid()
        _die_with_parent()
        _step(plan, Stage.NAMESPACES, _leave_namespaces)
        _step(plan, Stage.MAP, _map_ids)
        child = _forked(plan)
        if child == 0:
            _inner(plan)
        os.waitpid(child, 0)
    finally:
        os._exit(0)


def _inner(plan: Plan) -> NoReturn:
    try:
        _die_with_parent()
        if plan.way is Way.NAMESPACES:
            _step(plan, Stage.MOUNT, _mount_root)
        _step(plan, Stage.CHROOT, _enter_root)
        _report(plan, Stage.READY, 0, 0)
        begin = time.monotonic_ns()
        child = _forked(plan)
        if child == 0:
            _become_program(plan)
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == child:
                _report(plan, Stage.ENDED, status, time.monotonic_ns() - begin)
                break
    finally:
        os._exit(0)


def _become_program(plan: Plan) -> NoReturn:
    try:
        if plan.way is Way.CHROOT:
            _drop_privileges()
        _die_with_parent()
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.dup2(plan.null, 0)
        os.dup2(plan.output, 1)
        os.dup2(plan.output, 2)
        for kind, limit in plan.limits:
            resource.setrlimit(kind, limit)
        # Python ignores these two; a program must not inherit that.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.closerange(3, plan.report)
        os.closerange(plan.report + 1, _MOST_FILES)
        _step(plan, Stage.START, _start)
    finally:
        os._exit(0)


def _start(plan: Plan) -> None:
    argv = [_PATH] if plan.emulator is None else [_EMULATOR, _PATH]
    os.execve(argv[0], argv, ENVIRONMENT)


def _step(plan: Plan, stage: Stage, action: Callable[[Plan], None]) -> None:
    try:
        action(plan)
    except OSError as error:
        _report(plan, stage, error.errno or 0, 0)
        os._exit(0)


def _report(plan: Plan, stage: Stage, value: int, nanoseconds: int) -> None:
    os.write(plan.report, RECORD.pack(stage, value, nanoseconds))


def _forked(plan: Plan) -> int:
    try:
        return os.fork()
    except OSError as error:
        _report(plan, Stage.FORK, error.errno or 0, 0)
        os._exit(0)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _leave_namespaces(plan: Plan) -> None:
    if plan.way is Way.NAMESPACES:
        _checked(_libc.unshare(_NEW_USER | sum(_NEW_NAMESPACES)))
        return
    for kind in _NEW_NAMESPACES:
        _libc.unshare(kind)


def _map_ids(plan: Plan) -> None:
    """We are nobody inside, and nobody else exists: the program loses every capability when it starts."""
    for file, content in plan.id_maps:
        descriptor = os.open(file, os.O_WRONLY)
        os.write(descriptor, content)
        os.close(descriptor)


def _mount(source: bytes | None, point: bytes, kind: bytes | None, flags: int, options: bytes | None = None) -> None:
    _checked(_libc.mount(source, point, kind, flags, options))


def _mount_root(plan: Plan) -> None:
    """Over `root`, in our mount namespace alone, an empty file system with the program in it (and what runs it, where
    the machine does not), all read-only."""
    files = [(_PATH, plan.program), *([(_EMULATOR, plan.emulator)] if plan.emulator else [])]
    # Opened here: the kernel binds no mount of another namespace. And before tmpfs hides it, if it is below `root`.
    opened = [(plan.root + name, os.open(path, os.O_PATH), flags) for name, (path, flags) in files]
    _mount(None, b"/", None, _MS_REC | _MS_PRIVATE)
    _mount(b"tmpfs", plan.root, b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=64k,nr_inodes=16,mode=755")
    for point, descriptor, flags in opened:
        os.close(os.open(point, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(b"/proc/self/fd/%d" % descriptor, point, None, _MS_BIND)
        _mount(None, point, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags)
    _mount(None, plan.root, None, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def _enter_root(plan: Plan) -> None:
    os.chroot(plan.root)
    os.chdir(b"/")


def _drop_privileges() -> None:
    """As far as the machine lets root: whoever keeps the right to chroot could leave again."""
    for capability in range(_MOST_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    with suppress(OSError):
        os.setgroups([])
    with suppress(OSError):
        os.setresgid(NOBODY, NOBODY, NOBODY)
    with suppress(OSError):
        os.setresuid(NOBODY, NOBODY, NOBODY)
