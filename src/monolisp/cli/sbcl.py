"""monolisp sbcl, env, exec, shell: SBCL as any other, whose executables are truly static.

Each ends by becoming what it starts, so that no Python waits behind it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.cli import given
from monolisp.errors import Exit, ToolchainRefused, ToolMissing
from monolisp.process import become
from monolisp.settings import FILE

if TYPE_CHECKING:
    from monolisp.face.face import Face, Surroundings
    from monolisp.libraries.wishes import Wishes


def run_sbcl(options: argparse.Namespace) -> int:
    from monolisp.face.face import OFFLINE, SOURCE_DIR, WISHES, require_own_core

    face, around = _prepared(options)
    env = around.of(os.environ)
    require_own_core(options.arguments, face.toolchain)
    launcher = os.environ.get("MONOLISP_LAUNCHER")
    plain = {WISHES, OFFLINE, SOURCE_DIR}.isdisjoint(around.variables) and not options.sbcl and not Path(FILE).exists()
    if launcher and launcher.startswith("/") and plain:
        from monolisp.cli.launch import write_launch

        write_launch(face, around, launcher)
    return become(str(face.runtime), [str(face.runtime), *options.arguments], env)


def run_env(options: argparse.Namespace) -> int:
    from monolisp.face.face import OTHERS, WISHES

    _, around = _prepared(options)
    dropped = [name for name in (*OTHERS, WISHES) if name in os.environ and name not in around.variables]
    for name in dropped:
        print(f"unset {name}")
    for name, value in sorted(around.of(os.environ).items()):
        if os.environ.get(name) != value and name not in dropped:
            print(f"export {name}={shlex.quote(value)}")
    return int(Exit.OK)


def run_exec(options: argparse.Namespace) -> int:
    arguments = options.arguments
    if not arguments:
        print("usage: monolisp exec [OPTION…] -- COMMAND [ARGUMENT…]", file=sys.stderr)
        return int(Exit.USAGE)
    _, around = _prepared(options)
    env = around.of(os.environ)
    program = shutil.which(arguments[0], path=env["PATH"])
    if program is None:
        raise ToolMissing(tool=arguments[0], detail="it is not on PATH")
    return become(program, arguments, env)


def run_shell(options: argparse.Namespace) -> int:
    face, around = _prepared(options)
    shell = os.environ.get("SHELL") or "/bin/sh"
    print(f"sbcl is SBCL {face.toolchain.version} of monolisp here; exit leaves", file=sys.stderr)
    return become(shell, [shell], around.of(os.environ))


def _prepared(options: argparse.Namespace) -> tuple[Face, Surroundings]:
    """The face, made when it is not there, and what makes it the SBCL that is found."""
    from monolisp.face.face import ensure_face, surroundings
    from monolisp.project import sbcl_spec
    from monolisp.target import find_target
    from monolisp.toolchain.toolchain import ensure_toolchain, find_toolchain
    from monolisp.toolchain.version import DEFAULT

    settings = given.settings(options)
    progress = given.progress()
    machine = given.machine(options, progress)
    wanted, there = find_toolchain(sbcl_spec(settings) or DEFAULT, find_target(None), machine.store)
    try:
        if not there:
            _offer(wanted.version)
        face = ensure_face(ensure_toolchain(wanted, machine), machine)
    finally:
        progress.close()
    return face, surroundings(face, _wishes(options), machine)


def _offer(version: str) -> None:
    """Before minutes of work, ask a person. Raises ToolchainRefused."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print(f"The static SBCL {version} is not on this machine yet; it takes about two minutes, once.", file=sys.stderr)
    print("Build it now? [Y/n] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("", "y", "yes"):
        raise ToolchainRefused(version=version)


def _wishes(options: argparse.Namespace) -> Wishes:
    from monolisp.libraries.wishes import RECIPES, Wishes
    from monolisp.project import foreign_settings

    told = foreign_settings(given.settings(options), Path.cwd())
    return Wishes(told["libraries"], told["archives"], told["include"], told["absent"], (RECIPES, *told["recipes"]))
