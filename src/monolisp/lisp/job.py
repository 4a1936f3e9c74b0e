"""The job that the Lisp side is given: a property list, written as Lisp reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from monolisp.project import Project


@dataclass(frozen=True)
class Symbol:
    """A Lisp symbol or keyword, written without quotes."""

    name: str


class Pass(Enum):
    """What a Lisp process does about files that have to be compiled: it ends before the first; it compiles them, and
    ends without saving; or it compiles them, if any are left, and saves."""

    LOOK = "look"
    COMPILE = "compile"
    SAVE = "save"


Sexp = str | int | bool | Symbol | Path | None | Sequence["Sexp"]


def sexp(value: Sexp) -> str:
    """`value` in Lisp syntax: text and paths as strings, True as T, None and False as NIL, sequences as lists."""
    if value is None or value is False:
        return "NIL"
    if value is True:
        return "T"
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str | Path):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "(" + " ".join(map(sexp, value)) + ")"


def job_text(
    project: Project,
    code: Path | None,
    embedded: Sequence[tuple[str, Path]],
    turn: Pass = Pass.SAVE,
    wait: int | None = None,
) -> str:
    """The job for `project`: save its core, behind a copy of the file `code` if there is one, with the files `embedded`
    (name, path) inside, unless `turn` ends before; wait for a byte on the descriptor `wait` before loading it."""
    fields: dict[str, Sexp] = {
        "files": list(project.files),
        "system": project.system,
        "entry": project.entry,
        "features": [feature.upper().lstrip(":") for feature in project.features],
        "before": [[Symbol(":" + kind), text] for kind, text in project.before],
        "debugger": project.debugger,
        "code": code,
        "pass": Symbol(f":{turn.value}"),
        "wait": wait,
    }
    pairs = " ".join(f"{sexp(name)} . {sexp(path)}".join("()") for name, path in embedded)
    text = " ".join(f":{name} {sexp(value)}" for name, value in fields.items())
    return f"({text} :embed ({pairs}))\n"


def source_registry(trees: Sequence[Path], inherited: str) -> str:
    """CL_SOURCE_REGISTRY for the Lisp side: `trees` first, then what the user's own variable (`inherited`) says.

    Source: ASDF manual, "Shell-friendly syntax for configuration".
    """
    own: list[Sexp] = [[Symbol(":tree"), f"{tree}/"] for tree in trees]
    form = re.fullmatch(r"\s*\(\s*:source-registry\b(.*)\)\s*", inherited, re.IGNORECASE | re.DOTALL)
    if form:
        return f"(:source-registry {' '.join(map(sexp, own))} {form[1]})"
    entries = inherited.split(":")
    for entry in filter(None, entries):
        tree = entry.endswith("//")
        own.append([Symbol(":tree" if tree else ":directory"), entry.rstrip("/") + "/"])
    # An empty element stands for the other places; a path without one excludes them.
    own.append(Symbol(":inherit-configuration" if "" in entries else ":ignore-inherited-configuration"))
    return f"(:source-registry {' '.join(map(sexp, own))})"


def output_translations(fasls: Path) -> str:
    """ASDF_OUTPUT_TRANSLATIONS: every compiled file goes below `fasls`."""
    return f"(:output-translations (t {sexp(f'{fasls}/')}) :ignore-inherited-configuration)"
