"""monolisp build."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import Exit

if TYPE_CHECKING:
    from monolisp.build import Plan, Result


def run_build(options: argparse.Namespace) -> int:
    from monolisp.build import build, plan_build
    from monolisp.errors import NoDirectory
    from monolisp.project import resolve_project
    from monolisp.target import find_target

    target = find_target(options.target)
    before = tuple(options.before or ())
    try:
        here = Path.cwd()
    except OSError as error:
        raise NoDirectory(reason=error.strerror or error) from error
    project = resolve_project(options.inputs, given.settings(options), here, Path.home(), before)
    progress = given.progress()
    machine = given.machine(options, progress)
    plan = plan_build(project, target, machine, options.always)
    if options.dry_run or options.explain:
        _print_plan(plan)
    if options.dry_run:
        return int(Exit.OK)
    try:
        result = build(plan, machine, options.update)
    finally:
        progress.close()
    _print_result(result, options.json)
    return int(Exit.OK)


def _print_plan(plan: Plan) -> None:
    print(f"{plan.output}: {'up to date' if not plan.steps else 'will be built'}", file=sys.stderr)
    for step in plan.steps:
        print(f"  {step.name:<10} {step.seconds:6.1f} s  {step.why}", file=sys.stderr)


def _print_result(result: Result, as_json: bool) -> None:
    from dataclasses import asdict

    from monolisp.store import sha256_file

    if result.undefined:
        named = ", ".join(result.undefined[:8]) + (" …" if len(result.undefined) > 8 else "")
        print(f"note: nothing defines {named}; calling it is a Lisp error", file=sys.stderr)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if as_json:
        fields = {**asdict(result), "output": str(result.output), "warnings": list(result.warnings)}
        fields["sha256"] = sha256_file(result.output)
        print(json.dumps({"schema": "monolisp-build-1", **fields}))
    elif result.fresh:
        print(f"{_shown(result.output)}: {result.size / 1e6:.1f} MB, truly static")
        if result.libraries:
            print("linked: " + ", ".join(map(_linked, result.libraries.items())))
    else:
        print(f"{_shown(result.output)}: up to date")


def _linked(library: tuple[str, list[str]]) -> str:
    """A library and what the program calls it; not the paths of what was compiled along with the program."""
    label, names = library
    plain = [name for name in names if not name.startswith("/") and name != label]
    return f"{label} ({', '.join(plain)})" if plain else label


def _shown(path: Path) -> Path:
    """A path as a person in this directory would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
