"""Programs with foreign libraries against stock SBCL with the same libraries, shared: rows for bench/run.py.

Stock SBCL uses the same version of SQLite with the same options, compiled by the machine's own C compiler at -O2.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from run import HELLO, MONOLISP, Row, first_output, in_turn, quiet, ratio_row

SAVE = '(save-lisp-and-die "{}" :executable t :toplevel (lambda () (main) (exit)))'

SQLITE = """
(require "asdf")
(asdf:load-system "sqlite")
(defun seconds (function)
  (let ((begin (get-internal-real-time)))
    (funcall function)
    (/ (- (get-internal-real-time) begin) (float internal-time-units-per-second))))
(defun work ()
  (sqlite:with-open-database (db ":memory:")
    (sqlite:execute-non-query db "create table rows (n integer primary key, square integer, name text)")
    (sqlite:with-transaction db
      (let ((statement (sqlite:prepare-statement db "insert into rows values (?, ?, ?)")))
        (dotimes (n 200000)
          (sqlite:bind-parameter statement 1 n)
          (sqlite:bind-parameter statement 2 (* n n))
          (sqlite:bind-parameter statement 3 "a name of some length, as names are")
          (sqlite:step-statement statement)
          (sqlite:reset-statement statement))
        (sqlite:finalize-statement statement)))
    (sqlite:execute-non-query db "create index by_square on rows (square)")
    (dotimes (i 20)
      (sqlite:execute-to-list db "select name, count(*), sum(square) from rows group by n % 100"))
    (dotimes (i 20000)
      (sqlite:execute-single db "select n from rows where square = ?" (* i i)))))
