"""monolisp sbcl against stock SBCL, and real programs built by each: rows for bench/run.py.

Both build pgloader and Maxima from the same sources in the same way. pgloader's libraries are Debian's shared ones on
the one side, recipes on the other; it is built as Debian's rules do, but for --compress-core, which a plain make.sh of
SBCL does not offer.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from run import MONOLISP, ROOT, Row, in_turn, quiet, ratio_row, seconds

sys.path.insert(0, str(ROOT))

from tests.integration.real import BUILDAPP, MAXIMA, PGLOADER, POSTGRES, REPAIRS, postgres, source_of

BARE = ["--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"]
PGLOADER_LINE = [
    *("--require", "sb-posix", "--require", "sb-bsd-sockets"),
    *("--load", "/usr/share/common-lisp/source/cl-asdf/build/asdf.lisp"),
    *("--asdf-path", ".", "--asdf-tree", "/usr/share/common-lisp/systems"),
    *("--load-system", "asdf-finalizers", "--load-system", "asdf-system-connections", "--load-system", "cffi"),
    *("--load-system", "cl+ssl", "--load-system", "mssql", "--load", "src/hooks.lisp", "--load-system", "pgloader"),
    *("--entry", "pgloader:main", "--dynamic-space-size", "4096", "--output", "pgloader"),
]
ROWS = 200_000
LOAD = """LOAD CSV FROM '{folder}/rows.csv' (id, name, square)
  INTO postgresql://lisp:secret@127.0.0.1:54329/postgres?tablename=bench
  WITH fields terminated by ',', fields optionally enclosed by '"'
  BEFORE LOAD DO $$ drop table if exists bench; $$,
                 $$ create table bench (id bigint, name text, square bigint); $$;
"""


def rows(stock: list[str], work: Path) -> Iterator[Row]:
    folder = work / "programs"
    folder.mkdir()
    yield from starts(stock, installed(folder), folder)
    sides = {"ours": [*MONOLISP, "exec", "--"], "stock": [str(with_stock(stock, folder))]}
    yield maxima(sides, folder)
    if POSTGRES is None:
        print("pgloader was not measured: it waits for Debian's package postgresql", file=sys.stderr)
    else:
        yield pgloader(sides, folder)


def installed(folder: Path) -> Path:
    """The command as `pip install .` puts it into an environment of its own."""
    quiet([sys.executable, "-m", "venv", "venv"], folder)
    quiet([str(folder / "venv" / "bin" / "pip"), "install", "--quiet", str(ROOT)], folder)
    return folder / "venv" / "bin" / "monolisp"


def starts(stock: list[str], command: Path, folder: Path) -> Iterator[Row]:
    ours, theirs = [str(command), "sbcl", "--version"], [stock[0], "--version"]
    pair = in_turn(lambda: quiet(ours, folder), lambda: quiet(theirs, folder), 301)
    yield ratio_row("monolisp sbcl --version ÷ sbcl --version", pair, 1.5, 1000, "ms")
    line = [*BARE, "--eval", "(exit)"]
    direct = subprocess.run(
        [command, "exec", "--", "sh", "-c", "command -v sbcl"], check=True, capture_output=True, text=True
    ).stdout.strip()
    pair = in_turn(lambda: quiet([*ours[:2], *line], folder), lambda: quiet([direct, *line], folder), 101)
    milliseconds = (pair[0] - pair[1]) * 1000
    figures = (f"{value * 1000:.1f} ms" for value in pair)
    yield Row("monolisp sbcl − that SBCL started directly", *figures, milliseconds, 30, "ms")


def with_stock(stock: list[str], folder: Path) -> Path:
    """A command that runs another with stock SBCL as sbcl, as `monolisp exec --` does with ours."""
    (folder / "bin").mkdir()
    home = Path(stock[0]).parents[2] / "obj" / "sbcl-home"
    (folder / "bin" / "sbcl").write_text(
        f'#!/bin/sh\nSBCL_HOME={home} exec {stock[0]} --core {stock[2]} "$@"\n', encoding="utf-8"
    )
    fasls = f'(:output-translations (t "{folder}/fasls/") :ignore-inherited-configuration)'
    script = folder / "with-stock"
    script.write_text(
        f"#!/bin/sh\nexport PATH={folder}/bin:$PATH ASDF_OUTPUT_TRANSLATIONS='{fasls}'\nexec \"$@\"\n", encoding="utf-8"
    )
    for path in (script, folder / "bin" / "sbcl"):
        path.chmod(0o755)
    return script


def maxima(sides: dict[str, list[str]], folder: Path) -> Row:
    """All of Maxima's own tests."""
    trees = {side: source_of(MAXIMA, folder / f"maxima-{side}") for side in sides}
    for side, start in sides.items():
        quiet([*start, "sh", "./configure", "--enable-sbcl-exec", "--with-default-lisp=sbcl"], trees[side])
        quiet([*start, "make", "-C", "src"], trees[side])

    def tested(side: str) -> float:
        line = [str(trees[side] / "maxima-local"), "--batch-string=run_testsuite();"]
        done = subprocess.run(line, check=True, capture_output=True, text=True, errors="replace")
        assert "No unexpected errors found out of" in done.stdout, done.stdout[-2000:]
        return float(done.stdout.split(" seconds of real time")[0].split()[-1])

    pairs = [(tested("ours"), tested("stock")) for _ in range(2)]
    medians = statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
    return ratio_row("Maxima's own tests ÷ Maxima in stock SBCL", medians, 1.05)


def pgloader(sides: dict[str, list[str]], folder: Path) -> Row:
    programs = {}
    for side, start in sides.items():
        buildapp = source_of(BUILDAPP, folder / f"buildapp-{side}")
        quiet([*start, "make"], buildapp)
        tree = source_of(PGLOADER, folder / f"pgloader-{side}")
        (tree / "named-readtables.asd").symlink_to(REPAIRS / "named-readtables" / "named-readtables.asd")
        quiet([*start, str(buildapp / "buildapp"), *PGLOADER_LINE], tree, HOME=str(folder))
        programs[side] = tree / "pgloader"
    (folder / "rows.csv").write_text("".join(f'{n},"name {n}",{n * n}\n' for n in range(ROWS)), encoding="utf-8")
    (folder / "csv.load").write_text(LOAD.format(folder=folder), encoding="utf-8")
    root = folder / "pgloader"
    root.mkdir()
    with postgres():

        def loaded(side: str) -> float:
            return seconds(
                lambda: quiet([str(programs[side]), "--root-dir", str(root), str(folder / "csv.load")], folder)
            )

        loaded("ours"), loaded("stock")
        pairs = [(loaded("ours"), loaded("stock")) for _ in range(5)]
    medians = statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
    return ratio_row(f"pgloader, {ROWS:,} rows from CSV ÷ pgloader in stock SBCL", medians, 1.05)
