"""The executor of a Dask cluster: the same steps, carried out by its workers.

A worker has a store of its own. The project's files, toolchains, libraries and the finished executables go through the
remote store that the project names; the scheduler carries command lines and answers only. When a worker dies, Dask
gives its steps to another.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from monolisp.errors import ClusterExtraMissing, SchedulerUnreachable, StepLost
from monolisp.matrix.run import Ended
from monolisp.matrix.tree import EXECUTABLES
from monolisp.store import Store

_TIMEOUT = 10
# How often Dask starts a step anew whose worker died.
_RETRIES = 3


@dataclass(frozen=True)
class Job:
    """What a worker is told: a command line of monolisp, the digests of the project's files and of monolisp, and
    whether an executable comes out."""

    arguments: tuple[str, ...]
    tree: str
    monolisp: str
    makes_executable: bool


@dataclass(frozen=True)
class Answer:
    """What a worker says: how the step ended, and the digest of the executable, if there is one."""

    ended: Ended
    executable: str | None = None


class Cluster:
    """`store` fetches what workers made. Raises ClusterExtraMissing, SchedulerUnreachable."""

    def __init__(self, scheduler: str, tree: str, monolisp: str, store: Store) -> None:
        self._tree, self._monolisp, self._store = tree, monolisp, store
        self._client = _connected(scheduler)
        self._pool = ThreadPoolExecutor(64)
        self._stopped = threading.Event()

    def submit(self, arguments: Sequence[str], heavy: bool) -> Future[Ended]:
        del heavy  # a worker does one step at a time
        words = list(arguments)
        output = Path(words.pop(words.index("-o") + 1)) if "-o" in words else None
        if output is not None:
            words.remove("-o")
        job = Job(tuple(words), self._tree, self._monolisp, output is not None)
        task = import_module("monolisp.cli.task").carry_out
        future = self._client.submit(task, job, pure=False, retries=_RETRIES)
        return self._pool.submit(self._finished, future, output)

    def _finished(self, future: Any, output: Path | None) -> Ended:
        try:
            answer: Answer = future.result()
        except Exception as error:
            lost = StepLost(reason=str(error) or type(error).__name__)
            return Ended(int(lost.exit_code), str(lost), 0.0)
        if answer.executable is not None and output is not None:
            entry = self._store.entry(EXECUTABLES, answer.executable, _not_there)
            beside = output.with_name(f".{output.name}.part")
            shutil.copy2(entry / "program", beside)
            beside.rename(output)
        return answer.ended

    def stop(self) -> None:
        self._client.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _not_there(_: Path) -> None:
    raise StepLost(reason="the executable that a worker made is not in the remote store")


def _connected(scheduler: str) -> Any:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise ClusterExtraMissing from error
    try:
        return distributed.Client(scheduler, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SchedulerUnreachable(url=scheduler, reason=str(error) or "no answer") from error
