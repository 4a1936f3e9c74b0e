"""Bad input: a clear error, its documented exit code, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monolisp.errors import Exit

from .conftest import Ended, Monolisp, needs_root, run

Built = Callable[..., Path]
GOOD = '(defun main () (princ "good"))'


def attempt(monolisp: Monolisp, folder: Path, text: str, *options: str) -> Ended:
    (folder / "bad.lisp").write_text(text, encoding="utf-8")
    return monolisp("build", "bad.lisp", *options)


def refused(done: Ended, code: Exit, *said: str) -> None:
    """The exit code, every phrase, a remedy, and no Python traceback."""
    assert done.code == code, done.err
    for phrase in said:
        assert phrase in done.err
    assert "  try: " in done.err
    assert "Traceback" not in done.err


def test_no_such_file(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "hello.lisp").write_text(GOOD)
    refused(monolisp("build", "helo.lisp"), Exit.INPUT, "no such file: helo.lisp", "did you mean hello.lisp")


def test_nothing_to_build(monolisp: Monolisp) -> None:
    refused(monolisp("build"), Exit.INPUT, "nothing to build")


def test_no_such_system(monolisp: Monolisp) -> None:
    refused(monolisp("build", "cl-pcre"), Exit.INPUT, "system cl-pcre was not found", "did you mean cl-ppcre")


def test_two_asd_files(monolisp: Monolisp, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.asd").write_text(f'(defsystem "{name}")')
    refused(monolisp("build"), Exit.INPUT, "more than one .asd file", "one.asd, two.asd")


def test_missing_dependency_names_both(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "app.asd").write_text('(defsystem "app" :depends-on ("no-such-library"))')
    done = monolisp("build")
    refused(done, Exit.INPUT, "system app needs no-such-library", "--registry")


@pytest.mark.parametrize(
    ("entry", "phrase"),
    [
        ("nowhere:run", "there is no package nowhere"),
        ("cl-user:runn", "no function"),
        ("absent", "no function"),
    ],
)
def test_wrong_entry(monolisp: Monolisp, tmp_path: Path, entry: str, phrase: str) -> None:
    refused(attempt(monolisp, tmp_path, GOOD, "--entry", entry), Exit.INPUT, phrase)


def test_entry_with_wrong_arguments(monolisp: Monolisp, tmp_path: Path) -> None:
    done = attempt(monolisp, tmp_path, "(defun main (a b) (list a b))")
    refused(done, Exit.INPUT, "MAIN takes the wrong arguments: (A B)")


def test_no_main(monolisp: Monolisp, tmp_path: Path) -> None:
    refused(attempt(monolisp, tmp_path, "(defun start ())"), Exit.INPUT, "the program has no function MAIN")


def test_two_mains(monolisp: Monolisp, tmp_path: Path) -> None:
    text = "(defpackage :a (:use :cl)) (defun a::main ()) (defpackage :b (:use :cl)) (defun b::main ())"
    refused(attempt(monolisp, tmp_path, text), Exit.INPUT, "more than one package", "A::MAIN, B::MAIN")


@pytest.mark.parametrize(
    ("text", "place", "phrase"),
    [
        ("(defun a ())\n(defun main ()\n  (princ 1)", "bad.lisp:2", "end of file"),
        ("(defun main ())\n\n(nopackage:thing)", "bad.lisp:3", "NOPACKAGE"),
        ("(defun main ())\n)", "bad.lisp:2", "parenthesis"),
    ],
)
def test_read_errors_say_the_line(monolisp: Monolisp, tmp_path: Path, text: str, place: str, phrase: str) -> None:
    refused(attempt(monolisp, tmp_path, text), Exit.LISP, place, "cannot be read", phrase)


def test_not_utf_8(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "bad.lisp").write_bytes(b'(defun main () (princ "\xff\xfe"))')
    refused(monolisp("build", "bad.lisp"), Exit.LISP, "bad.lisp", "cannot be read")


def test_compile_error_says_the_line(monolisp: Monolisp, tmp_path: Path) -> None:
    done = attempt(monolisp, tmp_path, "(defun a ())\n\n(defun main ()\n  (let ((x 1 2)) x))")
    refused(done, Exit.LISP, "bad.lisp:3", "does not compile")


def test_compile_error_in_a_system_says_the_line(monolisp: Monolisp, tmp_path: Path) -> None:
    """Behind blanks and comments, where SBCL's own place is before them."""
    (tmp_path / "s.asd").write_text('(defsystem "s" :components ((:file "a")) :entry-point "cl-user::main")')
    text = "(in-package :cl-user)\n(defun main () 1)\n\n;; a comment\n;; more\n\n(defun f () (let ((x)) (setf 5 x)))\n"
    (tmp_path / "a.lisp").write_text(text, encoding="utf-8")
    refused(monolisp("build", "s"), Exit.LISP, "a.lisp:7", "does not compile")


def test_load_error_says_the_line(monolisp: Monolisp, tmp_path: Path) -> None:
    done = attempt(monolisp, tmp_path, '(defun main ())\n(error "not today")')
    refused(done, Exit.LISP, "bad.lisp:2", "error while loading", "not today")


