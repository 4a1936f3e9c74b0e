"""Building a program once more under other conditions, to see whether the bytes are the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from monolisp.build import build, plan_build
from monolisp.compare import Difference, differences, shape_for
from monolisp.project import Project
from monolisp.provenance.note import inspect
from monolisp.store import Store, sha256_file, tree_size
from monolisp.target import Target
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import ensure_toolchain, find_toolchain
from monolisp.toolchain.version import DEFAULT

# Larger directories are not copied.
_LARGEST = 500_000_000
_OTHER = {"USER": "somebody", "LOGNAME": "somebody", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "LANG": "C"}
# More on the stack, so that everything there has other addresses.
_PADDING = {f"MONOLISP_PADDING_{number}": "x" * 500 for number in range(20)}


def second_build(project: Project, target: Target, machine: Machine, first: Path) -> tuple[list[str], list[Difference]]:
    """What was changed for a second build of `project`, and where its executable differs from `first`. Raises as build
    does."""
    with machine.store.workspace() as folder, _elsewhere(project, folder) as (moved, changed):
        output = folder / "executable"
        env = {**machine.environ, **_OTHER, **_PADDING, "TMPDIR": str(folder)}
        again = replace(machine, store=_cold(machine.store, folder), environ=env)
        plan = plan_build(replace(moved, output=output, suffix=""), target, again, always=True)
        # A copy of a checkout has no git revision of its own.
        build(plan, again, again=inspect(first).provenance)
        if sha256_file(output) == sha256_file(first):
            return changed, []
        toolchain = ensure_toolchain(find_toolchain(project.sbcl or DEFAULT, target, machine.store)[0], machine)
        found = differences(first, output, shape_for(toolchain, machine))
        return changed, found or [Difference("the file", "one content", "another, outside of sections and objects")]


def _cold(store: Store, folder: Path) -> Store:
    """A store that has toolchains and libraries, as those take long, and nothing of what was compiled in Lisp."""
    return replace(store, root=folder / "cold", shared=(store.root, *store.shared), tier=None).prepare()


@contextmanager
def _elsewhere(project: Project, folder: Path) -> Iterator[tuple[Project, list[str]]]:
    """The project in a copy of its directory, unless that is large, and what is not as it was."""
    changed = ["user", "time", "time zone", "locale", "environment", "address layout", "compiled files"]
    place = project.directory
    if tree_size(place) > _LARGEST:
        yield project, changed
        return
    copy = folder / "another-directory-with-a-longer-name" / place.name
    shutil.copytree(place, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    yield (
        Project(**{item.name: _moved(getattr(project, item.name), place, copy) for item in fields(Project)}),
        [
            "directory",
            *changed,
        ],
    )


def _moved(value: Any, place: Path, copy: Path) -> Any:
    """`value` with every path below `place` below `copy`."""
    if isinstance(value, tuple):
        return tuple(_moved(item, place, copy) for item in value)
    if isinstance(value, Path) and value.is_relative_to(place):
        return copy / value.relative_to(place)
    if isinstance(value, str) and value.startswith(f"{place}/"):
        return str(copy) + value[len(str(place)) :]
    return value
