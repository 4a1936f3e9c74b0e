"""Libraries from recipes inside real programs: Debian's Lisp packages as they are.

A recipe's own program (recipes/NAME.lisp) proves that the library works where there is nothing else.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from monolisp.libraries.recipe import FOLDER, Cookbook

from .conftest import Monolisp, in_chroot, needs_root, run

LISP = Path("/usr/share/common-lisp/source")
# Built in seconds: these are proven every day, the others when all tests run.
QUICK = {"libffi", "lmdb", "lz4", "zlib"}


def recipe_programs() -> list[object]:
    names = [name for name in Cookbook().names if (FOLDER / f"{name}.lisp").is_file()]
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def needs(*systems: str) -> pytest.MarkDecorator:
    lacking = [system for system in systems if not (LISP / system).is_dir()]
    return pytest.mark.skipif(bool(lacking), reason=f"waits for Debian's packages of {', '.join(lacking)}")


@needs_root
@pytest.mark.parametrize("name", recipe_programs())
def test_a_recipe(name: str, monolisp: Monolisp, tmp_path: Path) -> None:
    shutil.copy(FOLDER / f"{name}.lisp", tmp_path)
    done = monolisp("build", f"{name}.lisp")
    assert done.code == 0, done.err
    assert name in done.out
    ended = in_chroot(tmp_path / name, tmp_path / "root")
    assert (ended.code, ended.out.splitlines()[-1:]) == (0, [f"{name} ok"]), ended.out + ended.err


ALLOCATIONS = """
(sb-alien:load-shared-object "libsqlite3.so.0")
(sb-alien:define-alien-routine "sqlite3_malloc" sb-sys:system-area-pointer (size sb-alien:int))
(sb-alien:define-alien-routine "malloc" sb-sys:system-area-pointer (size sb-alien:unsigned-long))
(sb-alien:define-alien-routine "mi_is_in_heap_region" (sb-alien:boolean 8) (memory sb-sys:system-area-pointer))
(defun main ()
  (format t "~a ~a~%" (mi-is-in-heap-region (sqlite3-malloc 100)) (mi-is-in-heap-region (malloc 100))))
