"""Giving an executable its name: only when it is complete and verified, and without losing what has that name now."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monolisp.errors import DiskFull, NotStatic, OutputIsDirectory, OutputIsInput, OutputUnwritable
from monolisp.store import locked
from monolisp.target import Target


def check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Find out before minutes of work that the result could not be put there, or would take an input's place."""
    if any(path.name == output.name and path.parent.resolve() == output.parent.resolve() for path in inputs):
        raise OutputIsInput(path=output)
    if not output.parent.is_dir():
        raise OutputUnwritable(path=output, reason=f"there is no directory {output.parent}")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise OutputUnwritable(path=output, reason=f"the directory {output.parent} is not yours to write")
    if output.is_dir():
        raise OutputIsDirectory(path=output)


@contextmanager
def candidate(output: Path, stage: str) -> Iterator[Path]:
    """A file beside `output` to make the executable in; whatever happens it does not stay under that name.

    It is locked by its maker, so that what a killed build left there can be told apart and removed.
    """
    path = output.with_name(f".{output.name}.{os.getpid()}.{stage}")
    try:
        for left in output.parent.glob(f".{glob.escape(output.name)}.*.{stage}"):
            with suppress(BlockingIOError, FileNotFoundError), locked(left, os.O_RDONLY):
                left.unlink()
        # Not opened for writing: the kernel refuses to run a file that is.
        with locked(path, os.O_RDONLY | os.O_CREAT):
            yield path
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(path=output.parent) from error
        if error.filename is not None and Path(os.fsdecode(error.filename)).parent == output.parent:
            raise OutputUnwritable(path=output, reason=error.strerror or error) from error
        raise
    finally:
        path.unlink(missing_ok=True)


def write_beside(content: bytes, output: Path, stage: str, source: Path) -> Path:
    """Write a file about `source`, which gets its name when it is complete; returns `output`.

    Raises OutputUnwritable, OutputIsDirectory, OutputIsInput, DiskFull.
    """
    check_output(output, [source])
    with candidate(output, stage) as beside:
        beside.write_bytes(content)
        beside.rename(output)
    return output


def require_static(path: Path, target: Target, programs: str) -> None:
    """Make `path` executable and judge it; `programs` is a PATH. Raises NotStatic with every finding."""
    from monolisp.elf import verify

    path.chmod(0o777 & ~_umask())
    verdict = verify(path, target, programs=programs)
    if not verdict.ok:
        raise NotStatic(findings="; ".join(verdict.failures()))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
