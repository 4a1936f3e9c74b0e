"""Building a toolchain is long: interrupting or killing it must cost nothing but the time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from monolisp import process
from monolisp.errors import Exit
from monolisp.sources.fetch import FetchOptions
from monolisp.store import Store
from monolisp.target import find_target
from monolisp.toolchain.build import Workshop, configure, prepare
from monolisp.toolchain.host import find_host_lisp
from monolisp.toolchain.version import DEFAULT, find_version
from monolisp.toolchain.zig import find_zig

from .conftest import Monolisp, run

BUILD = [sys.executable, "-m", "monolisp", "toolchain", "build", "--offline"]


@pytest.fixture
def sources(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sources that the toolchain was built from."""
    store = toolchain.parents[1] / "sources"
    archives = [*store.glob("*/sbcl*"), *store.glob("*/*zstd*")]
    assert len(archives) >= 2
    folder = tmp_path_factory.mktemp("sources")
    for archive in archives:
        (folder / archive.name).symlink_to(archive)
    return folder


def begin(store: Path, sources: Path, seconds: float, **more: str) -> subprocess.Popen[str]:
    """Start building into an empty store, and let it work for a while."""
    env = {**os.environ, "MONOLISP_STORE": str(store), **more}
    argv = [*BUILD, "--source-dir", str(sources)]
    child = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(seconds)
    return child


def working_for(store: Path) -> list[str]:
    """The commands of the processes that were started to build something for `store`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(store) in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.parametrize("seconds", [0.4, 2, pytest.param(6, marks=pytest.mark.slow)])
def test_interrupted(sources: Path, tmp_path: Path, seconds: float) -> None:
    child = begin(tmp_path / "store", sources, seconds)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == Exit.INTERRUPTED
    assert "nothing half-made was kept" in err
    assert not list((tmp_path / "store").glob("toolchains/*"))
    assert not list((tmp_path / "store").glob("building/*"))
    assert working_for(tmp_path / "store") == []


@pytest.mark.slow
def test_interrupted_where_jobs_have_groups(sources: Path, tmp_path: Path) -> None:
    """SBCL's scripts say `set -m`. Other than dash, bash does as they say, also without a terminal."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("waits for bash")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(bash)
    store = tmp_path / "store"
    child = begin(store, sources, 1, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    deadline = time.monotonic() + 60
    while not any("cross-compiler.log" in log.name for log in store.glob("logs/*/*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    assert any("sbcl" in command for command in working_for(store))
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == Exit.INTERRUPTED
    assert working_for(store) == []


@pytest.mark.slow
def test_a_failed_stage_ends_the_others(sources: Path, tmp_path: Path) -> None:
    """A host Lisp that answers, and then cannot compile SBCL, while zig is compiling its libc."""
    lisp = tmp_path / "bin" / "sbcl"
    lisp.parent.mkdir()
    lisp.write_text(
        '#!/bin/sh\ncase "$(cat)" in *lisp-implementation*) echo "host: Fake 1";; *) echo no; exit 3;; esac\n'
    )
    lisp.chmod(0o755)
    store = tmp_path / "store"
    path = f"{lisp.parent}:{os.environ['PATH']}"
    done = run([*BUILD, "--source-dir", sources], MONOLISP_STORE=str(store), PATH=path)
    assert done.code == Exit.TOOLCHAIN
    assert "stage cross-compiler\n" in done.err
    assert "//building cross-compiler, and doing first genesis\nno\n" in done.err
    assert "C library …" in done.err
    assert "C library:" not in done.err
    assert [log.name for log in store.glob("logs/*/*")] == ["configure.log", "cross-compiler.log"]
    assert not list(store.glob("building/*"))
    assert working_for(store) == []


def test_the_pin_answers_what_configuration_would_find_out(sources: Path, toolchain: Path, tmp_path: Path) -> None:
    """SBCL's own probes, compiled and run, come to the features that the pin's options name; only dlopen is ours."""
    store, path = Store(toolchain.parents[1]), os.environ["PATH"]
    host = find_host_lisp(store, FetchOptions(offline=True), process.run, path)
    zig, version = find_zig(store, path), find_version(DEFAULT)
    shop = Workshop(tmp_path, "digest", version, find_target(None), zig, host, process.run, tmp_path / "logs")
    prepare(shop, next(sources.glob("sbcl*")))
    configure(shop)
    answered = features(shop)
    answers = re.compile(r"--with-(os-provides-|little-endian)")
    options = [option for option in version.options if not answers.match(option)]
    options += [*shop.target.options, "--with-os-provides-dlopen"]
    options += [f"--arch={shop.target.sbcl_arch}", "--xc-host=host-lisp"]
    shop.run("configure", ["sh", "make-config.sh", *options])
    assert features(shop) == answered


def features(shop: Workshop) -> set[str]:
    return set(re.findall(r":\S+[^\s)]", (shop.tree / "local-target-features.lisp-expr").read_text()))


@pytest.mark.slow
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
