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

from monolisp import __version__
from monolisp.errors import Exit, MonolispError

if TYPE_CHECKING:
    from monolisp.build import Plan, Result
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
    command: Command = options.run
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
            print(json.dumps(_error_json(error)))
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


# --- the command line ----------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    description = "One static Linux executable from any Common Lisp program."
    top = argparse.ArgumentParser(prog="monolisp", description=description)
    top.add_argument("--version", action="version", version=f"monolisp {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _build_parser(commands.add_parser("build", help="build an executable", description=_BUILD, formatter_class=_Raw))
    _verify_parser(commands.add_parser("verify", help="check that files are truly static"))
    _linkage_parser(commands.add_parser("linkage", help="list the foreign names of an executable or core"))
    _toolchain_parser(commands.add_parser("toolchain", help="list, build, find or remove toolchains"))
    doctor = commands.add_parser("doctor", help="say what this machine lacks and what installs it")
    doctor.add_argument("--json", action="store_true", help="machine-readable")
    doctor.set_defaults(run=run_doctor)
    completion = commands.add_parser("completion", help="print a completion script for a shell")
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    completion.set_defaults(run=run_completion)
    return top


_Raw = argparse.RawDescriptionHelpFormatter
_BUILD = """\
Build one static executable.

  monolisp build hello.lisp            a script: its function MAIN is the program
  monolisp build my-system             an ASDF system: its :entry-point is the program
  monolisp build                       the one system, or the monolisp.toml, of this directory

The first build on a machine makes the toolchain (minutes); it is kept. What the command line says
goes before what monolisp.toml says.

The finished program takes every argument for itself. These environment variables change how it starts:
MONOLISP_HEAP and MONOLISP_STACK (sizes such as 4GiB).
"""


def _build_parser(build: argparse.ArgumentParser) -> None:
    add = build.add_argument
    add("inputs", nargs="*", metavar="FILE|SYSTEM", help="Lisp files, or one ASDF system")
    add("-o", "--output", metavar="FILE", help="name of the executable")
    entry = "what the program does (default: MAIN, or the system's :entry-point)"
    add("--entry", metavar="[PACKAGE:]FUNCTION", help=entry)
    add("--registry", dest="registries", action="append", metavar="DIR", help="look for systems below DIR as well")
    add("--quicklisp", metavar="DIR", help="the Quicklisp directory (default: ~/quicklisp)")
    add("--feature", dest="features", action="append", metavar="NAME", help="add :NAME to *features* before loading")
    evaluated = "evaluate before loading"
    add("--eval", type=_eval_before, dest="before", action="append", metavar="FORM", help=evaluated)
    add("--load", type=_load_before, dest="before", action="append", metavar="FILE", help="load before the program")
    add("--embed", action="append", metavar="PATTERN", help="put files into the executable")
    add("--heap", metavar="SIZE", help="heap of the program (default 1GiB)")
    add("--stack", metavar="SIZE", help="control stack of each thread (default 2MiB)")
    add("--build-heap", metavar="SIZE", help="heap while building (default: the program's, at least 1GiB)")
    add("--sbcl", metavar="VERSION", help="SBCL version")
    add("--target", metavar="TARGET", help="what to build for, such as x86_64-linux-musl")
    add("--debugger", action="store_true", default=None, help="an unhandled error enters the debugger")
    _library_options(build)
    add("--always", action="store_true", help="build even when nothing changed")
    _fetch_options(build)
    add("--dry-run", action="store_true", help="print the plan and do nothing")
    add("--explain", action="store_true", help="say why each step runs")
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="show what the Lisp compiler prints")
    build.set_defaults(run=run_build)


def _library_options(build: argparse.ArgumentParser) -> None:
    add = build.add_argument
    add("--with", dest="with_", action="append", metavar="LIBRARY", help="link these foreign libraries (a,b,c)")
    add("--with-archive", action="append", metavar="FILE", help="link a static archive of your own")
    add("--soname", action=_Soname, metavar="NAME", help="what the archive before answers to, such as libfoo.so.1")
    add("--include", action="append", metavar="DIR", help="look for C headers in DIR as well")
    add("--absent", action="append", metavar="LIBRARY", help="do without a library: calling into it is a Lisp error")
    add("--export", action="append", metavar="SYMBOL", help="let the program look a C symbol up by name")
    add("--update", action="store_true", help="write monolisp.lock anew")


class _Soname(argparse.Action):
    """--soname belongs to the --with-archive before it."""

    def __call__(self, parser: argparse.ArgumentParser, options: argparse.Namespace, value: Any, _: Any = None) -> None:
        from monolisp.project import AS

        if not options.with_archive or AS in options.with_archive[-1]:
            parser.error("--soname follows the --with-archive that it is for")
        options.with_archive[-1] += AS + str(value)


def _eval_before(form: str) -> tuple[str, str]:
    return "eval", form


def _load_before(file: str) -> tuple[str, str]:
    return "load", str(Path(file).absolute())


def _fetch_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--offline", action="store_true", help="never use the network")
    command.add_argument("--source-dir", metavar="DIR", help="take sources from DIR when they are there")


def _verify_parser(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("files", nargs="+", metavar="FILE")
    verify.add_argument("--target", metavar="TARGET", help="what the file must be for (default: whatever it says)")
    verify.add_argument("--no-run", action="store_true", help="do not run it in an empty root directory")
    verify.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    verify.set_defaults(run=run_verify)


def _linkage_parser(linkage: argparse.ArgumentParser) -> None:
    linkage.add_argument("file", metavar="FILE", help="an executable that monolisp made, or an SBCL core")
    linkage.add_argument("--json", action="store_true", help="machine-readable")
    linkage.set_defaults(run=run_linkage)


def _toolchain_parser(toolchain: argparse.ArgumentParser) -> None:
    actions = toolchain.add_subparsers(metavar="ACTION", required=True)
    for name, text in (("list", "what is in the store"), ("build", "build it now"), ("path", "print where it is")):
        action = actions.add_parser(name, help=text)
        action.add_argument("--sbcl", metavar="VERSION")
        action.add_argument("--target", metavar="TARGET")
        action.add_argument("--json", action="store_true", help="machine-readable")
        _fetch_options(action)
        action.set_defaults(run=globals()[f"run_toolchain_{name}"], verbose=False)
    prune = actions.add_parser("prune", help="remove toolchains that this monolisp does not use")
    prune.add_argument("--all", action="store_true", help="remove the ones in use too")
    prune.set_defaults(run=run_toolchain_prune)


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
            linked = (f"{label} ({', '.join(names)})" if names else label for label, names in result.libraries.items())
            print("linked: " + ", ".join(linked))
    else:
        print(f"{_shown(result.output)}: up to date")


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


# --- toolchain, doctor, completion ---------------------------------------------------------------------------------


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


def run_doctor(options: argparse.Namespace) -> int:
    from monolisp.toolchain.doctor import examine, render

    diagnosis = examine(_store(), dict(os.environ))
    print(json.dumps(diagnosis.as_json(), indent=1) if options.json else render(diagnosis))
    return int(Exit.OK if diagnosis.ok else Exit.TOOL)


def run_completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(parser(), shell=options.shell))
    return int(Exit.OK)
