"""monolisp verify, linkage, doctor, completion: commands that look and change nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from monolisp.cli import given
from monolisp.errors import Exit
from monolisp.options import parser


def run_verify(options: argparse.Namespace) -> int:
    from monolisp.elf import verify
    from monolisp.elf.report import as_json, as_table
    from monolisp.errors import BadElf, NoSuchFile, Unreadable
    from monolisp.target import find_target

    target = find_target(options.target) if options.target else None
    verdicts, unreadable = [], []
    for name in options.files:
        try:
            verdicts.append(verify(Path(name), target, run=not options.no_run, programs=os.environ.get("PATH", "")))
        except (BadElf, NoSuchFile, Unreadable) as error:
            unreadable.append((name, error))
    if options.json:
        print(json.dumps(as_json(verdicts, unreadable), indent=1))
    elif verdicts:
        print("\n".join(as_table(verdict) for verdict in verdicts))
    for _, refusal in unreadable:
        print(refusal, file=sys.stderr)
    if unreadable:
        return int(Exit.INPUT)
    return int(Exit.OK if all(verdict.ok for verdict in verdicts) else Exit.VERDICT)


def run_linkage(options: argparse.Namespace) -> int:
    from monolisp.link.listing import as_json, as_table, listing

    rows = listing(Path(options.file))
    print(json.dumps(as_json(rows), indent=1) if options.json else as_table(rows))
    return int(Exit.OK)


def run_doctor(options: argparse.Namespace) -> int:
    from monolisp.toolchain.doctor import examine, render

    diagnosis = examine(given.store(), dict(os.environ))
    print(json.dumps(diagnosis.as_json(), indent=1) if options.json else render(diagnosis))
    return int(Exit.OK if diagnosis.ok else Exit.TOOL)


def run_completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(parser(), shell=options.shell))
    return int(Exit.OK)


def run_asdf(options: argparse.Namespace) -> int:
    del options
    print(f"{Path(__file__).parents[1] / 'asdf'}/")
    return int(Exit.OK)
