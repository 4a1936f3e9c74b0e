"""Executables that are to be the same, and the one thing that may differ in those that use CLOS."""

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

# A weak table of SBCL's: in one build of several its keys lie in another order.
KNOWN = "symbol *ALL-CTORS*"


def require_same(one: Path, other: Path) -> None:
    """The same bytes, or no difference but the known one."""
    if sha256_file(one) == sha256_file(other):
        return
    store = Store(Path(os.environ["MONOLISP_STORE"]))
    machine = Machine(store, runner, Silent(), dict(os.environ))
    found = differences(one, other, shape_for(find_toolchain(DEFAULT, find_target(None), store)[0], machine))
    assert found, "they differ, and nobody can say where"
    strange = [str(item) for item in found if not item.held or not item.held[-1].startswith(KNOWN)]
    assert strange == []
