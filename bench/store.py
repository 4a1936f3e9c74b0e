"""Toolchains, the store and many builds: rows for bench/run.py. The peers are the native toolchain, reading the same
files from the same disk, and the same builds one after another."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run import HELLO, MONOLISP, Row, quiet, ratio_row, seconds

from monolisp.store import Store
from monolisp.trust.keys import new_pair

GIGABYTES = 5
BUILDS = 10


def rows(archives: list[Path], work: Path) -> Iterator[Row]:
    folder = work / "many"
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for archive in archives:
        shutil.copy2(archive, sources)
    (folder / "hello.lisp").write_text(HELLO)
    store = folder / "store"
    offline = ["--offline", "--source-dir", str(sources)]
    native = seconds(lambda: quiet([*MONOLISP, "toolchain", "build", *offline], folder, MONOLISP_STORE=str(store)))
    yield cross(native, offline, folder)
    yield at_once(offline, folder)
    yield from_remote(store, folder)
    yield matrix(store, folder)
    yield verify(Path(os.environ["MONOLISP_STORE"]).parent)


def cross(native: float, offline: list[str], folder: Path) -> Row:
    argv = [*MONOLISP, "toolchain", "build", "--target", "aarch64", *offline]
    taken = seconds(lambda: quiet(argv, folder, MONOLISP_STORE=str(folder / "arm")))
    shutil.rmtree(folder / "arm")
    return ratio_row("toolchain for aarch64 on x86_64 ÷ native toolchain, sources at hand", (taken, native), 4)


def at_once(offline: list[str], folder: Path) -> Row:
    """Ten builds of one program on a cold store."""
    cold = {**os.environ, "MONOLISP_STORE": str(folder / "cold")}

    def build(number: int) -> str:
        argv = [*MONOLISP, "build", "hello.lisp", "-o", f"hello-{number}", *offline]
        return subprocess.run(argv, cwd=folder, env=cold, check=True, capture_output=True, text=True).stderr

    with ThreadPoolExecutor(BUILDS) as pool:
        told = list(pool.map(build, range(BUILDS)))
    made = sum("building the toolchain" in text for text in told)
    waited = sum("waiting for process" in text for text in told)
    shutil.rmtree(folder / "cold")
    return Row(
        f"toolchains built by {BUILDS} builds at once, cold store", str(made), f"{waited} waited", made, 1, "built"
    )


def from_remote(store: Path, folder: Path) -> Row:
    """A store that has all, pushed; then a machine that has nothing builds hello."""
    quiet([*MONOLISP, "build", "hello.lisp"], folder, MONOLISP_STORE=str(store))
    key = folder / "secret.key"
    remote = ["--remote", f"file://{folder / 'share'}"]
    public = new_pair(key)
    quiet([*MONOLISP, "store", "push", *remote, "--sign-key", str(key)], folder, MONOLISP_STORE=str(store))
    argv = [*MONOLISP, "build", "hello.lisp", "-o", "fetched", *remote, "--key", public]

    def fetch() -> None:
        quiet(argv, folder, MONOLISP_STORE=str(folder / "nothing"), https_proxy="http://127.0.0.1:9")
        quiet([str(folder / "fetched")], folder)

    taken = seconds(fetch)
    shutil.rmtree(folder / "nothing")
    return Row("from a warm remote store to a running hello", f"{taken:.1f} s", "–", taken, 15, "s")


def matrix(store: Path, folder: Path) -> Row:
    """Twelve programs with three workers and with one; processors are what limits it."""
    programs = [f"p{number}.lisp" for number in range(12)]
    for name in programs:
        (folder / name).write_text(HELLO + f"; {name}\n")
    (folder / "m.toml").write_text(f"programs = {programs}\n")

    def run(workers: int) -> float:
        argv = [*MONOLISP, "matrix", "m.toml", "--workers", str(workers)]
        for place in ("builds", "programs", "executables"):
            shutil.rmtree(store / place, ignore_errors=True)
        return seconds(lambda: quiet(argv, folder, MONOLISP_STORE=str(store)))

    run(3)
    what = f"matrix of 12 programs, 3 workers ÷ 1, on {os.cpu_count()} processors"
    return ratio_row(what, (run(3), run(1)), math.inf)


def verify(beside: Path) -> Row:
    """Five gigabytes in fifty entries, read from the disk both times, as far as the kernel heeds our wish."""
    with tempfile.TemporaryDirectory(prefix="monolisp-bench-", dir=beside) as folder:
        store = Store(Path(folder)).prepare()
        for number in range(50):
            store.entry("bench-entries", f"{number:032x}", _make)
        files = [str(path) for path in Path(folder).rglob("content")]
        forget(files)
        reading = seconds(lambda: quiet(["sh", "-c", 'cat "$@" > /dev/null', "cat", *files], beside))
        forget(files)
        argv = [*MONOLISP, "store", "verify"]
        checking = seconds(lambda: quiet(argv, beside, MONOLISP_STORE=folder))
    what = f"store verify of {GIGABYTES} GB ÷ reading the files from the disk"
    return ratio_row(what, (checking, reading), 1.1)


def _make(directory: Path) -> None:
    block = os.urandom(1 << 20)
    with (directory / "content").open("wb") as stream:
        for _ in range(GIGABYTES * 1000 // 50):
            stream.write(block[: 10**6])


def forget(files: list[str]) -> None:
    """Have the kernel keep nothing of these files in memory."""
    for name in files:
        with Path(name).open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
