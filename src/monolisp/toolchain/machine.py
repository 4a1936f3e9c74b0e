"""What this machine offers to a build: the doors to the world, gathered in one value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monolisp.process import Runner
from monolisp.progress import Progress
from monolisp.store import Store

# Where programs are when nobody says.
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def jobs() -> int:
    """How many processes may work side by side."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Machine:
    """`environ` is the user's environment; nothing of monolisp reads or changes the process's own. `offline` forbids
    the network, `source_dir` is where sources are looked for first."""

    store: Store
    runner: Runner
    progress: Progress
    environ: Mapping[str, str]
    offline: bool = False
    source_dir: Path | None = None
    verbose: bool = False

    @property
    def path(self) -> str:
        return self.environ.get("PATH", DEFAULT_PATH)
