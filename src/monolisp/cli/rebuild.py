"""monolisp rebuild and monolisp bundle."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import BadOption, Exit, RebuildDiffers

if TYPE_CHECKING:
    from monolisp.archive.rebuild import Original, Outcome, Search

_SHOWN = 20


def run_rebuild(options: argparse.Namespace) -> int:
    from monolisp.archive.rebuild import original_of, rebuild

    if options.file is None and options.bundle is None:
        reason = "name the executable, or a bundle that has one"
        raise BadOption(option="FILE", value="(nothing)", reason=reason, command="rebuild")
    progress = given.progress()
    machine = given.machine(options, progress)
    output = Path(options.output).absolute() if options.output else None
    try:
        original = original_of(Path(options.file))
        outcome = rebuild(original, _search(options), machine, given.tell, output, options.keep)
    finally:
        progress.close()
    return _told(original, outcome, options)


def _search(options: argparse.Namespace) -> Search:
    """Where the user's sources are: --source-dir, the directory one is in, and where Lisp systems usually are."""
    from monolisp.archive.places import Places
    from monolisp.archive.rebuild import Search
    from monolisp.archive.systems import usual_trees

    here = Path.cwd()
    folders = tuple(Path(folder).absolute() for folder in options.source_dirs or ())
    return Search(Places(folders, here), tuple(usual_trees(os.environ, here)))


def _told(original: Original, outcome: Outcome, options: argparse.Namespace) -> int:
    name = options.file or original.record.program.name
    differing = [{"what": one.what, "before": one.before, "after": one.after} for one in outcome.differences]
    if options.json:
        told = {"identical": outcome.identical, "sha256": outcome.sha256, "expected": original.sha256}
        kept = str(outcome.kept) if outcome.kept else None
        print(json.dumps({"schema": "monolisp-rebuild-1", **told, "differences": differing, "kept": kept}, indent=1))
    elif outcome.identical:
        print(f"{name}: identical, sha256 {outcome.sha256}")
    if outcome.kept and not options.json:
        print(f"built in {outcome.kept}")
    if outcome.identical:
        return int(Exit.OK)
    lines = [str(one) for one in outcome.differences[:_SHOWN]]
    if len(outcome.differences) > _SHOWN:
        lines.append(f"and {len(outcome.differences) - _SHOWN} more (--json)")
    refusal = RebuildDiffers(file=name, reason="\n       ".join(lines))
    print(refusal, file=sys.stderr)
    return int(refusal.exit_code)