def test_warnings_are_shown_but_do_not_end_the_build(monolisp: Monolisp, tmp_path: Path) -> None:
    done = attempt(monolisp, tmp_path, "(defun main ()\n  undefined-thing)")
    assert done.code == 0
    assert "warning: " in done.err
    assert "UNDEFINED-THING" in done.err
    assert "bad.lisp:1" in done.err


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("(in-package :cl-user)\n(defun main () (let ((x 1 2)) x))", "does not compile"),
        ("(in-package :cl-user)\n(defun main ()", "cannot be read"),
        ('(in-package :cl-user)\n(error "at load")', "at load"),
    ],
)
def test_failures_in_a_system_say_the_file(monolisp: Monolisp, tmp_path: Path, text: str, phrase: str) -> None:
    (tmp_path / "app.asd").write_text('(defsystem "app" :components ((:file "code")) :entry-point "main")')
    (tmp_path / "code.lisp").write_text(text)
    refused(monolisp("build"), Exit.LISP, "code.lisp", phrase)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.asd", "code.lisp"]


def test_threads_left_running(monolisp: Monolisp, tmp_path: Path) -> None:
    text = '(sb-thread:make-thread (lambda () (sleep 1000)) :name "left-behind") (defun main ())'
    refused(attempt(monolisp, tmp_path, text), Exit.LISP, "could not be saved", "left-behind")


def test_exit_while_loading(monolisp: Monolisp, tmp_path: Path) -> None:
    refused(attempt(monolisp, tmp_path, f"{GOOD} (main) (sb-ext:exit)"), Exit.LISP, "ended unexpectedly", "EXIT")


def test_heap_exhausted_while_loading(monolisp: Monolisp, tmp_path: Path) -> None:
    text = "(defvar *all* nil) (loop (push (make-array 1000000) *all*))"
    done = attempt(monolisp, tmp_path, text, "--build-heap", "300MiB")
    refused(done, Exit.LISP, "--build-heap")


def test_loading_that_never_returns_can_be_interrupted(toolchain: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.lisp").write_text("(loop (sleep 1))")
    argv = [sys.executable, "-m", "monolisp", "build", "bad.lisp"]
    child = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert child.returncode == Exit.INTERRUPTED
    assert "interrupted while loading" in err
    assert "bad.lisp" in err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.lisp"]


def test_the_old_executable_survives_a_failed_build(monolisp: Monolisp, tmp_path: Path) -> None:
    assert attempt(monolisp, tmp_path, GOOD).code == 0
    before = (tmp_path / "bad").read_bytes()
    assert attempt(monolisp, tmp_path, "(oops").code == Exit.LISP
    assert (tmp_path / "bad").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "bad.lisp"]


def test_output_is_a_directory(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    refused(attempt(monolisp, tmp_path, GOOD), Exit.OUTPUT, "is a directory")


@pytest.mark.parametrize("line", [["-o", "bad.lisp"], ["-o", "../{name}/bad.lisp"], ["-o", "data"], ["-o", "part"]])
def test_output_is_an_input(monolisp: Monolisp, tmp_path: Path, line: list[str]) -> None:
    """Whether it was named, or only read while the program was loaded."""
    for name in ("data", "part.lisp"):
        (tmp_path / name).write_text("1")
    (tmp_path / "part").symlink_to("part.lisp")
    text = f'(load "part") (with-open-file (data "data") (read data)) {GOOD}'
    words = [word.format(name=tmp_path.name) for word in line]
    refused(attempt(monolisp, tmp_path, text, *words), Exit.OUTPUT, "is a file that the program is made from")
    assert {path.name for path in tmp_path.iterdir()} == {"bad.lisp", "data", "part", "part.lisp"}
    assert (tmp_path / "bad.lisp").read_text() == text


def test_a_script_without_a_type_is_not_overwritten(monolisp: Monolisp, tmp_path: Path) -> None:
    """The executable would be called the same."""
    (tmp_path / "tool").write_text(GOOD)
    refused(monolisp("build", "tool"), Exit.OUTPUT, "the output", "-o FILE")
    assert (tmp_path / "tool").read_text() == GOOD
    assert monolisp("build", "tool", "-o", "made").code == 0


def test_names_that_are_not_utf_8(monolisp: Monolisp, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.lisp")
    (tmp_path / name).write_text(GOOD)
    refused(monolisp("build", name), Exit.INPUT, "it is not UTF-8")


def test_output_directory_is_missing(monolisp: Monolisp, tmp_path: Path) -> None:
    refused(attempt(monolisp, tmp_path, GOOD, "-o", "no/where"), Exit.OUTPUT, "there is no directory")


@contextmanager
def tmpfs(directory: Path, options: str) -> Iterator[None]:
    """A file system in memory at `directory`."""
    directory.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory])
    if mounted.code != 0:
        pytest.skip("waits for a machine where tmpfs may be mounted: " + mounted.err)
    try:
        yield
    finally:
        run(["umount", directory])


