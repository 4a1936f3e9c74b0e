"""monolisp rebuild and monolisp bundle."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import BadOption, Exit, RebuildDiffers

if TYPE_CHECKING:
    from monolisp.archive.rebuild import Original, Outcome, Search
    from monolisp.toolchain.machine import Machine

_SHOWN = 20


def run_rebuild(options: argparse.Namespace) -> int:
    from monolisp.archive.rebuild import keep_directory, rebuild

    if options.file is None and options.bundle is None:
        reason = "name the executable, or a bundle that has one"
        raise BadOption(option="FILE", value="(nothing)", reason=reason, command="rebuild")
    if options.from_source and options.bundle is None:
        reason = "without --bundle SBCL comes from the store, or is built"
        raise BadOption(option="--from-source", value="by itself", reason=reason, command="rebuild")
    options.offline = options.offline or options.bundle is not None
    progress = given.progress()
    machine = given.machine(options, progress)
    output = Path(options.output).absolute() if options.output else None
    kept = None
    try:
        with machine.store.workspace() as root:
            original, search, machine = _given(options, machine, root)
            outcome = rebuild(original, search, machine, root, given.tell, output)
            if options.keep:
                kept = keep_directory(root, f"{original.record.program.name}-{outcome.sha256[:12]}", machine)
    finally:
        progress.close()
    return _told(original, outcome, kept, options)


def _given(options: argparse.Namespace, machine: Machine, root: Path) -> tuple[Original, Search, Machine]:
    """What is built again, where its sources are, and what does it."""
    from monolisp.archive.opening import open_bundle
    from monolisp.archive.rebuild import original_of

    named = original_of(Path(options.file)) if options.file else None
    if options.bundle is None:
        assert named is not None
        return named, _search(options), machine
    opened = open_bundle(Path(options.bundle), root / "bundle")
    return named or opened.original, opened.search, opened.machine(machine, options.from_source)


def run_bundle(options: argparse.Namespace) -> int:
    from monolisp.archive.bundle import bundle
    from monolisp.archive.rebuild import original_of

    progress = given.progress()
    machine = given.machine(options, progress)
    recipes = [name for entry in options.libraries or () for name in entry.split(",") if name]
    output = Path(options.output).absolute()
    try:
        original = original_of(Path(options.file))
        told = bundle(original, _search(options), machine, output, given.tell, recipes, not options.without_executable)
    finally:
        progress.close()
    print(f"{options.output}: {told.size / 1e6:.1f} MB")
    print("of " + ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in told.parts.items()))
    for one in told.missing:
        print(f"not in it: {one}")
    return int(Exit.OK)


def _search(options: argparse.Namespace) -> Search:
    """Where the user's sources are: --source-dir, the directory one is in, and where Lisp systems usually are."""
    from monolisp.archive.places import Places
    from monolisp.archive.rebuild import Search
    from monolisp.project import usual_trees

    here = Path.cwd()
    folders = tuple(Path(folder).absolute() for folder in options.source_dirs or ())
    return Search(Places(folders, here), tuple(usual_trees(os.environ, here)))


def _told(original: Original, outcome: Outcome, kept: Path | None, options: argparse.Namespace) -> int:
    name = options.file or original.record.program.name
    differing = [asdict(one) for one in outcome.differences]
    if options.json:
        told = {"identical": outcome.identical, "sha256": outcome.sha256, "expected": original.sha256}
        told |= {"differences": differing, "kept": str(kept) if kept else None}
        print(json.dumps({"schema": "monolisp-rebuild-1", **told}, indent=1))
    elif outcome.identical:
        print(f"{name}: identical, sha256 {outcome.sha256}")
    if kept and not options.json:
        print(f"built in {kept}")
    if outcome.identical:
        return int(Exit.OK)
    lines = [str(one) for one in outcome.differences[:_SHOWN]]
    if len(outcome.differences) > _SHOWN:
        lines.append(f"and {len(outcome.differences) - _SHOWN} more (--json)")
    refusal = RebuildDiffers(file=name, reason="\n       ".join(lines))
    print(refusal, file=sys.stderr)
    return int(refusal.exit_code)
