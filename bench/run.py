"""Measure monolisp against stock SBCL of the same source on this machine, in one run, as ratios.

    make bench                  everything (about fifteen minutes), written to docs/benchmarks.md
    python bench/run.py quick   without the two builds of SBCL and without large cores, printed only
    python bench/run.py quick foreign   the same with foreign libraries
    python bench/run.py quick programs  the same with monolisp sbcl, Maxima and pgloader
    python bench/run.py quick store     the same with toolchains, the store and many builds
    python bench/run.py quick provenance    the same with what executables say of themselves, and signatures

Stock SBCL is built by its own make.sh from the archive that monolisp pins, with the C compiler that it finds. Each
pair of commands runs in turn, A B A B …; figures are medians.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
VERSION = "2.6.4"
MONOLISP = [sys.executable, "-m", "monolisp"]
HELLO = '(defun main () (write-line "hello"))\n'
SAVE = '(save-lisp-and-die "{}" :executable t :toplevel (lambda () (main) (exit)))'
PEAK = """
import resource, sys
from monolisp.cli import main
code = main()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, monolisp's figure, the peer's, and the most that was asked for."""

    what: str
    ours: str
    stock: str
    measured: float
    asked: float
    unit: str = ""


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def quiet(argv: list[str], cwd: Path, **env: str) -> None:
    subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def in_turn(first: Callable[[], object], second: Callable[[], object], times: int) -> tuple[float, float]:
    """The medians of two actions that run in turn, after one round that does not count."""
    first(), second()
    pairs = [(seconds(first), seconds(second)) for _ in range(times)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def ratio_row(what: str, pair: tuple[float, float], asked: float, scale: float = 1, unit: str = "s") -> Row:
    ours, stock = pair
    digits = 1 if scale > 1 or ours > 10 else 3
    return Row(what, f"{ours * scale:.{digits}f} {unit}", f"{stock * scale:.{digits}f} {unit}", ours / stock, asked)


# --- stock SBCL ----------------------------------------------------------------------------------------------------


def source_archives() -> list[Path]:
    """The pinned archives, SBCL's first, fetched as monolisp fetches them."""
    from monolisp.process import run
    from monolisp.progress import Silent
    from monolisp.sources.fetch import FetchOptions, obtain
    from monolisp.store import Store
    from monolisp.toolchain.compression import zstd_pin
    from monolisp.toolchain.version import find_version

    store = Store(Path(os.environ["MONOLISP_STORE"])).prepare()
    options = FetchOptions(environ=dict(os.environ))
    return [obtain(pin, store, options, run, Silent()) for pin in (find_version(VERSION).source, zstd_pin())]


def build_stock(archive: Path, folder: Path) -> float:
    """Build stock SBCL in `folder`; returns the seconds of make.sh alone."""
    folder.mkdir(parents=True)
    subprocess.run(["tar", "xf", archive, "-C", folder, "--strip-components=1"], check=True)
    (folder / "version.lisp-expr").write_text(f'"{VERSION}"\n')
    return seconds(lambda: quiet(["sh", "make.sh"], folder))


def stock_sbcl(archive: Path) -> list[str]:
    """Stock SBCL, kept beside the store between runs of the bench."""
    folder = Path(os.environ["MONOLISP_STORE"]) / "bench" / f"sbcl-{VERSION}"
    if not (folder / "output" / "sbcl.core").exists():
        shutil.rmtree(folder, ignore_errors=True)
        build_stock(archive, folder)
    runtime, core = folder / "src" / "runtime" / "sbcl", folder / "output" / "sbcl.core"
    return [str(runtime), "--core", str(core), "--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"]


# --- what is measured ----------------------------------------------------------------------------------------------


def warm_builds(stock: list[str], work: Path) -> list[Row]:
    """hello.lisp changed, and nothing changed, against stock SBCL loading and saving it."""
    count = iter(range(10**6))

    def changed() -> None:
        (work / "hello.lisp").write_text(HELLO + f"; {next(count)}\n")
        quiet([*MONOLISP, "build", "hello.lisp"], work)

    def unchanged() -> None:
        quiet([*MONOLISP, "build", "hello.lisp"], work)

    def theirs() -> None:
        quiet([*stock, "--load", "hello.lisp", "--eval", SAVE.format("stock-hello")], work)

    rows = [ratio_row("warm build, source changed ÷ stock load and save", in_turn(changed, theirs, 11), 1.2)]
    rows.append(ratio_row("nothing changed ÷ stock load and save", in_turn(unchanged, theirs, 11), 0.2))
    return rows


def first_output(program: Path) -> float:
    """Seconds from starting a program to its first byte of output."""
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_CLOSE, reading)]
    begin = time.perf_counter()
    child = os.posix_spawn(program, [str(program)], os.environ, file_actions=actions)
    os.close(writing)
    os.read(reading, 1)
    end = time.perf_counter()
    os.waitpid(child, 0)
    os.close(reading)
    return end - begin


def start_up(work: Path) -> Row:
    pairs = [(first_output(work / "hello"), first_output(work / "stock-hello")) for _ in range(201)][1:]
    medians = statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
    return ratio_row("start-up to first output ÷ stock executable", medians, 0.85, 1000, "ms")


