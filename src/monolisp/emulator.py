"""What runs programs of another processor on this machine: qemu-user, found on PATH; no root and no binfmt_misc."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from monolisp.errors import QemuMissing
from monolisp.target import Target, targets

# What a program is called that lies hidden behind a script.
HIDDEN = ".emulated"


def emulator(target: Target, path: str) -> tuple[str, ...]:
    """What programs of `target` are started with here: nothing where this machine runs them itself; `path` is where
    it is looked for. Raises QemuMissing."""
    if target.runs_on(os.uname().machine):
        return ()
    found = find_emulator(target, path)
    if found is None:
        raise QemuMissing(target=target.triple, machine=os.uname().machine, name=f"qemu-{target.qemu}-static")
    return (found,)


def find_emulator(target: Target, path: str) -> str | None:
    """The emulator of `target` on `path`: the static one where there is a choice, since it runs in an empty root."""
    names = (f"qemu-{target.qemu}-static", f"qemu-{target.qemu}")
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def emulator_for(elf_machine: int, bits: int, path: str) -> Path | None:
    """The emulator on `path` of programs that say this of themselves; none where this machine runs them, or where
    there is no such target or emulator."""
    for target in targets().values():
        if (target.elf_machine, target.bits) == (elf_machine, bits) and not target.runs_on(os.uname().machine):
            found = find_emulator(target, path)
            return Path(found).resolve() if found else None
    return None


def hide(program: Path, argv: Sequence[str]) -> None:
    """Put a script in the place of `program` that starts it under the emulator `argv`. It may be renamed, the program
    that lies hidden beside it may not."""
    hidden = program.with_name(program.name + HIDDEN)
    program.rename(hidden)
    command = f'{shlex.join(argv)} -0 "$0" {shlex.quote(str(hidden.absolute()))}'
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
