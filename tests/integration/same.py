"""Executables that are to be the same, and what may differ all the same."""

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

# What libraries seed while they are loaded (cl-fad, Hunchentoot) is theirs.
SEEDED = "RANDOM-STATE"


def require_same(one: Path, other: Path) -> None:
    """The same bytes, or no difference but in random states."""
    if sha256_file(one) == sha256_file(other):
        return
    store = Store(Path(os.environ["MONOLISP_STORE"]))
    machine = Machine(store, runner, Silent(), dict(os.environ))
    shape = shape_for(find_toolchain(DEFAULT, find_target(None), store)[0], machine)
    found = differences(one, other, shape, most=1000)
    assert found, "they differ, and nobody can say where"
    strange = [str(item) for item in found if SEEDED not in item.held]
    assert not strange, "\n".join(strange)
