"""Build and run programs for other processors, and keep what worked in docs/targets.md.

    make targets                       every target that is not refused
    python tests/targets.py riscv64    only these; the other rows stay as they are

A toolchain that is in the store already is not built anew: its seconds stay those of the last time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from monolisp.emulator import find_emulator
from monolisp.target import State, Target, targets
from monolisp.toolchain.version import DEFAULT

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "targets.md"
BEGIN, END = "<!-- made by `make targets` -->", "<!-- end -->"
HEAD = (
    "target",
    "also called",
    "state",
    "what ran",
    "toolchain",
    "hello",
    "OCI platform",
    "pages of",
    "what is amiss",
    "tried",
)
PAGES = (4096, 16384, 65536)
# Seconds, under an emulator; a toolchain takes longer.
PATIENCE, LONG = 1200, 7200

CFFI_ZLIB = """
(require "asdf")
(asdf:load-system "cffi")
(cffi:define-foreign-library z (t "libz.so.1"))
(cffi:use-foreign-library z)
(defun main ()
  (format t "~x~%" (cffi:with-foreign-string (text "123456789")
                     (cffi:foreign-funcall "crc32" :unsigned-long 0 :pointer text :unsigned-int 9 :unsigned-long))))
"""
PAGE_SIZE = """
(defun main ()
  (gc :full t)
  (print (sb-alien:alien-funcall (sb-alien:extern-alien "getpagesize" (function sb-alien:int)))))
"""


@dataclass(frozen=True)
class Program:
    """Something to build: Lisp text, a file or the system of a directory; what it reads and what it must print."""

    name: str
    expected: str
    text: str = ""
    source: Path | None = None
    stdin: str = ""


EXAMPLES = ROOT / "examples"
PROGRAMS = (
    Program("hello", "Hello from a static executable.", source=EXAMPLES / "hello" / "hello.lisp"),
    Program("wc", "2 3 14", source=EXAMPLES / "wc" / "wc.lisp", stdin="one two\nthree\n"),
    Program(
        "json-pretty", '{ "a":[ 1, 2.5, null, "é" ] }', source=EXAMPLES / "json-pretty", stdin='{"a":[1,2.5,null,"é"]}'
    ),
    Program("zlib through CFFI", "CBF43926", text=CFFI_ZLIB),
    Program("callbacks", "(1 2 3)", source=ROOT / "tests" / "programs" / "callbacks.lisp"),
)


@dataclass(frozen=True)
class Ran:
    """What came of a target: programs that ran, or why not; seconds of the toolchain's build, where it was built;
    bytes of hello; page sizes that a program ran with."""

    passed: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    seconds: float | None
    size: int
    pages: tuple[int, ...]


def say(text: str) -> None:
    print(text, flush=True)


def monolisp(*arguments: str | Path, cwd: Path | None = None, patience: float = PATIENCE) -> tuple[int, str]:
    """Exit code and output of the command."""
    argv = [sys.executable, "-m", "monolisp", *map(str, arguments)]
    done = subprocess.run(argv, cwd=cwd, timeout=patience, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def alone(program: Path, emulator: Path | None, stdin: str, options: tuple[str, ...] = ()) -> str:
    """What `program` prints where there is nothing but itself and, elsewhere than on its own machines, qemu."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy2(program, root / "program")
        start = ["/program"]
        if emulator is not None:
            shutil.copy2(emulator, root / "qemu")
            start = ["/qemu", *options, "/program"]
        argv = [shutil.which("chroot") or "/usr/sbin/chroot", folder, *start]
        done = subprocess.run(argv, input=stdin.encode(), env={}, timeout=PATIENCE, capture_output=True, check=False)
    if done.returncode != 0 or done.stderr:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    return " ".join(done.stdout.decode(errors="replace").split())


def built(program: Program, target: Target, work: Path) -> Path:
    """Build `program` for `target` and say where it is; raises RuntimeError with the error."""
    folder = work / program.name.replace(" ", "-")
    folder.mkdir()
    output = folder / "out"
    source = program.source or folder / "program.lisp"
    if program.source is None:
        source.write_text(program.text, encoding="utf-8")
    if source.is_dir():
        folder, source = shutil.copytree(source, folder / source.name), Path(source.name)
    code, told = monolisp("build", source, "--target", target.triple, "-o", output, cwd=folder)
    if code != 0:
        raise RuntimeError(told.strip())
    code, told = monolisp("verify", "--target", target.triple, output)
    if code != 0:
        raise RuntimeError(told.strip())
    return output


def made_and_run(program: Program, target: Target, work: Path, emulator: Path | None) -> str:
    return alone(built(program, target, work), emulator, program.stdin)


def attempt(name: str, work: Callable[[], str], expected: str) -> str:
    """Nothing where `work` gives what is expected, else what came instead."""
    try:
        got = work()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return str(error)
    say(f"  {name}: {got[:60]}")
    return "" if got == expected else f"printed {got[:200]!r}"


