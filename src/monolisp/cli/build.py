"""monolisp build."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import Exit

if TYPE_CHECKING:
    from monolisp.build import Plan, Result
    from monolisp.project import Project
    from monolisp.target import Target
    from monolisp.toolchain.machine import Machine


def run_build(options: argparse.Namespace) -> int:
    from monolisp.errors import NoDirectory
    from monolisp.project import resolve_project
    from monolisp.target import find_targets

    before = tuple(options.before or ())
    try:
        here = Path.cwd()
    except OSError as error:
        raise NoDirectory(reason=error.strerror or error) from error
    settings = given.settings(options)
    targets = find_targets(settings.targets or ())
    project = resolve_project(options.inputs, settings, here, Path.home(), before)
    progress = given.progress()
    machine = given.machine(options, progress)
    made = []
    try:
        for target in targets:
            suffix = f"-{target.triple}" if len(targets) > 1 else ""
            made.append((_build_one(replace(project, suffix=suffix), target, machine, options), target))
    finally:
        progress.close()
    if not options.dry_run:
        _write_companions(made, project.default_name, here, options)
    return int(Exit.OK)


def _write_companions(made: Sequence[tuple[Path, Target]], name: str, here: Path, options: argparse.Namespace) -> None:
    """What else is to be written beside the executables, up to date or not; checksums of all come last."""
    written = [path for path, _ in made]
    if options.sboms:
        written += _write_sboms([path for path, _ in made], options)
    if options.oci:
        _write_image(made, name, here / options.oci, options)
        written.append(here / options.oci)
    if options.attest:
        from monolisp.provenance.statement import statement_about, write_statement

        written += [write_statement(path, statement_about(path)) for path, _ in made]
    if options.checksum:
        from monolisp.trust.checksums import write_checksums

        write_checksums(written)


def _write_sboms(made: Sequence[Path], options: argparse.Namespace) -> list[Path]:
    from monolisp.sbom.make import Format, write_sbom

    written = [write_sbom(path, Format(form)) for path in made for form in dict.fromkeys(options.sboms)]
    if not options.json:
        for output in written:
            print(_shown(output))
    return written


def _write_image(made: Sequence[tuple[Path, Target]], name: str, output: Path, options: argparse.Namespace) -> None:
    """One image for all that was built, under the program's name."""
    from monolisp.lisp.session import epoch_of
    from monolisp.oci import Extras, images_of, write_archive

    extras = Extras(options.oci_ca, options.oci_tz, options.oci_tmp, options.oci_user)
    digest = write_archive(images_of(made, name, extras), output, epoch_of(os.environ), f"{name}:latest")
    if not options.json:
        print(f"{_shown(output)}: {digest}")


def _build_one(project: Project, target: Target, machine: Machine, options: argparse.Namespace) -> Path:
    """Returns where the executable is, or is to be."""
    from monolisp.build import build, plan_build

    plan = plan_build(project, target, machine, options.always)
    if options.dry_run or options.explain:
        _print_plan(plan)
    if options.dry_run:
        return plan.output
    result = build(plan, machine, options.update)
    _print_result(result, options.json)
    if options.check_reproducible:
        _check_reproducible(project, target, machine, result.output)
    return result.output


def _check_reproducible(project: Project, target: Target, machine: Machine, built: Path) -> None:
    """Raises NotReproducible."""
    from monolisp.errors import NotReproducible
    from monolisp.reproduce import second_build
    from monolisp.store import sha256_file

    changed, found = second_build(project, target, machine, built)
    if found:
        raise NotReproducible(file=_shown(built), changed=", ".join(changed), places="\n  ".join(map(str, found)))
    told = f"{_shown(built)}: the same bytes with another {', '.join(changed)}; sha256 {sha256_file(built)}"
    print(told, file=sys.stderr, flush=True)


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
