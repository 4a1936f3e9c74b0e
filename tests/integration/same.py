"""Executables that are to be the same."""

from __future__ import annotations

import os
from pathlib import Path

from monolisp.compare import differences, shape_for
from monolisp.process import run as runner
from monolisp.progress import Silent
from monolisp.store import Store, sha256_file
from monolisp.target import find_target
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import find_toolchain
from monolisp.toolchain.version import DEFAULT


def require_same(one: Path, other: Path) -> None:
    """The same bytes; or where they differ is said."""
    if sha256_file(one) == sha256_file(other):
        return
    store = Store(Path(os.environ["MONOLISP_STORE"]))
    machine = Machine(store, runner, Silent(), dict(os.environ))
    shape = shape_for(find_toolchain(DEFAULT, find_target(None), store)[0], machine)
    found = differences(one, other, shape, most=1000)
    raise AssertionError("\n".join(map(str, found)) or "they differ, and nobody can say where")