def toolchain(target: Target) -> float | None:
    """Have the toolchain; seconds, unless it was there. Raises RuntimeError."""
    _, there = monolisp("toolchain", "list")
    begin = time.monotonic()
    code, told = monolisp("toolchain", "build", "--target", target.triple, patience=LONG)
    if code != 0:
        raise RuntimeError(told.strip())
    took = time.monotonic() - begin
    _, now = monolisp("toolchain", "list")
    return took if now != there else None


def ran(target: Target) -> Ran:
    """Build and run everything for one target."""
    say(target.triple)
    found = find_emulator(target, os.environ["PATH"])
    emulator = None if target.runs_on(os.uname().machine) or found is None else Path(found)
    passed, failed, size = [], [], 0
    seconds = toolchain(target)
    say(f"  toolchain: {'there already' if seconds is None else f'{seconds:.0f} s'}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for program in PROGRAMS:
            fault = attempt(program.name, partial(made_and_run, program, target, work, emulator), program.expected)
            passed += [] if fault else [program.name]
            failed += [(program.name, fault)] if fault else []
            if fault:
                say(f"  {program.name}: FAILED: {fault[-600:]}")
        if "hello" in passed:
            size = (work / "hello" / "out").stat().st_size
        pages = sizes_of_pages(target, emulator, work)
    return Ran(tuple(passed), tuple(failed), seconds, size, pages)


def sizes_of_pages(target: Target, emulator: Path | None, work: Path) -> tuple[int, ...]:
    """The sizes of pages that a program ran with: qemu can pretend larger ones, as far as the target may have them."""
    program = Program("pages", "", text=PAGE_SIZE)
    try:
        output = built(program, target, work)
    except RuntimeError as error:
        say(f"  pages: {error}")
        return ()
    wanted = [size for size in PAGES if size <= target.page_size] if emulator else [os.sysconf("SC_PAGE_SIZE")]
    found = []
    for size in wanted:
        options = ("-p", str(size)) if emulator else ()
        fault = attempt(f"pages of {size}", partial(alone, output, emulator, "", options), str(size))
        found += [] if fault else [size]
        if fault:
            say(f"  pages of {size}: FAILED: {fault[-300:]}")
    return tuple(found)


def row(target: Target, result: Ran | None, before: list[str], stamp: str) -> list[str]:
    """The cells of a target; of what was not tried this time those that were there `before`."""
    old = dict(zip(HEAD, before, strict=False))
    facts = {"target": target.triple, "also called": ", ".join(target.names), "state": str(target.state)}
    facts |= {"OCI platform": target.oci, "what is amiss": target.why}
    if result is not None:
        failed = "".join(f"; not {name}" for name, _ in result.failed)
        facts["what ran"] = ", ".join(result.passed) + failed
        facts["hello"] = f"{result.size / 1e6:.1f} MB" if result.size else ""
        facts["pages of"] = ", ".join(f"{size // 1024}" for size in result.pages) + " KiB" if result.pages else ""
        facts["tried"] = stamp
        if result.seconds is not None:
            facts["toolchain"] = f"{result.seconds:.0f} s"
    elif target.state is State.REFUSED:
        facts |= dict.fromkeys(("what ran", "toolchain", "hello", "pages of"), "")
    return [facts.get(column, old.get(column, "")) for column in HEAD]


def rows_before(document: str) -> dict[str, list[str]]:
    """The rows of the table in the document: triple → cells."""
    found = {}
    for line in re.findall(r"^\| (.*) \|$", document, re.MULTILINE):
        cells = [cell.strip() for cell in line.split(" | ")]
        found[cells[0]] = cells
    return found


def table(rows: list[list[str]]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" and changes" if git("status", "--porcelain") else "")


def write(results: dict[str, Ran], stamp: str) -> None:
    """Put the table into the document, in the place of the last one."""
    document = DOCUMENT.read_text(encoding="utf-8")
    head, _, rest = document.partition(BEGIN)
    before, _, tail = rest.partition(END)
    old = rows_before(before)
    rows = [row(target, results.get(name), old.get(name, []), stamp) for name, target in targets().items()]
    text = f"{head}{BEGIN}\n\n{table(rows)}\n\n{END}{tail}"
    DOCUMENT.write_text(text, encoding="utf-8")


def main() -> int:
    wanted = sys.argv[1:]
    chosen = [
        target
        for target in targets().values()
        if target.state is not State.REFUSED and (not wanted or {target.triple, *target.names} & set(wanted))
    ]
    stamp = f"{datetime.now(UTC):%Y-%m-%d}, {commit()}, SBCL {DEFAULT}"
    wrong = False
    for target in chosen:
        result = ran(target)
        write({target.triple: result}, stamp)
        wrong |= bool(result.failed) and (target.state is State.WORKS and not target.why)
    if not chosen:
        write({}, stamp)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
