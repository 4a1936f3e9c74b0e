"""Programs for another processor: built here, run under qemu-user, in an empty root directory."""

from __future__ import annotations

import os
import platform
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monolisp.libraries.recipe import FOLDER, Cookbook
from monolisp.target import find_target

from .conftest import EXAMPLES, PROGRAMS, Ended, Monolisp, needs_root, run

TARGET = find_target("arm64" if platform.machine() == "x86_64" else "amd64")
QEMU = shutil.which(f"qemu-{TARGET.qemu}-static")
CPU = TARGET.triple.partition("-")[0]

needs_qemu = pytest.mark.skipif(QEMU is None, reason="waits for Debian's package qemu-user-static")
# The toolchain for another processor takes minutes.
cross = [needs_qemu, pytest.mark.slow]

Cross = Callable[..., Path]


@pytest.fixture
def crossed(monolisp: Monolisp, tmp_path: Path) -> Cross:
    """Build Lisp text, or an example, for the other processor and say where the executable is."""

    def build(text: str, *options: str, name: str = "program") -> Path:
        (tmp_path / f"{name}.lisp").write_text(text, encoding="utf-8")
        done = monolisp("build", f"{name}.lisp", "--target", TARGET.triple, *options)
        assert done.code == 0, done.err
        return tmp_path / name

    return build


def emulated(program: Path, *arguments: str, stdin: bytes = b"", options: tuple[str, ...] = ()) -> Ended:
    assert QEMU is not None
    return run([QEMU, *options, program, *arguments], stdin=stdin)


def alone(program: Path, root: Path, *arguments: str, stdin: bytes = b"") -> Ended:
    """Where there is nothing but the program and qemu."""
    assert QEMU is not None
    root.mkdir(exist_ok=True)
    shutil.copy2(program, root / "program")
    shutil.copy2(QEMU, root / "qemu")
    return run(["chroot", root, "/qemu", "/program", *arguments], stdin=stdin)


# --- without a toolchain for it -------------------------------------------------------------------------------------


