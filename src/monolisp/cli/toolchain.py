"""monolisp toolchain."""

from __future__ import annotations

import argparse
import json

from monolisp.cli import given
from monolisp.errors import Exit


def run_toolchain_list(options: argparse.Namespace) -> int:
    from monolisp.toolchain.toolchain import listed

    rows = listed(given.store())
    if options.json:
        print(json.dumps({"schema": "monolisp-toolchains-1", "toolchains": rows}, indent=1))
    for row in [] if options.json else rows:
        size = f"{int(row['size']) / 1e6:.0f} MB"
        print("  ".join([str(row["digest"]), f"SBCL {row['version']}", str(row["target"]), str(row["libc"]), size]))
    return int(Exit.OK)


def run_toolchain_build(options: argparse.Namespace) -> int:
    from monolisp.target import find_target
    from monolisp.toolchain.toolchain import ensure_toolchain, find_toolchain

    progress = given.progress()
    machine = given.machine(options, progress)
    wanted, _ = find_toolchain(_wanted(options), find_target(options.target), machine.store)
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

    toolchain, there = find_toolchain(_wanted(options), find_target(options.target), given.store())
    if not there:
        raise NoToolchain(version=toolchain.version, target=toolchain.target.triple)
    print(toolchain.path)
    return int(Exit.OK)


def run_toolchain_new(options: argparse.Namespace) -> int:
    from monolisp.toolchain.pinning import new_pin

    progress = given.progress()
    try:
        path = new_pin(options.version, options.source, given.machine(options, progress))
    finally:
        progress.close()
    print(f"{path}\nbuild with it: monolisp build --sbcl {options.version}")
    return int(Exit.OK)


def _wanted(options: argparse.Namespace) -> str:
    from monolisp.project import sbcl_spec
    from monolisp.toolchain.version import DEFAULT

    return sbcl_spec(given.settings(options)) or DEFAULT


def run_toolchain_prune(options: argparse.Namespace) -> int:
    from monolisp.toolchain.toolchain import prune

    for entry in prune(given.store(), options.all):
        print(f"removed {entry.kind} {entry.digest}: {entry.size / 1e6:.0f} MB")
    return int(Exit.OK)
