"""The clerk: what linkage/clerk.c and dump.c start, `python -m monolisp.cli.clerk FACE answer | finish CORE OUTPUT`.

The journal comes on standard input. The answer goes to standard output; all else, to standard error.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from monolisp.cli import given, open_closed_streams
from monolisp.errors import Exit, MonolispError

if TYPE_CHECKING:
    from monolisp.face.face import Face
    from monolisp.libraries.wishes import Wishes
    from monolisp.toolchain.machine import Machine


def main() -> NoReturn:
    core = Path(sys.argv[3]) if sys.argv[2] == "finish" else None
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupted)
        open_closed_streams()
        code = _answer() if core is None else _finish(core, Path(sys.argv[4]))
    except MonolispError as error:
        _tell(str(error))
        code = int(error.exit_code)
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    finally:
        # What SBCL saved is only made for us.
        if core is not None:
            core.unlink(missing_ok=True)
    os._exit(code)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _tell(text: str) -> None:
    """Whoever reads standard error may be gone: that changes nothing of what was done."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _answer() -> int:
    from monolisp.face.finish import answer, read_journal

    face, wishes, machine = _given()
    try:
        said = answer(face, read_journal(_standard_input()), wishes, machine)
    except MonolispError as error:
        _tell(str(error))
        said = "-" + error.what_text.replace("\n", " ")
    print(said, flush=True)
    return 0


def _finish(core: Path, output: Path) -> int:
    from monolisp.face.finish import finish, read_journal

    _remove_left(output)
    face, wishes, machine = _given()
    dumped = finish(face, core, output, read_journal(_standard_input()), wishes, machine)
    linked = "; linked: " + ", ".join(dumped.libraries) if dumped.libraries else ""
    _tell(f"monolisp: {output}: {dumped.size / 1e6:.1f} MB, truly static{linked}")
    return 0


def _remove_left(output: Path) -> None:
    """Remove the cores that killed processes left for the same executable; linkage/dump.c names them."""
    import glob

    for left in output.parent.glob(f".{glob.escape(output.name)}.*.dump"):
        number = left.name.split(".")[-2]
        if number.isdigit() and not Path("/proc", number).exists() and Path("/proc/self").exists():
            left.unlink(missing_ok=True)


def _standard_input() -> str:
    return os.fsdecode(sys.stdin.buffer.read())


def _given() -> tuple[Face, Wishes, Machine]:
    from monolisp.face.face import SOURCE_DIR, WISHES, face_at, read_wishes
    from monolisp.process import run
    from monolisp.store import Store
    from monolisp.terminal import PlainLines
    from monolisp.toolchain.machine import Machine

    face = face_at(Path(sys.argv[1]))
    environ = dict(os.environ)
    source_dir = Path(environ[SOURCE_DIR]) if SOURCE_DIR in environ else None
    offline = "MONOLISP_OFFLINE" in environ
    ours = Store(face.store, given.shared_stores(), None, _tell)
    machine = Machine(ours, run, PlainLines(sys.stderr), environ, offline, source_dir)
    return face, read_wishes(environ.get(WISHES)), machine


if __name__ == "__main__":
    main()
