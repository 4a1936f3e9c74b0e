"""monolisp library."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import Exit

if TYPE_CHECKING:
    from monolisp.libraries.recipe import Cookbook


def _cookbook(options: argparse.Namespace) -> Cookbook:
    from monolisp.errors import NoSuchFile
    from monolisp.libraries.recipe import FOLDER, Cookbook

    extra = [Path(entry).absolute() for entry in options.recipes or ()]
    for entry in extra:
        if not entry.is_dir():
            raise NoSuchFile(file=entry, reason="--recipes names a directory")
    return Cookbook((FOLDER, *extra))


def run_library_list(options: argparse.Namespace) -> int:
    from monolisp.libraries.listing import as_json, as_table, rows
    from monolisp.target import find_target

    found = rows(_cookbook(options), find_target(options.target), given.store())
    print(json.dumps(as_json(found), indent=1) if options.json else as_table(found))
    return int(Exit.OK)


def run_library_show(options: argparse.Namespace) -> int:
    from monolisp.libraries.listing import as_json, as_text, rows
    from monolisp.target import find_target

    book = _cookbook(options)
    found = rows(book, find_target(options.target), given.store(), [book.find(name).name for name in options.names])
    print(json.dumps(as_json(found), indent=1) if options.json else "\n\n".join(map(as_text, found)))
    return int(Exit.OK)


def run_library_build(options: argparse.Namespace) -> int:
    from monolisp.libraries.ensure import ensure_libraries
    from monolisp.target import find_target

    progress = given.progress()
    machine = given.machine(options, progress)
    try:
        libraries = ensure_libraries(options.names, _cookbook(options), find_target(options.target), machine)
    finally:
        progress.close()
    if options.json:
        built = [{"name": one.name, "version": one.version, "path": str(one.path)} for one in libraries]
        print(json.dumps({"schema": "monolisp-libraries-built-1", "libraries": built}, indent=1))
    for library in [] if options.json else libraries:
        print(f"{library}: {library.path}")
    return int(Exit.OK)


def run_library_new(options: argparse.Namespace) -> int:
    from monolisp.libraries.skeleton import skeleton

    progress = given.progress()
    try:
        print(skeleton(options.source, given.machine(options, progress)))
    finally:
        progress.close()
    return int(Exit.OK)
