"""The clerk: what linkage/clerk.c and dump.c start, `python -m monolisp.cli.clerk FACE answer | finish CORE OUTPUT`.

The journal comes on standard input. The answer goes to standard output; all else, to standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from monolisp.errors import Exit, MonolispError
from monolisp.face.face import WISHES, Face, face_at, read_wishes
from monolisp.face.finish import answer, finish, read_journal

if TYPE_CHECKING:
    from monolisp.toolchain.machine import Machine


def main() -> NoReturn:
    _, folder, command, *rest = sys.argv
    try:
        code = _answer(Path(folder)) if command == "answer" else _finish(Path(folder), *map(Path, rest))
    except MonolispError as error:
        print(error, file=sys.stderr)
        code = int(error.exit_code)
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _answer(folder: Path) -> int:
    face = face_at(folder)
    try:
        said = answer(face, read_journal(_standard_input()), read_wishes(os.environ.get(WISHES)), _machine(face))
    except MonolispError as error:
        print(error, file=sys.stderr)
        said = "-" + error.what_text.replace("\n", " ")
    print(said)
    return 0


def _finish(folder: Path, core: Path, output: Path) -> int:
    face = face_at(folder)
    wishes = read_wishes(os.environ.get(WISHES))
    dumped = finish(face, core, output, read_journal(_standard_input()), wishes, _machine(face))
    linked = "; linked: " + ", ".join(dumped.libraries) if dumped.libraries else ""
    print(f"monolisp: {output}: {dumped.size / 1e6:.1f} MB, truly static{linked}", file=sys.stderr)
    return 0


def _standard_input() -> str:
    return os.fsdecode(sys.stdin.buffer.read())


def _machine(face: Face) -> Machine:
    from monolisp.process import run
    from monolisp.store import Store
    from monolisp.terminal import PlainLines
    from monolisp.toolchain.machine import Machine

    return Machine(Store(face.store), run, PlainLines(sys.stderr), dict(os.environ))


if __name__ == "__main__":
    main()
