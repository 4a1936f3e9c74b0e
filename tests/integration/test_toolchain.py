"""Building a toolchain is long: interrupting or killing it must cost nothing but the time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monolisp.errors import Exit

from .conftest import Monolisp, run

BUILD = [sys.executable, "-m", "monolisp", "toolchain", "build", "--offline"]


@pytest.fixture
def sources(toolchain: Path) -> Path:
    """The directory of the source that the toolchain was built from."""
    archives = list((toolchain.parents[1] / "sources").glob("*/sbcl*"))
    assert archives
    return archives[0].parent


def begin(store: Path, sources: Path, seconds: float) -> subprocess.Popen[str]:
    """Start building into an empty store, and let it work for a while."""
    env = {**os.environ, "MONOLISP_STORE": str(store)}
    argv = [*BUILD, "--source-dir", str(sources)]
    child = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(seconds)
    return child


@pytest.mark.parametrize("seconds", [0.4, 2, 6])
def test_interrupted(sources: Path, tmp_path: Path, seconds: float) -> None:
    child = begin(tmp_path / "store", sources, seconds)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == Exit.INTERRUPTED
    assert "nothing half-made was kept" in err
    assert not list((tmp_path / "store").glob("toolchains/*"))
    assert not list((tmp_path / "store").glob("building/*"))


def test_killed(sources: Path, tmp_path: Path) -> None:
    """What a killed build left is never taken for a toolchain, and the next attempt begins anew."""
    store = tmp_path / "store"
    child = begin(store, sources, 4)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=30)
    assert run([*BUILD[:4], "path"], MONOLISP_STORE=str(store)).code == Exit.TOOLCHAIN
    assert run([*BUILD[:4], "list"], MONOLISP_STORE=str(store)).out == ""
    assert list(store.glob("building/*"))
    again = begin(store, sources, 3)
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=30)
    assert not list(store.glob("building/*"))


def test_nothing_of_the_network_is_needed_but_the_source(tmp_path: Path) -> None:
    done = run(BUILD, MONOLISP_STORE=str(tmp_path / "store"))
    assert done.code == Exit.SOURCE
    assert "--offline forbids fetching it" in done.err
    assert "sbcl" in done.err


def test_prune_removes_what_no_pin_leads_to(monolisp: Monolisp, tmp_path: Path) -> None:
    old = tmp_path / "store" / "toolchains" / "0123456789abcdef"
    old.mkdir(parents=True)
    facts = {"version": "0.0.1", "target": "x86_64-linux-musl", "zig": "0", "libc": "none"}
    (old / "toolchain.json").write_text(json.dumps(facts))
    env = {"MONOLISP_STORE": str(tmp_path / "store")}
    assert "SBCL 0.0.1" in monolisp("toolchain", "list", env=env).out
    assert "removed toolchains 0123456789abcdef" in monolisp("toolchain", "prune", env=env).out
    assert not old.exists()
