"""The plan of a matrix: which programs for which targets with which SBCL, and the steps to them. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from monolisp.errors import BadMatrix, MonolispError
from monolisp.target import find_target
from monolisp.toolchain.version import DEFAULT, normal, version_text

_KEYS = ("programs", "targets", "sbcl", "exclude")
_PROGRAM_KEYS = ("input", "name", "options")
_EXCLUDE_KEYS = ("program", "target", "sbcl")


@dataclass(frozen=True)
class Program:
    """One program: what `monolisp build` is told to build (nothing: the project of the directory), what the executable
    is called, and further options of the command line."""

    name: str
    inputs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One executable to be: `sbcl` is a version, perhaps with features."""

    program: Program
    target: str
    sbcl: str
    output: str

    @property
    def toolchain(self) -> str:
        """The step that it waits for."""
        return f"toolchain {self.sbcl} {self.target}"

    @property
    def label(self) -> str:
        return f"{self.program.name} {self.target} {self.sbcl}"


@dataclass(frozen=True)
class Matrix:
    """Cells in the order of the table; `toolchains` are the (SBCL, target) that they need, each once."""

    cells: tuple[Cell, ...]

    @property
    def toolchains(self) -> tuple[tuple[str, str], ...]:
        return tuple(dict.fromkeys((cell.sbcl, cell.target) for cell in self.cells))


def parse_matrix(table: Mapping[str, Any], file: str) -> Matrix:
    """The matrix that a table says: `programs` (strings, or tables with input, name, options), `targets`, `sbcl`, and
    `exclude` (tables with program, target, sbcl). Raises BadMatrix with every fault."""
    faults = _strange(table, _KEYS, "")
    programs = [_program(row, faults) for row in _list(table, "programs", faults) or [""]]
    targets = [_target(name, faults) for name in _list(table, "targets", faults) or [None]]
    versions = [_version(str(spec), faults) for spec in _list(table, "sbcl", faults) or [DEFAULT]]
    excluded = [_excluded(row, faults) for row in _list(table, "exclude", faults)]
    names = [program.name for program in programs]
    faults += [f"two programs are called {name}" for name in sorted({name for name in names if names.count(name) > 1})]
    if faults:
        raise BadMatrix(file=file, reason="; ".join(faults))
    several = len(versions) > 1
    cells = [
        Cell(program, target, sbcl, _output(program.name, target, sbcl if several else None))
        for program in programs
        for target in dict.fromkeys(targets)
        for sbcl in dict.fromkeys(versions)
        if not any(_matches(row, program.name, target, sbcl) for row in excluded)
    ]
    if not cells:
        raise BadMatrix(file=file, reason="nothing is left to build: everything is excluded")
    return Matrix(tuple(cells))


def _output(name: str, target: str, sbcl: str | None) -> str:
    """NAME-TARGET, and behind it -sbcl2.5.2 where there are several."""
    return f"{name}-{target}" + (f"-sbcl{sbcl.replace(' ', '')}" if sbcl else "")


def _list(table: Mapping[str, Any], key: str, faults: list[str]) -> Sequence[Any]:
    value = table.get(key, [])
    if isinstance(value, list):
        return value
    faults.append(f"{key} must be a list")
    return []


def _strange(table: Mapping[str, Any], known: Sequence[str], label: str) -> list[str]:
    found = []
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            found.append(f"unknown key {label}{key}" + (f" (did you mean {near[0]}?)" if near else ""))
    return found


def _program(row: Any, faults: list[str]) -> Program:
    if isinstance(row, str):
        row = {"input": row}
    if not isinstance(row, dict):
        faults.append(f"programs: {row!r} is neither a string nor a table")
        return Program("")
    faults += _strange(row, _PROGRAM_KEYS, "programs.")
    given, options = row.get("input", ""), row.get("options", [])
    inputs = tuple(given.split()) if isinstance(given, str) else ()
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        faults.append("programs: options must be a list of strings")
        options = []
    stem = (inputs[0].rpartition("/")[2] if inputs else "program").removesuffix(".lisp").removesuffix(".asd")
    return Program(str(row.get("name", stem)), inputs, tuple(options))


def _target(name: Any, faults: list[str]) -> str:
    """The triple of a target; of this machine's without a name."""
    try:
        return find_target(None if name is None else str(name)).triple
    except MonolispError as error:
        faults.append(f"{error.what_text} ({error.todo_text})")
        return str(name)


def _version(spec: str, faults: list[str]) -> str:
    try:
        version_text(spec)
    except MonolispError as error:
        faults.append(f"{error.what_text} ({error.todo_text})")
    return normal(spec)


def _excluded(row: Any, faults: list[str]) -> dict[str, str]:
    if not isinstance(row, dict) or not row:
        faults.append("exclude: each must be a table with program, target or sbcl")
        return {"program": ""}
    faults += _strange(row, _EXCLUDE_KEYS, "exclude.")
    found = {key: str(value) for key, value in row.items() if key in _EXCLUDE_KEYS}
    if "target" in found:
        found["target"] = _target(found["target"], faults)
    return found


def _matches(row: Mapping[str, str], program: str, target: str, sbcl: str) -> bool:
    facts = {"program": program, "target": target, "sbcl": sbcl}
    return all(facts[key] == (normal(value) if key == "sbcl" else value) for key, value in row.items())