@needs_root
def test_output_directory_is_not_writable(monolisp: Monolisp, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "fixed", "ro"):
        refused(attempt(monolisp, tmp_path, GOOD, "-o", "fixed/program"), Exit.OUTPUT, "is not yours to write")


@needs_root
def test_full_disk(monolisp: Monolisp, tmp_path: Path) -> None:
    """The output directory has 8 MB; an executable does not fit."""
    with tmpfs(tmp_path / "small", "size=8m"):
        refused(attempt(monolisp, tmp_path, GOOD, "-o", "small/program"), Exit.OUTPUT, "no space left")
        assert list((tmp_path / "small").iterdir()) == []


@needs_root
def test_disk_full_while_lisp_saves(monolisp: Monolisp, tmp_path: Path) -> None:
    """The second build writes beside the first one's result, which stands; there is no room for both."""
    with tmpfs(tmp_path / "small", "size=50m"):
        assert attempt(monolisp, tmp_path, GOOD, "-o", "small/program").code == 0
        refused(attempt(monolisp, tmp_path, GOOD + "; 2", "-o", "small/program"), Exit.OUTPUT, "no space left")
        assert [path.name for path in (tmp_path / "small").iterdir()] == ["program"]
        assert run([tmp_path / "small" / "program"]).out == "good"


def test_unknown_sbcl_version(monolisp: Monolisp, tmp_path: Path) -> None:
    refused(attempt(monolisp, tmp_path, GOOD, "--sbcl", "9.9.9"), Exit.USAGE, "no pin for SBCL 9.9.9", "2.6.4")


def test_unknown_target(monolisp: Monolisp, tmp_path: Path) -> None:
    refused(attempt(monolisp, tmp_path, GOOD, "--target", "z80"), Exit.USAGE, "no target z80", "x86_64-linux-musl")


def test_wrong_size(monolisp: Monolisp, tmp_path: Path) -> None:
    refused(attempt(monolisp, tmp_path, GOOD, "--heap", "lots"), Exit.USAGE, "--heap: lots")


def test_unknown_key_in_the_project_file(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "monolisp.toml").write_text('entri = "main"\n')
    refused(attempt(monolisp, tmp_path, GOOD), Exit.INPUT, "unknown key entri", "did you mean entry")


def test_json_errors(monolisp: Monolisp) -> None:
    done = monolisp("build", "absent.lisp", "--json")
    told = done.json()
    assert told["error"] == "NoSuchFile"
    assert told["exit_code"] == done.code == Exit.INPUT


def test_make_is_missing(tmp_path: Path) -> None:
    """A toolchain cannot be built without make; the error names the tool and the way to it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sbcl", "uname", "cat", "ls", "env", "apt-get", "expr", "sed", "rm", "mkdir"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    argv = [sys.executable, "-m", "monolisp", "toolchain", "build"]
    done = run(argv, cwd=tmp_path, PATH=str(tools), MONOLISP_STORE=str(tmp_path / "store"), timeout=300)
    refused(done, Exit.TOOL, "make", "monolisp doctor")


@pytest.mark.slow
def test_closed_standard_streams(built: Built, tmp_path: Path) -> None:
    """As some service managers start programs: what we open must not be taken for them."""
    program = built(GOOD, name="app")
    for closed in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"):
        program.unlink()
        command = f"{Path(sys.executable).with_name('monolisp')} build app.lisp --always {closed}"
        done = run(["sh", "-c", command], cwd=tmp_path)
        assert (done.code, done.err) == (0, ""), closed
        assert run([program]).out == "good", closed


@pytest.mark.parametrize("command", ["toolchain list --json", "doctor"])
def test_standard_output_is_full(toolchain: Path, command: str) -> None:
    done = run(["sh", "-c", f"{Path(sys.executable).with_name('monolisp')} {command} >/dev/full"])
    assert (done.code, "Traceback" in done.err) == (Exit.OUTPUT, False)
    assert "no space left" in done.err


def test_a_directory_that_is_gone(toolchain: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    command = f"rmdir ../here; {Path(sys.executable).with_name('monolisp')} build app.lisp"
    refused(run(["sh", "-c", command], cwd=tmp_path / "here"), Exit.INPUT, "is not there any more")


@pytest.mark.slow
def test_a_system_is_built_again(monolisp: Monolisp, tmp_path: Path) -> None:
    """Its executable has its name, and is no script."""
    (tmp_path / "app.asd").write_text('(defsystem "app" :components ((:file "code")) :entry-point "cl-user::main")')
    (tmp_path / "code.lisp").write_text(f"(in-package :cl-user) {GOOD}")
    for _ in range(2):
        assert monolisp("build", "app", "--always").code == 0
    assert run([tmp_path / "app"]).out == "good"


def test_no_temporary_directory(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "hello.lisp").write_text("(defun main ())", encoding="utf-8")
    done = monolisp("build", "hello.lisp", env={"TMPDIR": "/nowhere"})
    assert done.code == 9
    assert "TMPDIR" in done.err
    # The path of a socket is short: a long directory must not matter.
    long = tmp_path / ("x" * 120)
    long.mkdir()
    assert monolisp("build", "hello.lisp", env={"TMPDIR": str(long)}).code == 0
