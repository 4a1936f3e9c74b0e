"""monolisp matrix."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import BadMatrix, BadOption, ClusterNeedsRemote, Exit, NoMatrix
from monolisp.settings import FILE

if TYPE_CHECKING:
    from rich.table import Table

    from monolisp.matrix.plan import Matrix
    from monolisp.matrix.run import Executor, Outcome
    from monolisp.toolchain.machine import Machine


def run_matrix(options: argparse.Namespace) -> int:
    from monolisp.matrix.run import State, run_matrix, summary

    matrix = _matrix(options.file)
    if options.dry_run:
        for sbcl, target in matrix.toolchains:
            print(f"toolchain  SBCL {sbcl} for {target}")
        for cell in matrix.cells:
            print(f"program    {cell.output}")
        return int(Exit.OK)
    folder = Path(options.output).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    watch = _Table(matrix) if sys.stderr.isatty() else _Lines()
    executor = _executor(options)
    try:
        outcomes = run_matrix(matrix, executor, str(folder), _passed(options), watch)
    finally:
        watch.close()
    if options.json:
        print(json.dumps(summary(outcomes, begin), indent=1))
    else:
        _print_summary(outcomes, time.monotonic() - begin)
    return int(Exit.OK if all(one.state is State.BUILT for one in outcomes) else Exit.VERDICT)


def _matrix(file: str | None) -> Matrix:
    """The table of the file named, or [matrix] of the project file. Raises NoMatrix, BadMatrix."""
    import tomllib

    from monolisp.matrix.plan import parse_matrix

    path = Path(file or FILE)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoMatrix(file=path, reason="there is no such file") from error
    except (OSError, ValueError) as error:
        raise BadMatrix(file=path, reason=error) from error
    found = table.get("matrix", table if file else None)
    if not isinstance(found, dict):
        raise NoMatrix(file=path, reason="it has no table [matrix]")
    return parse_matrix(found, str(path))


def _executor(options: argparse.Namespace) -> Executor:
    from monolisp.matrix.local import Local, workers

    count = workers()
    if options.workers is not None:
        if not options.workers.isdigit() or int(options.workers) < 1:
            raise BadOption(option="--workers", value=options.workers, reason="it is a number from 1", command="matrix")
        count = int(options.workers)
    machine = given.machine(options, given.progress())
    if options.scheduler is None:
        return Local(count, Path.cwd(), machine)
    return _cluster(options, machine)


def _cluster(options: argparse.Namespace, machine: Machine) -> Executor:
    from monolisp.matrix.cluster import Cluster
    from monolisp.matrix.tree import keep_tree, this_monolisp

    if machine.store.tier is None or not options.push:
        raise ClusterNeedsRemote
    tree = keep_tree(Path.cwd(), Path(options.output).absolute(), machine.store)
    return Cluster(options.scheduler, tree, this_monolisp(), machine.store)


def _passed(options: argparse.Namespace) -> list[str]:
    """What every step is told as well."""
    told = given.settings(options)
    words = [word for url in told.store_remote or () for word in ("--remote", url)]
    words += [word for key in told.store_keys or () for word in ("--key", key)]
    words += ["--push"] if options.push else []
    words += ["--sign-key", str(Path(options.sign_key).absolute())] if options.sign_key else []
    words += ["--offline"] if options.offline else []
    return words + (["--source-dir", str(Path(options.source_dir).absolute())] if options.source_dir else [])


def _print_summary(outcomes: list[Outcome], seconds: float) -> None:
    from monolisp.matrix.run import State

    built = [one for one in outcomes if one.state is State.BUILT]
    for one in outcomes:
        if one.state is State.BUILT:
            print(f"{one.cell.output}: {one.size / 1e6:.1f} MB, {one.seconds:.1f} s")
    for one in outcomes:
        if one.state is not State.BUILT:
            print(f"{one.cell.output}: failed: {one.error.get('what', '')}", file=sys.stderr)
            for name, label in (("why", "why"), ("try", "try")):
                if one.error.get(name):
                    print(f"  {label}: {one.error[name]}", file=sys.stderr)
    print(f"{len(built)} of {len(outcomes)} built in {seconds:.1f} s")


class _Lines:
    """A line for whatever becomes of a cell: for logs."""

    def __call__(self, outcome: Outcome) -> None:
        given.tell(f"{outcome.cell.output}: {outcome.state}")

    def close(self) -> None:
        pass


class _Table:
    """A live table on a terminal."""

    def __init__(self, matrix: Matrix) -> None:
        from rich.console import Console
        from rich.live import Live

        self._rows: dict[str, tuple[str, str]] = {cell.output: ("waiting", "") for cell in matrix.cells}
        self._live = Live(self._table(), console=Console(stderr=True), transient=True)
        self._live.start()

    def _table(self) -> Table:
        from rich.table import Table

        table = Table("executable", "state", "size")
        for name, (state, size) in self._rows.items():
            table.add_row(name, state, size)
        return table

    def __call__(self, outcome: Outcome) -> None:
        size = f"{outcome.size / 1e6:.1f} MB" if outcome.size else ""
        self._rows[outcome.cell.output] = (str(outcome.state), size)
        self._live.update(self._table())

    def close(self) -> None:
        self._live.stop()