def size(work: Path) -> Row:
    ours, stock = ((work / name).stat().st_size / 1e6 for name in ("hello", "stock-hello"))
    return Row("hello, uncompressed", f"{ours:.1f} MB", f"{stock:.1f} MB", ours, 36, "MB")


def peak_memory(work: Path, megabytes: int) -> tuple[float, dict[str, float], int]:
    """Build a program with a table of that size: peak memory of the Python side in MB, seconds, size of the result."""
    name = f"table{megabytes}"
    (work / f"{name}.lisp").write_text(
        f"(defvar *table* (make-array {megabytes * 10**6} :element-type '(unsigned-byte 8) :initial-element 7))\n"
        "(defun main () (print (length *table*)))\n"
    )
    heap = f"{max(1024, 3 * megabytes + 1024)}MiB"
    argv = ["build", f"{name}.lisp", "--json", "--heap", heap, "--build-heap", heap]
    done = subprocess.run([sys.executable, "-c", PEAK, *argv], cwd=work, check=True, capture_output=True)
    result = json.loads(done.stdout)
    output = subprocess.run([work / name], check=True, capture_output=True).stdout
    assert output.split() == [str(megabytes * 10**6).encode()], output
    (work / name).unlink()
    return int(done.stderr.split()[-1]) / 1024, result["seconds"], result["size"]


def growth(work: Path) -> tuple[Row, list[str]]:
    lines = [
        "| table | executable | load and save | link | verify | Python's peak |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    peaks = []
    for megabytes in (1, 100, 250, 500, 1000, 2000):
        peak, taken, total = peak_memory(work, megabytes)
        peaks.append(peak)
        steps = " | ".join(f"{taken[step]:.2f} s" for step in ("load", "link", "verify"))
        lines.append(f"| {megabytes} MB | {total / 1e6:.0f} MB | {steps} | {peak:.0f} MB |")
    return Row("peak memory of the Python side", f"{max(peaks):.0f} MB", "–", max(peaks), 120, "MB"), lines


def first_build(archives: list[Path], work: Path) -> Row:
    """Everything from an empty store, the sources at hand, against make.sh."""
    sources = work / "sources"
    sources.mkdir()
    for archive in archives:
        shutil.copy2(archive, sources)
    (work / "first.lisp").write_text(HELLO)
    argv = [*MONOLISP, "build", "first.lisp", "--offline", "--source-dir", str(sources)]
    ours = seconds(lambda: quiet(argv, work, MONOLISP_STORE=str(work / "empty-store")))
    return ratio_row(
        "first build, empty store ÷ make.sh of SBCL", (ours, build_stock(archives[0], work / "stock")), 0.9
    )


class Shown(list[Row]):
    """Rows, shown as they come: a bench that fails half way has not run in vain."""

    def append(self, row: Row) -> None:
        print(f"{row.measured:.2f} (at most {row.asked:g})  {row.what}: {row.ours}, {row.stock}", flush=True)
        super().append(row)

    def __iadd__(self, rows: Iterable[Row]) -> Self:  # type: ignore[misc]
        for row in rows:
            self.append(row)
        return self


# --- the report ----------------------------------------------------------------------------------------------------


def report(rows: list[Row], lines: list[str]) -> str:
    table = ["| what | monolisp | stock | measured | at most |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        digits = 1 if row.unit else 2
        measured = f"{row.measured:.{digits}f} {row.unit}".strip()
        asked = "–" if math.isinf(row.asked) else f"{row.asked:g} {row.unit}".strip()
        table.append(f"| {row.what} | {row.ours} | {row.stock} | {measured} | {asked} |")
    text = "\n".join(table)
    return (
        text
        + ("\n\nAs the core grows (a program with a constant table):\n\n" + "\n".join(lines) if lines else "")
        + "\n"
    )


def head() -> str:
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    where = f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"
    date = time.strftime("%Y-%m-%d")
    return f"# Benchmarks\n\nMade by `make bench` on {date} at commit {commit.stdout.strip()}: {where}. Medians.\n\n"


def main() -> None:
    quick = "quick" in sys.argv
    from platformdirs import user_cache_path

    # Python keeps compiled modules for its users, and so it shall here.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("MONOLISP_STORE", str(user_cache_path("monolisp")))
    archives = source_archives()
    with tempfile.TemporaryDirectory(prefix="monolisp-bench-") as folder:
        work = Path(folder)
        rows = Shown()
        lines: list[str] = []
        if not quick:
            rows.append(first_build(archives, work))
        stock = stock_sbcl(archives[0])
        rows += [*warm_builds(stock, work), start_up(work), size(work)]
        if "foreign" in sys.argv or not quick:
            import foreign

            rows += foreign.rows(stock, work)
        if "programs" in sys.argv or not quick:
            import programs

            rows += programs.rows(stock, work)
        if "store" in sys.argv or not quick:
            import store

            rows += store.rows(archives, work)
        if "provenance" in sys.argv or not quick:
            import provenance

            rows += provenance.rows(work)
        if not quick:
            row, lines = growth(work)
            rows.append(row)
    text = report(rows, lines)
    print(text)
    if not quick:
        (ROOT / "docs" / "benchmarks.md").write_text(head() + text)


if __name__ == "__main__":
    main()
