"""Many builds: on this machine, and on a Dask cluster of three workers of which one is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

import monolisp as package
from monolisp.store import sha256_file
from monolisp.trust.keys import new_pair

from .conftest import Monolisp, run

SCHEMA = json.loads((Path(package.__file__).parent / "schemas/monolisp-matrix-1.schema.json").read_text("utf-8"))
MATRIX = """
[matrix]
programs = ["one.lisp", { input = "two.lisp", name = "zwei", options = ["--heap", "512MiB"] }, "broken.lisp"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.lisp").write_text(f'(defun main () (write-line "{name}"))', encoding="utf-8")
    (folder / "broken.lisp").write_text("(defun main () (oops", encoding="utf-8")
    (folder / "monolisp.toml").write_text(MATRIX, encoding="utf-8")
    return folder


def test_one_failure_does_not_stop_the_rest(monolisp: Monolisp, project: Path) -> None:
    done = monolisp("matrix", "--json", "-o", "out", cwd=project)
    assert done.code == 1
    told = json.loads(done.out)
    jsonschema.validate(told, SCHEMA)
    assert [(cell["program"], cell["state"]) for cell in told["cells"]] == [
        ("one", "built"),
        ("zwei", "built"),
        ("broken", "failed"),
    ]
    assert told["cells"][2]["error"]["error"] == "LispReadError"
    for cell, text in zip(told["cells"], ("one", "two"), strict=False):
        assert run([project / "out" / cell["output"]]).out == f"{text}\n"
    assert sorted(path.name for path in project.iterdir()) == [
        "broken.lisp",
        "monolisp.toml",
        "one.lisp",
        "out",
        "two.lisp",
    ]


def test_the_summary_for_people(monolisp: Monolisp, project: Path) -> None:
    done = monolisp("matrix", "--workers", "1", cwd=project)
    assert done.code == 1
    assert "2 of 3 built in" in done.out
    assert "broken.lisp:1: cannot be read" in done.err


def test_every_fault_is_told_at_once(monolisp: Monolisp, project: Path) -> None:
    (project / "m.toml").write_text(
        'programs = ["one.lisp", "one.lisp"]\ntargets = ["arm46"]\nsbcl = ["9.9.9"]\nexclud = []\n', encoding="utf-8"
    )
    done = monolisp("matrix", "m.toml", cwd=project)
    assert done.code == 3
    for fault in ("two programs are called one", "no target arm46", "no pin for SBCL 9.9.9", "did you mean exclude"):
        assert fault in done.err
    assert monolisp("matrix", "none.toml", cwd=project).code == 3
    assert "a cluster needs a remote store" in monolisp("matrix", "--scheduler", "tcp://127.0.0.1:9", cwd=project).err


def test_ctrl_c_ends_everything(toolchain: Path, project: Path) -> None:
    assert toolchain.is_dir()
    (project / "one.lisp").write_text("(sleep 1000)\n(defun main ())", encoding="utf-8")
    child = subprocess.Popen(
        [sys.executable, "-m", "monolisp", "matrix"], cwd=project, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    while "building" not in child.stderr.readline():
        assert child.poll() is None
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    assert not (project / "dist" / "one-x86_64-linux-musl").exists()


# --- a cluster ------------------------------------------------------------------------------------------------------


class Cluster:
    """A scheduler and workers with stores of their own, as real processes on loopback."""

    def __init__(self, folder: Path, toolchain: Path) -> None:
        self._folder, self._toolchain = folder, toolchain
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.url = self._address()
        self.workers = [self.worker(number) for number in range(3)]

    def _start(self, what: str, *options: str, **env: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        log = (self._folder / f"{what}-{time.monotonic_ns()}.log").open("w")
        return subprocess.Popen(argv, env={**os.environ, **env}, stderr=log, stdout=log, cwd=self._folder)

    def _address(self) -> str:
        for _ in range(300):
            for log in self._folder.glob("scheduler-*.log"):
                found = [line.split()[-1] for line in log.read_text().splitlines() if "Scheduler at:" in line]
                if found:
                    return found[0]
            time.sleep(0.1)
        raise AssertionError("the scheduler did not start")

    def worker(self, number: int) -> subprocess.Popen[str]:
        store = self._folder / f"store-{number}"
        place = store / "toolchains" / self._toolchain.name
        if not place.exists():
            place.parent.mkdir(parents=True)
            shutil.copytree(self._toolchain, place, symlinks=True)
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--death-timeout", "30")
        return self._start("worker", self.url, *options, MONOLISP_STORE=str(store))

    def stop(self) -> None:
        for child in (*self.workers, self._scheduler):
            child.kill()
            child.wait()


@pytest.fixture
def cluster(toolchain: Path, tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder, toolchain)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.slow
def test_a_cluster_of_which_a_worker_dies(cluster: Cluster, monolisp: Monolisp, project: Path, tmp_path: Path) -> None:
    """A program that tells which process loads it, and waits: its worker is killed, and another one does it again."""
    public = new_pair(tmp_path / "secret.key")
    mark = tmp_path / "mark"
    (project / "slow.lisp").write_text(
        f'(unless (probe-file "{mark}")'
        f' (with-open-file (s "{mark}" :direction :output) (prin1 (sb-posix:getppid) s)) (sleep 60))\n'
        '(defun main () (write-line "slow"))',
        encoding="utf-8",
    )
    options = '["--eval", "(require :sb-posix)"]'
    text = f"""
[matrix]
programs = ["one.lisp", "two.lisp", "broken.lisp", {{ input = "slow.lisp", options = {options} }}]
[store]
remote = ["file://{tmp_path}/share"]
keys = ["{public}"]
"""
    (project / "monolisp.toml").write_text(text, encoding="utf-8")
    argv = ["matrix", "--json", "--push", "--sign-key", str(tmp_path / "secret.key"), "--scheduler", cluster.url]
    child = subprocess.Popen(
        [sys.executable, "-m", "monolisp", *argv],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if mark.exists() and mark.read_text():
            break
        assert child.poll() is None, child.communicate()
        time.sleep(0.1)
    doomed = [worker for worker in cluster.workers if _is_above(worker.pid, int(mark.read_text()))]
    assert len(doomed) == 1
    doomed[0].kill()
    out, err = child.communicate(timeout=120)
    told = json.loads(out)
    assert [(cell["program"], cell["state"]) for cell in told["cells"]] == [
        ("one", "built"),
        ("two", "built"),
        ("broken", "failed"),
        ("slow", "built"),
    ], err
    for cell in told["cells"]:
        if cell["state"] == "built":
            assert run([project / "dist" / cell["output"]]).out == f"{cell['program']}\n"
    # Not "slow": it brings sb-posix, whose generic functions SBCL hashes by lot.
    _local_ones_are_the_same(monolisp, project, [cell for cell in told["cells"] if cell["program"] in ("one", "two")])


def _local_ones_are_the_same(monolisp: Monolisp, project: Path, cells: list[dict[str, str]]) -> None:
    before = {cell["output"]: sha256_file(project / "dist" / cell["output"]) for cell in cells}
    shutil.rmtree(project / "dist")
    monolisp("matrix", cwd=project)
    assert {name: sha256_file(project / "dist" / name) for name in before} == before


def _is_above(pid: int, below: int) -> bool:
    """Whether the process `pid` started `below`, however many are in between."""
    while below > 1:
        if below == pid:
            return True
        stat = Path("/proc", str(below), "stat")
        if not stat.exists():
            return False
        below = int(stat.read_text().rpartition(")")[2].split()[1])
    return False


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(monolisp: Monolisp, project: Path, tmp_path: Path) -> None:
    public = new_pair(tmp_path / "secret.key")
    with (project / "monolisp.toml").open("a") as stream:
        stream.write(f'[store]\nremote = ["file://{tmp_path}/share"]\nkeys = ["{public}"]\n')
    argv = ["--push", "--sign-key", str(tmp_path / "secret.key"), "--scheduler", "tcp://127.0.0.1:9"]
    done = monolisp("matrix", *argv, cwd=project)
    assert done.code == 5
    assert "the scheduler tcp://127.0.0.1:9 cannot be reached" in done.err
