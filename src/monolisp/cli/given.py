"""What the commands are given: the store, the machine, what the user says, a place to show progress."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monolisp.progress import Progress
    from monolisp.project import Settings
    from monolisp.store import Store
    from monolisp.toolchain.machine import Machine


def store() -> Store:
    from monolisp.store import Store

    named = os.environ.get("MONOLISP_STORE")
    if named:
        # os.path's leaves ~nobody as it is, pathlib's raises RuntimeError.
        return Store(Path(os.path.expanduser(named)).absolute()).prepare()  # noqa: PTH111
    from platformdirs import user_cache_path

    return Store(user_cache_path("monolisp")).prepare()


def progress() -> Progress:
    from monolisp.terminal import Bar, PlainLines

    return Bar() if sys.stderr.isatty() else PlainLines(sys.stderr)


def machine(options: argparse.Namespace, progress: Progress) -> Machine:
    from monolisp.process import run
    from monolisp.toolchain.machine import Machine

    source_dir = Path(options.source_dir).absolute() if options.source_dir else None
    return Machine(store(), run, progress, dict(os.environ), options.offline, source_dir, options.verbose)


def settings(options: argparse.Namespace) -> Settings:
    """The project file's settings under what the command line says."""
    from dataclasses import fields, replace

    from monolisp.project import FILE, Settings, merged, read_settings, version_file

    told: dict[str, Any] = {field.name: getattr(options, field.name, None) for field in fields(Settings)}
    lists: dict[str, Any] = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    said = Settings(**{**told, **lists})
    found = merged(said, read_settings(Path(FILE)) if Path(FILE).is_file() else Settings())
    return found if found.sbcl else replace(found, sbcl=version_file(Path.cwd()))
