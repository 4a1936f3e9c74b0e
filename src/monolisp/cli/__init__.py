"""The monolisp command: the only place that prints, exits, and reads the command line and the environment."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from monolisp.errors import Exit, MonolispError
from monolisp.options import parser, split

Command = Callable[[argparse.Namespace], int]


def command_line() -> NoReturn:
    """The installed command: run, then leave without taking the interpreter apart, which would take longer than a build
    with nothing to do."""
    open_closed_streams()
    code = main()
    sys.stderr.flush()
    os._exit(code)


def open_closed_streams() -> None:
    """Whoever starts us may have closed standard streams: then files that we open would take their numbers."""
    for number in (0, 1, 2):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (docs/errors.md)."""
    try:
        ours, rest = split(sys.argv[1:] if argv is None else argv)
        options = parser().parse_args(ours)
        if rest:
            options.arguments = rest
        module, _, name = options.run.partition(".")
        command: Command = getattr(import_module(f"monolisp.cli.{module}"), name)
        return _guarded(command, options)
    except KeyboardInterrupt:
        print("interrupted; nothing half-made was kept", file=sys.stderr)
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output is gone, and what is still buffered with it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.OK)


def _guarded(command: Command, options: argparse.Namespace) -> int:
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except MonolispError as error:
        print(error, file=sys.stderr)
        if getattr(options, "json", False):
            print(json.dumps(error_json(error)), flush=True)
        return int(error.exit_code)
    except BrokenPipeError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            print("error: no space left for what goes to standard output, or to a file of ours", file=sys.stderr)
            return int(Exit.OUTPUT)
        import traceback

        traceback.print_exc()
        print("error: this is a bug in monolisp; please report it with the lines above", file=sys.stderr)
        return int(Exit.BUG)


def error_json(error: MonolispError) -> dict[str, object]:
    said = {"what": error.what_text, "why": error.why_text, "try": error.todo_text}
    return {"schema": "monolisp-error-1", "error": error.name, "exit_code": int(error.exit_code), **said}
