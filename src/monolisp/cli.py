"""The monolisp command: the only place that prints, exits, and reads the command line and the environment."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from monolisp.errors import Exit, MonolispError
from monolisp.options import parser

if TYPE_CHECKING:
    from monolisp.build import Plan, Result
    from monolisp.libraries.recipe import Cookbook
    from monolisp.progress import Progress
    from monolisp.project import Settings
    from monolisp.store import Store
    from monolisp.toolchain.machine import Machine

Command = Callable[[argparse.Namespace], int]


def command_line() -> NoReturn:
    """The installed command: run, then leave without taking the interpreter apart, which would take longer than a build
    with nothing to do."""
    _open_closed_streams()
    code = main()
    sys.stderr.flush()
    os._exit(code)


def _open_closed_streams() -> None:
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
    options = parser().parse_args(argv)
    command: Command = globals()[options.run]
    try:
        return _guarded(command, options)
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
            print(json.dumps(_error_json(error)), flush=True)
        return int(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; nothing half-made was kept", file=sys.stderr)
        return int(Exit.INTERRUPTED)
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


def _error_json(error: MonolispError) -> dict[str, object]:
    said = {"what": error.what_text, "why": error.why_text, "try": error.todo_text}
    return {"schema": "monolisp-error-1", "error": error.name, "exit_code": int(error.exit_code), **said}


# --- what the commands need ----------------------------------------------------------------------------------------


def _store() -> Store:
    from monolisp.store import Store

    named = os.environ.get("MONOLISP_STORE")
    if named:
        # os.path's leaves ~nobody as it is, pathlib's raises RuntimeError.
        return Store(Path(os.path.expanduser(named)).absolute()).prepare()  # noqa: PTH111
    from platformdirs import user_cache_path

    return Store(user_cache_path("monolisp")).prepare()


def _progress() -> Progress:
    from monolisp.terminal import Bar, PlainLines

    return Bar() if sys.stderr.isatty() else PlainLines(sys.stderr)


def _machine(options: argparse.Namespace, progress: Progress) -> Machine:
    from monolisp.process import run
    from monolisp.toolchain.machine import Machine

    source_dir = Path(options.source_dir).absolute() if options.source_dir else None
    return Machine(_store(), run, progress, dict(os.environ), options.offline, source_dir, options.verbose)


def _settings(options: argparse.Namespace) -> Settings:
    """The project file's settings under what the command line says."""
    from dataclasses import fields

    from monolisp.project import FILE, Settings, merged, read_settings

    told: dict[str, Any] = {field.name: getattr(options, field.name, None) for field in fields(Settings)}
    lists: dict[str, Any] = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    said = Settings(**{**told, **lists})
    return merged(said, read_settings(Path(FILE)) if Path(FILE).is_file() else Settings())


# --- build ---------------------------------------------------------------------------------------------------------


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
    project = resolve_project(options.inputs, _settings(options), here, Path.home(), before)
    progress = _progress()
    machine = _machine(options, progress)
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


# --- verify, linkage -----------------------------------------------------------------------------------------------


def run_verify(options: argparse.Namespace) -> int:
    from monolisp.elf import verify
    from monolisp.elf.report import as_json, as_table
    from monolisp.errors import BadElf, NoSuchFile, Unreadable
    from monolisp.target import find_target

    target = find_target(options.target) if options.target else None
    verdicts, unreadable = [], []
    for name in options.files:
        try:
            verdicts.append(verify(Path(name), target, run=not options.no_run))
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


# --- toolchain --------------------------------------------------------------------------------------------------


def run_toolchain_list(options: argparse.Namespace) -> int:
    from monolisp.toolchain.toolchain import listed

    rows = listed(_store())
    if options.json:
        print(json.dumps({"schema": "monolisp-toolchains-1", "toolchains": rows}, indent=1))
    for row in [] if options.json else rows:
        size = f"{int(row['size']) / 1e6:.0f} MB"
        print("  ".join([str(row["digest"]), f"SBCL {row['version']}", str(row["target"]), str(row["libc"]), size]))
    return int(Exit.OK)


def run_toolchain_build(options: argparse.Namespace) -> int:
    from monolisp.target import find_target
    from monolisp.toolchain.toolchain import ensure_toolchain, find_toolchain
    from monolisp.toolchain.version import DEFAULT

    progress = _progress()
    machine = _machine(options, progress)
    wanted, _ = find_toolchain(options.sbcl or DEFAULT, find_target(options.target), machine.store)
    try:
        toolchain = ensure_toolchain(wanted, machine)
    finally:
        progress.close()
    print(toolchain.path)
    return int(Exit.OK)


def run_toolchain_path(options: argparse.Namespace) -> int:
    from monolisp.errors import NoToolchain
    from monolisp.target import find_target
    from monolisp.toolchain.toolchain import find_toolchain
    from monolisp.toolchain.version import DEFAULT

    toolchain, there = find_toolchain(options.sbcl or DEFAULT, find_target(options.target), _store())
    if not there:
        raise NoToolchain(version=toolchain.version, target=toolchain.target.triple)
    print(toolchain.path)
    return int(Exit.OK)


def run_toolchain_prune(options: argparse.Namespace) -> int:
    from monolisp.toolchain.toolchain import prune

    for entry in prune(_store(), options.all):
        print(f"removed {entry.kind} {entry.digest}: {entry.size / 1e6:.0f} MB")
    return int(Exit.OK)


# --- library -------------------------------------------------------------------------------------------------------


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

    found = rows(_cookbook(options), find_target(options.target), _store())
    print(json.dumps(as_json(found), indent=1) if options.json else as_table(found))
    return int(Exit.OK)


def run_library_show(options: argparse.Namespace) -> int:
    from monolisp.libraries.listing import as_json, as_text, rows
    from monolisp.target import find_target

    book = _cookbook(options)
    found = rows(book, find_target(options.target), _store(), [book.find(name).name for name in options.names])
    print(json.dumps(as_json(found), indent=1) if options.json else "\n\n".join(map(as_text, found)))
    return int(Exit.OK)


def run_library_build(options: argparse.Namespace) -> int:
    from monolisp.libraries.ensure import ensure_libraries
    from monolisp.target import find_target

    progress = _progress()
    machine = _machine(options, progress)
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

    progress = _progress()
    try:
        print(skeleton(options.source, _machine(options, progress)))
    finally:
        progress.close()
    return int(Exit.OK)


# --- doctor, completion --------------------------------------------------------------------------------------------


def run_doctor(options: argparse.Namespace) -> int:
    from monolisp.toolchain.doctor import examine, render

    diagnosis = examine(_store(), dict(os.environ))
    print(json.dumps(diagnosis.as_json(), indent=1) if options.json else render(diagnosis))
    return int(Exit.OK if diagnosis.ok else Exit.TOOL)


def run_completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(parser(), shell=options.shell))
    return int(Exit.OK)
