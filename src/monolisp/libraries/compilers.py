"""The directory that goes first on the PATH of a Lisp build: its C compiler and pkg-config are cc.py."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from monolisp.emulator import emulator
from monolisp.libraries.flags import CFLAGS, COMPILERS
from monolisp.store import digest_of
from monolisp.target import Target
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.zig import pin_text

_SCRIPT = Path(__file__).parent / "cc.py"


def compilers(target: Target, machine: Machine) -> Path:
    """The directory, made once for this Python, zig, target and what runs its programs. Raises QemuMissing."""
    emulated = emulator(target, machine.path)
    names = {**COMPILERS, "pkg-config": "pkg-config", "pkgconf": "pkg-config"}
    inputs = [
        pin_text(),
        target.triple,
        emulated,
        CFLAGS,
        names,
        sys.executable,
        _SCRIPT.read_text(encoding="utf-8"),
        str(_SCRIPT),
        str(machine.store.root),
    ]
    digest = digest_of(["compilers", inputs])

    def make(directory: Path) -> None:
        from monolisp.libraries.workshop import pkgconf
        from monolisp.toolchain.zig import find_zig

        zig = find_zig(machine.store, machine.path)
        configuration = {
            "zig": str(zig.program),
            "target": target.triple,
            "emulator": emulated,
            "flags": CFLAGS,
            "env": {name: value for name, value in zig.env.items() if name.startswith("ZIG_")},
            "pkgconf": str(pkgconf()),
        }
        (directory / "configuration.json").write_text(json.dumps(configuration), encoding="utf-8")
        final = machine.store.path("compilers", digest) / "configuration.json"
        (directory / "bin").mkdir()
        for name, what in names.items():
            script = directory / "bin" / name
            command = shlex.join([sys.executable, "-IS", str(_SCRIPT), str(final), what])
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            script.chmod(0o755)

    return machine.store.entry("compilers", digest, make) / "bin"
