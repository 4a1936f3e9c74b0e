"""What this machine offers to a build: the doors to the world, gathered in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monolisp.process import Runner
from monolisp.progress import Progress
from monolisp.sources.fetch import FetchOptions
from monolisp.store import Store


@dataclass(frozen=True)
class Machine:
    """`environ` is the user's environment; nothing of monolisp reads or changes the process's own."""

    store: Store
    runner: Runner
    progress: Progress
    environ: Mapping[str, str]
    fetching: FetchOptions
    verbose: bool = False

    @property
    def path(self) -> str:
        return self.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
