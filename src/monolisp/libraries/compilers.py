"""The directory that goes first on the PATH of a Lisp build: its C compiler and pkg-config are cc.py."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from monolisp.libraries.workshop import CFLAGS, COMPILERS, pkgconf
from monolisp.store import digest_of
from monolisp.target import Target
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.zig import find_zig

_SCRIPT = Path(__file__).parent / "cc.py"


def compilers(target: Target, machine: Machine) -> Path:
    """The directory, made once for this Python, zig and target."""
    zig = find_zig(machine.store, machine.path)
    env = {name: value for name, value in zig.env.items() if name.startswith("ZIG_")}
    program, flags = str(zig.program), list(CFLAGS)
    configuration = {"zig": program, "target": target.triple, "flags": flags, "env": env, "pkgconf": str(pkgconf())}
    names = {**COMPILERS, "pkg-config": "pkg-config", "pkgconf": "pkg-config"}
    digest = digest_of(["compilers", configuration, names, sys.executable, str(_SCRIPT)])

    def make(directory: Path) -> None:
        (directory / "configuration.json").write_text(json.dumps(configuration), encoding="utf-8")
        final = machine.store.path("compilers", digest) / "configuration.json"
        (directory / "bin").mkdir()
        for name, what in names.items():
            script = directory / "bin" / name
            command = shlex.join([sys.executable, "-IS", str(_SCRIPT), str(final), what])
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            script.chmod(0o755)

    return machine.store.entry("compilers", digest, make) / "bin"
