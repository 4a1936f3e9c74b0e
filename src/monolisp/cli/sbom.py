"""monolisp sbom and monolisp licenses: what is in an executable, for machines and for those who ship it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from monolisp.cli import given
from monolisp.errors import Exit


def run_sbom(options: argparse.Namespace) -> int:
    from monolisp.sbom.make import Format, sbom_of

    path = Path(options.file)
    _write(sbom_of(path, Format(options.format)), options.output, path)
    return int(Exit.OK)


def run_licenses(options: argparse.Namespace) -> int:
    from monolisp.errors import LicenceTextsMissing
    from monolisp.project import usual_trees
    from monolisp.sbom.make import extra

    path = Path(options.file)
    directories = tuple(Path(name).absolute() for name in options.source_dirs or ())
    progress = given.progress()
    try:
        machine = given.machine(options, progress)
        usual = usual_trees(os.environ, Path.cwd())
        notices = extra("notices").notices_of(path, machine, directories, usual)
    finally:
        progress.close()
    _write(notices.text.encode(), options.output, path)
    if notices.missing and not options.allow_missing:
        refusal = LicenceTextsMissing(file=path, count=len(notices.missing), missing="; ".join(notices.missing))
        print(refusal, file=sys.stderr)
        return int(refusal.exit_code)
    return int(Exit.OK)


def _write(content: bytes, output: str | None, source: Path) -> None:
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    from monolisp.publish import write_beside

    write_beside(content, Path(output).absolute(), "sbom", source)
