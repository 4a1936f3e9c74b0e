"""Carrying out a matrix: each step is a monolisp of its own, so that none can disturb another.

Toolchains come first; a program waits only for its own. Who carries out the steps is an executor: local.py here, a
Dask cluster in cluster.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from monolisp.matrix.plan import Cell, Matrix


class State(StrEnum):
    WAITING = "waiting"
    BUILDING = "building"
    BUILT = "built"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: `size` in bytes and `sha256` of the executable, `seconds` that its own step took, `error`
    as `monolisp build` tells it (keys error, what, why, try)."""

    cell: Cell
    state: State
    size: int = 0
    sha256: str = ""
    seconds: float = 0.0
    error: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A step that has ended: the exit code, and everything that it printed."""

    code: int
    text: str
    seconds: float


class Executor(Protocol):
    """Carries out command lines of monolisp; `heavy` ones use every processor by themselves."""

    def submit(self, arguments: Sequence[str], heavy: bool) -> Future[Ended]: ...

    def stop(self) -> None: ...


Watch = Callable[[Outcome], None]


def run_matrix(matrix: Matrix, executor: Executor, folder: str, options: Sequence[str], watch: Watch) -> list[Outcome]:
    """Carry out every step; what fails stops only what waits for it. `options` go to every step, `folder` is where the
    executables go, and `watch` is told whatever becomes of a cell. Outcomes come in the order of the cells."""
    outcomes = {cell.label: Outcome(cell, State.WAITING) for cell in matrix.cells}
    running: dict[Future[Ended], tuple[str, str] | Cell] = {}
    try:
        for sbcl, target in matrix.toolchains:
            arguments = ["toolchain", "build", *_sbcl(sbcl), "--target", target, "--json", *options]
            running[executor.submit(arguments, True)] = (sbcl, target)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step, ended = running.pop(future), future.result()
                if isinstance(step, Cell):
                    _tell(outcomes, outcome_of(step, ended), watch)
                    continue
                for cell in (cell for cell in matrix.cells if (cell.sbcl, cell.target) == step):
                    if ended.code != 0:
                        _tell(outcomes, Outcome(cell, State.FAILED, error=error_of(ended)), watch)
                    else:
                        running[executor.submit(build_arguments(cell, folder, options), False)] = cell
                        _tell(outcomes, Outcome(cell, State.BUILDING), watch)
    except BaseException:
        executor.stop()
        raise
    return list(outcomes.values())


def _tell(outcomes: dict[str, Outcome], outcome: Outcome, watch: Watch) -> None:
    outcomes[outcome.cell.label] = outcome
    watch(outcome)


def build_arguments(cell: Cell, folder: str, options: Sequence[str]) -> list[str]:
    what = [*cell.program.inputs, "-o", f"{folder}/{cell.output}", *cell.program.options]
    return ["build", *what, *_sbcl(cell.sbcl), "--target", cell.target, "--json", *options]


def _sbcl(spec: str) -> list[str]:
    version, *features = spec.split()
    return ["--sbcl", version, *(f"--features={feature}" for feature in features)]


def outcome_of(cell: Cell, ended: Ended) -> Outcome:
    """What a build that ended came to."""
    told = _last_json(ended.text)
    if ended.code != 0 or told.get("schema") != "monolisp-build-1":
        return Outcome(cell, State.FAILED, seconds=ended.seconds, error=error_of(ended))
    return Outcome(cell, State.BUILT, int(str(told["size"])), str(told["sha256"]), ended.seconds)


def error_of(ended: Ended) -> dict[str, str]:
    """The error of a step that failed, in its own words, or else the end of what it printed."""
    told = _last_json(ended.text)
    if told.get("schema") == "monolisp-error-1":
        return {key: str(told[key]) for key in ("error", "what", "why", "try")}
    said = ended.text.strip().splitlines()[-5:]
    return {"error": "Failed", "what": f"it ended with {ended.code}", "why": "\n".join(said), "try": ""}


def _last_json(text: str) -> dict[str, object]:
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def summary(outcomes: Sequence[Outcome], begin: float) -> dict[str, object]:
    """What --json prints; schema: schemas/monolisp-matrix-1.schema.json."""
    rows = [
        {
            "program": one.cell.program.name,
            "target": one.cell.target,
            "sbcl": one.cell.sbcl,
            "output": one.cell.output,
            "state": str(one.state),
            "size": one.size,
            "sha256": one.sha256,
            "seconds": round(one.seconds, 3),
            "error": dict(one.error),
        }
        for one in outcomes
    ]
    return {"schema": "monolisp-matrix-1", "seconds": round(time.monotonic() - begin, 3), "cells": rows}