"""


@pytest.mark.slow
def test_a_library_that_another_needs_is_told_and_does_not_replace_malloc(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "allocations.lisp").write_text(ALLOCATIONS)
    done = monolisp("build", "allocations.lisp")
    assert done.code == 0, done.err
    assert "sqlite" in done.out
    assert "mimalloc" in done.out
    assert run([tmp_path / "allocations"]).out == "T NIL\n"


# SBCL's tests of its contribs expect these two in this package. A test is a form and the values that it should have,
# or forms that end without an error.
TEST_UTIL = """
(defpackage "TEST-UTIL" (:use :cl) (:export #:deftest #:with-test))
(in-package "TEST-UTIL")
(defvar *tests* '())
(defmacro deftest (name form &rest expected)
  `(push (list ',name (lambda () (multiple-value-list ,form)) ',expected) *tests*))
(defmacro with-test ((&key name) &body body)
  `(deftest ,name (progn ,@body :done) :done))
(defun run-all ()
  (let ((passed 0))
    (loop for (name function expected) in (reverse *tests*)
          do (let ((got (handler-case (funcall function) (error (c) (list c)))))
               (if (equalp got expected) (incf passed) (format t "FAILED ~a: ~a~%" name got))))
    (format t "~d of ~d passed~%" passed (length *tests*))))
"""
# What the tests of sb-gmp make while they are loaded is C memory of the process that builds.
NEW_STATE = """
(setf sb-gmp-tests::*state* (sb-gmp:make-gmp-rstate))
(sb-gmp:rand-seed sb-gmp-tests::*state* 1234)
"""


@needs_root
@pytest.mark.slow
@pytest.mark.parametrize(("contrib", "tests", "prepare"), [("sb-gmp", 33, NEW_STATE), ("sb-mpfr", 9, "")])
def test_sbcls_own_tests(
    contrib: str, tests: int, prepare: str, built: Callable[..., Path], sbcl_source: Path, tmp_path: Path
) -> None:
    file = sbcl_source / "contrib" / contrib / "tests.lisp"
    main = f"(in-package :cl-user)\n(defun main () {prepare} (test-util::run-all))"
    program = built(f'(require "{contrib}")\n{TEST_UTIL}\n(load "{file}")\n{main}')
    done = in_chroot(program, tmp_path / "root")
    assert done.out.splitlines()[-1:] == [f"{tests} of {tests} passed"], done.out + done.err


@needs("sqlite")
@pytest.mark.slow
def test_a_database_on_disk(built: Callable[..., Path], tmp_path: Path) -> None:
    """cl-sqlite writes 100,000 rows; Python reads them from the same file."""
    program = built(
        """
(require "asdf")
(asdf:load-system "sqlite")
(defun main ()
  (sqlite:with-open-database (db "rows.db")
    (sqlite:execute-non-query db "create table rows (n integer primary key, square integer, name text)")
    (sqlite:with-transaction db
      (let ((statement (sqlite:prepare-statement db "insert into rows values (?, ?, ?)")))
        (dotimes (n 100000)
          (sqlite:bind-parameter statement 1 n)
          (sqlite:bind-parameter statement 2 (* n n))
          (sqlite:bind-parameter statement 3 (format nil "row ~d é" n))
          (sqlite:step-statement statement)
          (sqlite:reset-statement statement))
        (sqlite:finalize-statement statement)))
    (format t "~{~a~^ ~}~%" (first (sqlite:execute-to-list db "select count(*), sum(square) from rows")))
    (format t "~a~%" (sqlite:execute-single db "select name from rows where n = 777"))))
"""
    )
    done = run([program], cwd=tmp_path)
    total = sum(n * n for n in range(100000))
    assert (done.code, done.out) == (0, f"100000 {total}\nrow 777 é\n"), done.err
    with sqlite3.connect(tmp_path / "rows.db") as database:
        assert database.execute("select count(*), sum(square) from rows").fetchone() == (100000, total)
        assert database.execute("select name from rows where n = 99999").fetchone() == ("row 99999 é",)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


class TestLock:
    """monolisp.lock: what a build found, for the next one."""

    PROGRAM = '(sb-alien:load-shared-object "liblz4.so.1") (defun main () (print (sb-alien:alien-funcall'
    PROGRAM += ' (sb-alien:extern-alien "LZ4_versionNumber" (function sb-alien:int)))))'

    @pytest.fixture
    def lock(self, built: Callable[..., Path], tmp_path: Path) -> Path:
        built(self.PROGRAM)
        return tmp_path / "monolisp.lock"

    def test_it_says_what_was_found(self, lock: Path) -> None:
        recipe = Cookbook().find("lz4")
        assert recipe.source is not None
        text = lock.read_text(encoding="utf-8")
        assert f'name = "lz4"\nversion = "{recipe.version}"' in text
        assert all(place.sha256 in text for place in recipe.source.places)

    def test_it_is_not_written_again(self, lock: Path, monolisp: Monolisp) -> None:
        before = lock.stat()
        assert monolisp("build", "program.lisp", "--always").code == 0
        assert (lock.stat().st_mtime_ns, lock.stat().st_ino) == (before.st_mtime_ns, before.st_ino)

    def test_another_version_is_refused_and_updated(self, lock: Path, monolisp: Monolisp) -> None:
        recipe = Cookbook().find("lz4")
        text = lock.read_text(encoding="utf-8")
        lock.write_text(text.replace(f'"{recipe.version}"', '"0.0.1"'), encoding="utf-8")
        done = monolisp("build", "program.lisp", "--always")
        assert done.code == 11
        assert "lz4 0.0.1" in done.err
        assert str(recipe) in done.err
        assert monolisp("build", "program.lisp", "--always", "--update").code == 0
        assert lock.read_text(encoding="utf-8") == text

    def test_a_damaged_one(self, lock: Path, monolisp: Monolisp) -> None:
        lock.write_text("format = 7", encoding="utf-8")
        done = monolisp("build", "program.lisp", "--always")
        assert done.code == 3
        assert "monolisp.lock" in done.err

    def test_nothing_changed(self, lock: Path, monolisp: Monolisp) -> None:
        assert "up to date" in monolisp("build", "program.lisp").out


@pytest.mark.slow
@needs("osicat")
def test_osicat(built: Callable[..., Path], tmp_path: Path) -> None:
    """Groveled constants, and a wrapper in C that expects glibc."""
    program = built(
        """
(require "asdf")
(asdf:load-system "osicat")
(defun main ()
  (format t "~a~%" (osicat-posix:strerror 2))
  (format t "~a~%" (handler-case (osicat-posix:open "/does/not/exist" osicat-posix:o-rdonly)
                     (osicat-posix:enoent () :enoent)))
  (format t "~a~%" (osicat:file-kind "/"))
  (format t "~a~%" (osicat-posix:getpid))
  (format t "~d~%" (osicat-posix:stat-size (osicat-posix:stat (second sb-ext:*posix-argv*)))))
"""
    )
    with subprocess.Popen([program, program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = child.stdout.read().splitlines()
    assert lines[:3] == ["No such file or directory", "ENOENT", "DIRECTORY"]
    assert lines[3:] == [str(child.pid), str(program.stat().st_size)]


@pytest.mark.slow
@needs("cl-cffi", "rt")
def test_cffis_own_tests(monolisp: Monolisp, tmp_path: Path) -> None:
    """All of them; docs/foreign.md says why each that fails does."""
    tree = tmp_path / "cl-cffi"
    shutil.copytree(LISP / "cl-cffi", tree)
    (tmp_path / "suite.asd").write_text(
        '(defsystem "suite" :depends-on ("cffi-tests") :components ((:file "suite")) :entry-point "suite::main")',
        encoding="utf-8",
    )
    text = "(defpackage :suite (:use :cl)) (in-package :suite) (defun main () (cffi-tests::run-all-cffi-tests))"
    (tmp_path / "suite.lisp").write_text(text, encoding="utf-8")
    # Tests are forms that are evaluated and compiled when they run: those names no build can see.
    names = "abs,sprintf,strchr,xpto_fun,sum_double_arbitrary"
    done = monolisp("build", "suite", "--registry", "cl-cffi", "--export", names)
    assert done.code == 0, done.err
    (tmp_path / "run").mkdir()
    # The groveler runs again, and wants its own header: files of a system are relative to where an executable runs.
    (tmp_path / "run" / "cffi-grovel").symlink_to(tree)
    ended = run([tmp_path / "suite"], cwd=tmp_path / "run", timeout=300)
    assert ended.out.count("331 tests total") == 2
    assert ended.out.count("1 unexpected failures: TEST-ASDF-LOAD.") == 2, ended.out[-3000:]


@needs("cl-fftw3")
@pytest.mark.slow
def test_fftw3(built: Callable[..., Path]) -> None:
    """cl-fftw3 looks for the library by absolute paths of distributions."""
    program = built(
        """
(require "asdf")
(asdf:load-system "cl-fftw3")
(defun main ()
  (loop for value across (fftw3:fftw-c-1d #(0 1 2 3 4 5 6 7))
        do (format t "~,4f ~,4f~%" (realpart value) (imagpart value))))
"""
    )
    values = [tuple(map(float, line.split())) for line in run([program]).out.splitlines()]
    assert [values[0], values[1], values[4]] == [(3.5, 0.0), (-0.5, 1.2071), (-0.5, 0.0)]