def test_without_qemu_nothing_begins(monolisp: Monolisp, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "make", "cat", "sbcl"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    (tmp_path / "hello.lisp").write_text("(defun main ())", encoding="utf-8")
    store = {"PATH": str(tools), "MONOLISP_STORE": str(tmp_path / "store")}
    done = monolisp("build", "hello.lisp", "--target", TARGET.triple, "--offline", env=store)
    assert done.code == 5
    assert f"qemu-{TARGET.qemu}-static was not found" in done.err
    assert "apt-get install qemu-user-static" in done.err


def test_an_unknown_target(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "hello.lisp").write_text("(defun main ())", encoding="utf-8")
    done = monolisp("build", "hello.lisp", "--target", "linux/arm46")
    assert done.code == 2
    assert "did you mean aarch64-linux-musl" in done.err


@pytest.fixture
def puts(tmp_path: Path) -> Path:
    """A C program for the other processor."""
    (tmp_path / "puts.c").write_text('#include <stdio.h>\nint main(void) { puts("hi"); return 0; }\n', encoding="utf-8")
    argv = [sys.executable, "-m", "ziglang", "cc", "-target", TARGET.triple, "-O2", "-static", "puts.c", "-o", "puts"]
    # A C library for it takes half a minute, once.
    assert run(argv, cwd=tmp_path, timeout=300).code == 0
    return tmp_path / "puts"


@needs_qemu
@pytest.mark.slow
def test_verify_runs_it_under_qemu(puts: Path, monolisp: Monolisp) -> None:
    done = monolisp("verify", puts)
    assert done.code == 0, done.out + done.err
    assert "ran in an empty root directory" in done.out


@needs_root
@needs_qemu
@pytest.mark.slow
def test_verify_without_namespaces(puts: Path) -> None:
    from monolisp.elf.confine import Way
    from monolisp.elf.facts import facts_of
    from monolisp.elf.trial import Ending, try_out

    assert QEMU is not None
    trial = try_out(facts_of(puts), ways=[Way.CHROOT], emulator=Path(QEMU))
    assert (trial.ending, trial.code, trial.output) == (Ending.EXITED, 0, "hi\n")


@pytest.mark.slow
def test_verify_without_qemu_says_so(puts: Path, monolisp: Monolisp) -> None:
    done = monolisp("verify", puts, env={"PATH": "/nonexistent"})
    assert done.code == 0, done.err
    assert "no qemu for it is on PATH" in " ".join(done.out.split())


# --- with it --------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.usefixtures("monolisp")
class TestCross:
    pytestmark = cross

    def test_hello(self, crossed: Cross, tmp_path: Path) -> None:
        program = crossed((EXAMPLES / "hello" / "hello.lisp").read_text(encoding="utf-8"))
        done = alone(program, tmp_path / "root")
        assert (done.code, done.out, done.err) == (0, "Hello from a static executable.\n", "")

    @pytest.mark.skipif(TARGET.page_size < 65536, reason="waits for a machine whose other processor has larger pages")
    @pytest.mark.parametrize("size", [4096, 16384, 65536])
    def test_every_size_of_page(self, size: int, crossed: Cross) -> None:
        text = '(defun main () (gc :full t) (format t "~a~%" (sb-alien:alien-funcall (sb-alien:extern-alien'
        program = crossed(f'{text} "getpagesize" (function sb-alien:int)))))')
        done = emulated(program, options=("-p", str(size)))
        assert (done.code, done.out) == (0, f"{size}\n"), done.err

    def test_arguments_signals_and_exit_codes_are_the_programs(self, crossed: Cross) -> None:
        program = crossed('(defun main (arguments) (format t "~s~%" arguments) (sb-ext:exit :code 7))')
        done = emulated(program, "--help", "--core", "x")
        assert (done.code, done.out) == (7, '("--help" "--core" "x")\n')

    def test_an_undefined_function_is_an_error_that_can_be_handled(self, crossed: Cross) -> None:
        """On 64-bit ARM SBCL's own routine would overwrite the return address of the caller."""
        call = '(sb-alien:alien-funcall (sb-alien:extern-alien "nowhere" (function sb-alien:int)))'
        text = f"(defun try () (handler-case {call} (error (e) (princ-to-string e))))"
        done = emulated(crossed(f'{text}\n(defun main () (dotimes (i 3) (write-line (try))) (write-line "end"))'))
        assert done.out.splitlines() == ['The alien function "nowhere" is undefined.'] * 3 + ["end"], done.err
        assert done.code == 0

    def test_built_again_behind_the_same_code(self, crossed: Cross) -> None:
        for text in ("one", "two", "three"):
            assert emulated(crossed(f'(defun main () (write-line "{text}"))')).out == f"{text}\n"

    @pytest.mark.parametrize("name", ["wc", "json-pretty", "log-report", "parallel", "evaluator"])
    def test_examples(self, name: str, monolisp: Monolisp, tmp_path: Path) -> None:
        """The same output as the same program for this machine."""
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
        inputs = [] if list(folder.glob("*.asd")) else [f"{name}.lisp"]
        both = f"{TARGET.triple},{platform.machine()}"
        done = monolisp("build", *inputs, "-o", "out", "--target", both, cwd=folder)
        assert done.code == 0, done.err
        stdin, arguments = _input(name)
        other = emulated(folder / f"out-{TARGET.triple}", *arguments, stdin=stdin)
        here = run([folder / f"out-{find_target(None).triple}", *arguments], stdin=stdin)
        assert (other.code, other.out) == (here.code, here.out), other.err
        assert other.out

    def test_foreign_libraries_are_found(self, crossed: Cross, tmp_path: Path) -> None:
        """SQLite through cl-sqlite: a database that Python reads."""
        text = """
            (require "asdf")
            (asdf:load-system "sqlite")
            (defun main ()
              (sqlite:with-open-database (db "/data.db")
                (sqlite:execute-non-query db "create table t (n integer, s text)")
                (dotimes (i 1000) (sqlite:execute-non-query db "insert into t values (?, ?)" i (format nil "~r" i)))
                (print (sqlite:execute-single db "select count(*) from t"))))"""
        program = crossed(text)
        assert alone(program, tmp_path / "root").out.strip() == "1000"
        with sqlite3.connect(tmp_path / "root" / "data.db") as database:
            assert database.execute("select s from t where n = 999").fetchone() == ("nine hundred ninety-nine",)
        assert 'name = "sqlite"' in (tmp_path / "monolisp.lock").read_text(encoding="utf-8")

    @pytest.mark.parametrize("name", [name for name in Cookbook().names if (FOLDER / f"{name}.lisp").is_file()])
    def test_a_recipe(self, name: str, monolisp: Monolisp, tmp_path: Path) -> None:
        shutil.copy(FOLDER / f"{name}.lisp", tmp_path)
        done = monolisp("build", f"{name}.lisp", "--target", TARGET.triple)
        assert done.code == 0, done.err
        ended = alone(tmp_path / name, tmp_path / "root")
        assert (ended.code, ended.out.splitlines()[-1:]) == (0, [f"{name} ok"]), ended.out + ended.err

    def test_callbacks(self, crossed: Cross) -> None:
        text = (PROGRAMS / "callbacks.lisp").read_text(encoding="utf-8")
        assert emulated(crossed(text)).out.split() == ["(1", "2", "3)"]

    def test_variadic_functions(self, crossed: Cross) -> None:
        text = """
            (require "asdf")
            (asdf:load-system "cffi")
            (defun main ()
              (write-line (cffi:with-foreign-pointer-as-string (s 64)
                            (cffi:foreign-funcall-varargs "sprintf" (:pointer s :string "%d %.2f %s")
                                                          :int 42 :double 1.5d0 :string "x"))))"""
        assert emulated(crossed(text)).out == "42 1.50 x\n"

    def test_a_groveler_and_a_wrapper(self, monolisp: Monolisp, tmp_path: Path) -> None:
        """Grovelers compile and run C of the other processor; what it says differs between the two."""
        texts = {
            "g.asd": '(defsystem "g" :defsystem-depends-on ("cffi-grovel") :serial t :entry-point "g::main"'
            ' :components ((:file "package") (:cffi-grovel-file "constants") (:cffi-wrapper-file "wrapper")'
            ' (:file "main")))',
            "package.lisp": "(defpackage :g (:use :cl :cffi))",
            "constants.lisp": '(in-package :g) (include "fcntl.h") (constant (direct "O_DIRECT"))',
            "wrapper.lisp": '(in-package :g) (c "int twice(int n) { return n + n; }") (defwrapper twice :int (n :int))',
            "main.lisp": '(in-package :g) (defun main () (format t "~o ~a~%" direct (twice 21)))',
        }
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        done = monolisp("build", "--target", f"{TARGET.triple},{platform.machine()}")
        assert done.code == 0, done.err
        # Source: Linux arch/arm64/include/uapi/asm/fcntl.h, include/uapi/asm-generic/fcntl.h.
        expected = {"aarch64": "200000 42\n", "x86_64": "40000 42\n"}
        assert emulated(tmp_path / f"g-{TARGET.triple}").out == expected[CPU]
        here = find_target(None).triple
        assert run([tmp_path / f"g-{here}"]).out == expected[here.partition("-")[0]]

    def test_all_targets(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "all.lisp").write_text("(defun main () (write-line (machine-type)))", encoding="utf-8")
        (tmp_path / "monolisp.toml").write_text(
            'files = ["all.lisp"]\ntargets = ["amd64", "arm64"]\n', encoding="utf-8"
        )
        done = monolisp("build")
        assert done.code == 0, done.err
        told = {
            emulated(tmp_path / f"all-{TARGET.triple}").out,
            run([tmp_path / f"all-{find_target(None).triple}"]).out,
        }
        assert told == {"ARM64\n", "X86-64\n"}
        again = monolisp("build")
        assert again.out.count("up to date") == 2

    def test_linkage_and_verify_read_it(self, crossed: Cross, monolisp: Monolisp) -> None:
        program = crossed("(defun main ())")
        assert "libc" in monolisp("linkage", program).out
        assert monolisp("verify", "--target", TARGET.triple, program).code == 0
        assert monolisp("verify", "--target", platform.machine(), program).code == 1


def _input(name: str) -> tuple[bytes, tuple[str, ...]]:
    """Standard input and arguments that an example makes something of."""
    words = " ".join(random.Random(1).choices(["a", "bc", "def\n"], k=100_000)).encode()
    log = (EXAMPLES / "log-report" / "access.log").read_bytes()
    return {
        "wc": (words, ()),
        "json-pretty": ('{"a": [1, 2.5, null, "é"]}'.encode(), ()),
        "log-report": (log, ()),
        "parallel": (b"", ("20000",)),
        "evaluator": (b"(defun twice (x) (* 2 x)) (twice 21) (sqrt -1) (expt 3 100)", ()),
    }[name]


@needs_root
@needs_qemu
@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="waits for an x86-64 machine that can say it is another")
def test_the_reverse(toolchain: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """A machine that does not run x86-64 programs builds one all the same: this one, when it says that it is a 32-bit
    machine (setarch), starts everything that it builds under qemu-x86_64."""
    assert toolchain.is_dir()
    (tmp_path / "hello.lisp").write_text('(defun main () (write-line "hello"))', encoding="utf-8")
    argv = ["setarch", "i686", sys.executable, "-m", "monolisp", "build", "hello.lisp", "--target", "amd64"]
    done = run([*argv], cwd=tmp_path, timeout=600, MONOLISP_STORE=os.environ.get("MONOLISP_STORE", ""))
    assert done.code == 0, done.err
    assert run([tmp_path / "hello"]).out == "hello\n"
