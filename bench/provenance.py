"""What an executable says of itself, and who vouches for it: rows for bench/run.py.

The peers are sha256sum and minisign on the same file, and builds of the same program in which nothing is said, sealed
or verified.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from run import MONOLISP, PEAK, ROOT, Row, in_turn, quiet, ratio_row, seconds

PROGRAM = "(defvar *table* (make-array 5000000 :element-type '(unsigned-byte 8) :initial-element 7))\n"
PROGRAM += "(defun main () (print (length *table*)))\n"
SMALL = '(defun main () (write-line "hello"))\n'
# A build that says nothing, and one that is not verified either; both run as the usual one does.
PLAIN = "import sys\nfrom monolisp.cli import main\n"
SILENT = PLAIN + (
    "import contextlib, monolisp.build, monolisp.provenance.note\n"
    "monolisp.build._describing = lambda *given: lambda program: {}\n"
    "monolisp.provenance.note.sealing = contextlib.nullcontext\n"
)
CARELESS = SILENT + "monolisp.build.require_static = lambda path, target, programs: path.chmod(0o755)\n"
# A build whose bytes depend on where and when it is done: nothing is sealed; what compiled files saves the core, too.
UNSEALED = PLAIN + (
    "from monolisp.lisp import session, turns\n"
    "from pathlib import Path\n"
    "told = session.job_text\n"
    "session.job_text = lambda project, code, embedded, *_: told(project, code, embedded)\n"
    "turns.Successor.begin = lambda self: None\n"
    "folder = Path(sys.argv.pop(1))\n"
    "changed = {path.name: path for path in folder.iterdir()}\n"
    "session._DRIVER = tuple(changed.get(path.name, path) for path in session._DRIVER)\n"
)
# File of monolisp's own → what is another text in it then.
UNSEALING = {
    "symbols.lisp": ("(and (fboundp 'sb-kernel::rebuild-ctype-hashsets)", "(and nil"),
    "driver.lisp": ("(unless (monolisp-seal:sealed-p) (monolisp-seal:rename-places))", ""),
}
SYSTEM = ROOT / "examples" / "json-pretty"
END = "sys.exit(main(sys.argv[1:]))\n"


def rows(work: Path) -> Iterator[Row]:
    folder = work / "provenance"
    folder.mkdir()
    (folder / "app.lisp").write_text(PROGRAM)
    quiet([*MONOLISP, "build", "app.lisp"], folder)
    yield from reading(folder)
    yield from signing(folder)
    yield from building(folder)
    yield from reproducing(folder)


def reading(folder: Path) -> Iterator[Row]:
    argv = ["inspect", "app"]
    ours, theirs = in_turn(lambda: quiet([*MONOLISP, *argv], folder), lambda: quiet(["sha256sum", "app"], folder), 11)
    size = (folder / "app").stat().st_size / 1e6
    yield Row(f"inspect, {size:.0f} MB (peer: sha256sum)", f"{ours:.3f} s", f"{theirs:.3f} s", ours, 0.3, "s")
    done = subprocess.run([sys.executable, "-c", PEAK, *argv], cwd=folder, check=True, capture_output=True)
    peak = int(done.stderr.split()[-1]) / 1024
    yield Row("inspect, peak memory", f"{peak:.0f} MB", "–", peak, 60, "MB")


def signing(folder: Path) -> Iterator[Row]:
    """The secret key has no password: to derive a key from one takes longer than all the rest."""
    quiet([*MONOLISP, "keygen", "key"], folder)
    pairs = {
        "sign": ([*MONOLISP, "sign", "app", "--key", "key"], ["minisign", "-S", "-s", "key", "-m", "app"]),
        "verify-signature": (
            [*MONOLISP, "verify-signature", "app", "--key", "key.pub"],
            ["minisign", "-V", "-p", "key.pub", "-m", "app"],
        ),
    }
    for name, (ours, theirs) in pairs.items():
        if shutil.which("minisign") is None:
            taken = statistics.median(seconds(partial(quiet, ours, folder)) for _ in range(11))
            yield Row(f"{name}, the same file", f"{taken:.3f} s", "–", taken, math.inf, "s")
        else:
            turns = in_turn(partial(quiet, ours, folder), partial(quiet, theirs, folder), 11)
            yield ratio_row(f"{name}, the same file ÷ minisign", turns, math.inf)


def building(folder: Path) -> Iterator[Row]:
    """A changed hello, in three ways by turns."""
    count = iter(range(10**6))

    def build(name: str, program: str, *options: str) -> None:
        (folder / f"{name}.lisp").write_text(SMALL + f"; {next(count)}\n")
        quiet([sys.executable, "-c", program + END, "build", f"{name}.lisp", *options], folder)

    usual, silent = in_turn(lambda: build("usual", PLAIN), lambda: build("silent", SILENT), 21)
    yield ratio_row("warm build, source changed ÷ without record and seal", (usual, silent), 1.05)
    usual, careless = in_turn(lambda: build("usual", PLAIN), lambda: build("careless", CARELESS), 21)
    yield ratio_row("warm build, source changed ÷ without record, seal and verification", (usual, careless), 1.05)
    told, usual = in_turn(lambda: build("told", PLAIN, "--checksum", "--attest"), lambda: build("usual", PLAIN), 21)
    yield ratio_row("warm build with --checksum --attest ÷ without", (told, usual), math.inf)


def reproducing(folder: Path) -> Iterator[Row]:
    """A changed hello, and a system that is compiled anew with all that it needs."""
    unsealed = folder / "unsealed"
    unsealed.mkdir()
    for name, (ours, other) in UNSEALING.items():
        text = (ROOT / "src/monolisp/lisp" / name).read_text(encoding="utf-8")
        if ours not in text:
            raise SystemExit(f"bench: {name} is not what it was: nothing would be left unsealed")
        (unsealed / name).write_text(text.replace(ours, other), encoding="utf-8")
    count = iter(range(10**6))

    def hello(program: str, *more: str) -> None:
        (folder / "small.lisp").write_text(SMALL + f"; {next(count)}\n")
        quiet([sys.executable, "-c", program + END, *more, "build", "small.lisp"], folder)

    usual, free = in_turn(lambda: hello(PLAIN), lambda: hello(UNSEALED, str(unsealed)), 21)
    yield ratio_row("warm build, source changed ÷ one that is not reproducible", (usual, free), 1.1)
    system = shutil.copytree(SYSTEM, folder / "system")
    store = folder / "store"

    def cold(program: str, *more: str) -> None:
        shutil.rmtree(store / "fasls", ignore_errors=True)
        argv = [sys.executable, "-c", program + END, *more, "build", SYSTEM.name, "--always"]
        quiet(argv, system, MONOLISP_STORE=str(store), MONOLISP_SHARED_STORE=os.environ["MONOLISP_STORE"])

    for each in ((PLAIN,), (UNSEALED, str(unsealed))):
        cold(*each)  # compiles what is monolisp's own
    usual, free = in_turn(lambda: cold(PLAIN), lambda: cold(UNSEALED, str(unsealed)), 5)
    yield ratio_row("everything compiled anew ÷ a build that is not reproducible", (usual, free), 1.1)
