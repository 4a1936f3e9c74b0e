"""How `monolisp sbcl` starts, written down for the next time: bin/monolisp reads it, so that no Python starts.

It is shell, with $0 and $@ those of bin/monolisp. It does nothing, and Python decides, when the command is another
installation's, when a file that the answer depends on is newer or gone, or when there is an option to look into.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp import __version__
from monolisp.face.face import OTHERS, PRIVATE
from monolisp.options import BEFORE_SBCL
from monolisp.toolchain.machine import DEFAULT_PATH

if TYPE_CHECKING:
    from monolisp.face.face import Face, Surroundings

_PACKAGE = Path(__file__).parents[1]
_FILES = [
    *("face/*.py", "face/*.lisp", "lisp/names.lisp", "linkage/*.[ch]", "linkage/table.py", "linkage/names.py"),
    *("cli/launch.py", "lisp/job.py", "toolchain/build.py", "toolchain/compression.py", "toolchain/runtime.py"),
    *("toolchain/*.toml", "toolchain/sbcl/*.toml"),
    *("libraries/cc.py", "libraries/flags.py", "libraries/recipes/*.toml", "libraries/fixes/*"),
]


def write_launch(face: Face, around: Surroundings, launcher: str) -> None:
    """Write down how to start `face`, for the command `launcher`: the same whatever environment it is written in."""
    with suppress(OSError):  # in a store that is another's: it only saves time
        _write(face.store / "launch", launch_text(face, around, launcher))


def _write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    beside = folder / f".sbcl-{os.getpid()}"
    beside.write_text(text, encoding="utf-8")
    beside.rename(folder / f"sbcl-{__version__}")


def launch_text(face: Face, around: Surroundings, launcher: str) -> str:
    """The shell text, as write_launch writes it."""
    options = "|".join([*sorted(BEFORE_SBCL), *(f"{name}=*" for name in sorted(BEFORE_SBCL)), "--", "--core"])
    newer = " -o ".join(f'"$monolisp_p/{path}" -nt "$monolisp_launch"' for path in _depends())
    runtime = shlex.quote(str(face.runtime))
    return f"""\
monolisp_p={shlex.quote(str(_PACKAGE))}
if [ "$0" = {shlex.quote(launcher)} -a -x {runtime} -a -d "$monolisp_p" ] && ! [ {newer} ]; then
    for monolisp_a in "$@"; do case $monolisp_a in {options}) monolisp_p= ;; esac; done
    if [ -n "$monolisp_p" ]; then
        unset monolisp_p monolisp_a monolisp_version monolisp_launch {" ".join((*PRIVATE, *OTHERS))}
        {"; ".join(_settings(around))}
        shift
        exec {runtime} "$@"
    fi
fi
"""


def _settings(around: Surroundings) -> Iterator[str]:
    path = ":".join(map(str, around.path))
    yield f'export PATH={shlex.quote(path)}:"${{PATH:-{DEFAULT_PATH}}}"'
    for name, value in around.defaults.items():
        quoted = re.sub(r'(["\\\\$`])', r"\\\1", value)
        yield f'export {name}="${{{name}-{quoted}}}"'
    for name, value in around.variables.items():
        yield f"export {name}={shlex.quote(value)}"


def _depends() -> Iterator[str]:
    """What of ours decides which face is started, and in which environment. A directory is changed by what is installed
    or removed; the files of a checkout are written to where they are."""
    yield from ("face", "linkage", "lisp", "toolchain", "toolchain/sbcl", "libraries", "libraries/recipes")
    if not {"site-packages", "dist-packages"} & set(_PACKAGE.parts):
        yield from (str(path.relative_to(_PACKAGE)) for pattern in _FILES for path in sorted(_PACKAGE.glob(pattern)))