(defun main () (format t "~f~%" (seconds #'work)))
"""
CALLS = """
(load-shared-object "{library}")
(declaim (inline tick))
(define-alien-routine tick int (x int))
(defun calls ()
  (declare (optimize speed))
  (let ((x 0))
    (declare (type (signed-byte 32) x))
    (dotimes (i 1000000 x) (setf x (tick x)))))
(defun nanoseconds ()
  (multiple-value-bind (seconds nanoseconds) (sb-unix:clock-gettime sb-unix:clock-monotonic)
    (+ (* seconds 1000000000) nanoseconds)))
(defun main ()
  (calls)
  (format t "~,9f~%"
          (loop repeat 101
                minimize (let ((begin (nanoseconds)))
                           (calls)
                           (/ (- (nanoseconds) begin) 1d9)))))
"""
TICK = "int tick(int x) { return (x * 5 + 1) & 0xffff; }\n"
BOTH = """
(load-shared-object "libsqlite3.so.0")
(load-shared-object "libssl.so.3")
(load-shared-object "libcrypto.so.3")
(define-alien-routine "sqlite3_libversion" c-string)
(define-alien-routine "OpenSSL_version" c-string (what int))
(define-alien-routine "TLS_client_method" system-area-pointer)
(defun main () (format t "~a ~a~%" (sqlite3-libversion) (openssl-version 0)) (tls-client-method))
"""


def home(stock: list[str]) -> dict[str, str]:
    """Where stock SBCL, which was not installed, has its contribs."""
    return {"SBCL_HOME": str(Path(stock[0]).parents[2] / "obj" / "sbcl-home")}


def rows(stock: list[str], work: Path) -> Iterator[Row]:
    folder = work / "foreign"
    folder.mkdir()
    shared = shared_sqlite(folder)
    yield second_build(stock, shared, folder)
    yield calls(stock, folder)
    yield queries(shared, folder)
    yield start_up(folder)


def shared_sqlite(folder: Path) -> Path:
    """SQLite of the recipe's source with the recipe's options as a shared library; returns its directory."""
    from monolisp.libraries.recipe import Cookbook
    from monolisp.process import run
    from monolisp.progress import Silent
    from monolisp.sources.fetch import FetchOptions, obtain
    from monolisp.sources.unpack import unpack
    from monolisp.store import Store

    recipe = Cookbook().find("sqlite")
    assert recipe.source is not None
    store = Store(Path(os.environ["MONOLISP_STORE"]))
    archive = obtain(recipe.source, store, FetchOptions(environ=dict(os.environ)), run, Silent())
    unpack(archive, folder / "sqlite")
    for step in recipe.build.step:
        quiet([part.replace("build-cc", "cc -O1") for part in step.run], folder / "sqlite")
    (folder / "lib").mkdir()
    output = str(folder / "lib" / "libsqlite3.so.0")
    options = [flag for flag in recipe.build.cflags if flag.startswith("-D")]
    flags = ["-O2", "-fPIC", "-shared", *options]
    quiet(["cc", *flags, "sqlite3.c", "-o", output, "-lm"], folder / "sqlite")
    return folder / "lib"


def second_build(stock: list[str], shared: Path, folder: Path) -> Row:
    """The SQLite program changed, everything in the store, against stock SBCL loading and saving it."""
    count = iter(range(10**6))
    (folder / "db.lisp").write_text(SQLITE)

    def ours() -> None:
        (folder / "db.lisp").write_text(SQLITE + f"; {next(count)}\n")
        quiet([*MONOLISP, "build", "db.lisp"], folder)

    def theirs() -> None:
        env = {**home(stock), "LD_LIBRARY_PATH": str(shared)}
        quiet([*stock, "--load", "db.lisp", "--eval", SAVE.format("stock-db")], folder, **env)

    return ratio_row("second build of the SQLite program ÷ stock load and save", in_turn(ours, theirs, 9), 1.3)


def told(program: Path, **env: str) -> float:
    """The seconds that a program prints."""
    done = subprocess.run([program], env={**os.environ, **env}, capture_output=True, check=True)
    return float(done.stdout.split()[-1])


def paired(ours: Callable[[], float], theirs: Callable[[], float], times: int) -> tuple[float, float]:
    pairs = [(ours(), theirs()) for _ in range(times)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def calls(stock: list[str], folder: Path) -> Row:
    zig = [sys.executable, "-m", "ziglang"]
    (folder / "tick.c").write_text(TICK)
    quiet([*zig, "cc", "-target", "x86_64-linux-musl", "-O2", "-c", "tick.c", "-o", "tick.o"], folder)
    quiet([*zig, "ar", "rcs", "libtick.a", "tick.o"], folder)
    quiet(["cc", "-O2", "-fPIC", "-shared", "tick.c", "-o", "libtick.so"], folder)
    (folder / "calls.lisp").write_text(CALLS.format(library="libtick.so"))
    (folder / "stock-calls.lisp").write_text(CALLS.format(library=folder / "libtick.so"))
    quiet([*MONOLISP, "build", "calls.lisp", "--with-archive", "libtick.a"], folder)
    quiet([*stock, "--load", "stock-calls.lisp", "--eval", SAVE.format("stock-calls")], folder)
    pair = paired(lambda: told(folder / "calls"), lambda: told(folder / "stock-calls"), 11)
    return ratio_row("1,000,000 calls of a small C function ÷ stock", pair, 1.02, 1000, "ms")


def queries(shared: Path, folder: Path) -> Row:
    pair = paired(lambda: told(folder / "db"), lambda: told(folder / "stock-db", LD_LIBRARY_PATH=str(shared)), 7)
    return ratio_row("SQLite: insert and query ÷ stock, shared, glibc", pair, 1.05)


def start_up(folder: Path) -> Row:
    (folder / "hello.lisp").write_text(HELLO)
    (folder / "both.lisp").write_text(BOTH)
    for name in ("hello", "both"):
        quiet([*MONOLISP, "build", f"{name}.lisp"], folder)
    pairs = [(first_output(folder / "both"), first_output(folder / "hello")) for _ in range(201)][1:]
    medians = statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
    return ratio_row("start-up with OpenSSL and SQLite inside ÷ hello's", medians, 1.1, 1000, "ms")
