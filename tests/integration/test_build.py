"""What a build notices, says and leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import Monolisp, run

HELLO = '(defun main () (format t "one~%"))'


def script(folder: Path, text: str, name: str = "app.lisp") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name.removesuffix(".lisp")


def test_nothing_changed_is_noticed(monolisp: Monolisp, tmp_path: Path) -> None:
    program = script(tmp_path, HELLO)
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is True
    before = program.stat().st_mtime_ns
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is False
    assert program.stat().st_mtime_ns == before
    (tmp_path / "app.lisp").touch()
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is False
    script(tmp_path, HELLO.replace("one", "two"))
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is True
    assert run([program]).out == "two\n"


@pytest.mark.slow
def test_options_and_removed_output_are_noticed(monolisp: Monolisp, tmp_path: Path) -> None:
    program = script(tmp_path, HELLO)
    monolisp("build", "app.lisp")
    assert monolisp("build", "app.lisp", "--heap", "2GiB", "--json").json()["fresh"] is True
    program.unlink()
    assert monolisp("build", "app.lisp", "--heap", "2GiB", "--json").json()["fresh"] is True


def test_files_read_while_loading_are_inputs(monolisp: Monolisp, tmp_path: Path) -> None:
    """A file that only a #. form reads, and one that LOAD loads, count as much as the script itself."""
    (tmp_path / "data.txt").write_text("first")
    (tmp_path / "part.lisp").write_text('(defparameter *part* "p1")')
    text = """
    (load (merge-pathnames "part.lisp" *load-truename*))
    (defun main ()
      (format t "~a ~a~%" *part*
              #.(with-open-file (s (merge-pathnames "data.txt" *load-truename*)) (read-line s))))
    """
    program = script(tmp_path, text)
    monolisp("build", "app.lisp")
    assert run([program]).out == "p1 first\n"
    (tmp_path / "data.txt").write_text("second")
    done = monolisp("build", "app.lisp", "--explain")
    assert f"{tmp_path / 'data.txt'} changed" in done.err
    (tmp_path / "part.lisp").write_text('(defparameter *part* "p2")')
    assert "part.lisp changed" in monolisp("build", "app.lisp", "--explain").err
    assert run([program]).out == "p2 second\n"


@pytest.mark.parametrize(
    ("pattern", "unnoticed", "noticed"),
    [
        ("data/*.txt", ["data/b.log", "b.txt"], "data/b.txt"),
        ("data/**/*.txt", [], "data/deep/b.txt"),
        ("data/*.*", [], "data/b"),
        ("data/*/", [], "data/b/c"),
        ("*.*", [".app.lisp.swp"], "new"),
    ],
)
def test_files_that_a_listing_would_find_are_inputs(
    monolisp: Monolisp, tmp_path: Path, pattern: str, unnoticed: list[str], noticed: str
) -> None:
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/a.txt").touch()
    program = script(tmp_path, f'(defun main () (format t "~d" (length \'#.(directory "{pattern}"))))')
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is True
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is False
    before = int(run([program]).out)
    for name in unnoticed:
        (tmp_path / name).touch()
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is False
    (tmp_path / noticed).parent.mkdir(exist_ok=True)
    (tmp_path / noticed).touch()
    assert monolisp("build", "app.lisp", "--json").json()["fresh"] is True
    assert int(run([program]).out) > before


def test_a_system_that_is_in_no_file(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "part.lisp").write_text('(defun part () "part")')
    program = script(tmp_path, '(asdf:load-system "inline") (defun main () (princ (part)))')
    form = f'(asdf:defsystem "inline" :pathname "{tmp_path}/" :components ((:file "part")))'
    done = monolisp("build", "app.lisp", "--eval", '(require "asdf")', "--eval", form)
    assert done.code == 0, done.err
    assert run([program]).out == "part"


def test_nothing_that_watches_the_build_stays(monolisp: Monolisp, tmp_path: Path) -> None:
    text = "(defun main () (princ (list (sb-int:encapsulated-p (quote directory) (quote monolisp-watch)) {})))"
    names = " ".join(f'(find-package "{name}")' for name in ("MONOLISP-WATCH", "MONOLISP-BUILD"))
    program = script(tmp_path, text.format(names))
    assert monolisp("build", "app.lisp").code == 0
    assert run([program]).out == "(NIL NIL NIL)"


@pytest.mark.slow
def test_sources_of_a_system_are_inputs_even_when_not_compiled_again(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "app.asd").write_text(
        '(defsystem "app" :serial t :components ((:file "a") (:file "b")) :entry-point "cl-user::main")'
    )
    (tmp_path / "a.lisp").write_text('(defparameter cl-user::*a* "a1")')
    (tmp_path / "b.lisp").write_text("(defun cl-user::main () (princ cl-user::*a*))")
    assert monolisp("build").code == 0
    (tmp_path / "b.lisp").write_text('(defun cl-user::main () (princ cl-user::*a*) (princ "b2"))')
    assert monolisp("build").code == 0
    (tmp_path / "a.lisp").write_text('(defparameter cl-user::*a* "a2")')
    assert "a.lisp changed" in monolisp("build", "--explain").err
    assert run([tmp_path / "app"]).out == "a2b2"
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["a.lisp", "app", "app.asd", "b.lisp"], "a build left files in the user's tree"


@pytest.mark.slow
def test_a_new_system_that_shadows_another_is_noticed(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / "app.asd").write_text('(defsystem "app" :components ((:file "a")) :entry-point "cl-user::main")')
    (tmp_path / "a.lisp").write_text("(defun cl-user::main () (princ 1))")
    assert monolisp("build").code == 0
    assert monolisp("build", "--json").json()["fresh"] is False
    (tmp_path / "near" / "other.asd").write_text('(defsystem "other")')
    assert monolisp("build", "--json").json()["fresh"] is True


def test_dry_run_changes_nothing(monolisp: Monolisp, tmp_path: Path) -> None:
    script(tmp_path, HELLO)
    done = monolisp("build", "app.lisp", "--dry-run")
    assert done.code == 0
    assert "will be built" in done.err
    assert "it was not built before" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["app.lisp"]


def test_several_files_and_eval_and_load(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "first.lisp").write_text('(defpackage :p (:use :cl)) (defvar cl-user::*x* (list "first"))')
    (tmp_path / "extra.lisp").write_text("(pushnew :extra *features*)")
    script(tmp_path, "(defun main () (print (list cl-user::*x* #+extra :extra #+wish :wish (symbol-value '*y*))))")
    options = ("--eval", "(defvar *y* 7)", "--load", "extra.lisp", "--feature", "wish", "-o", "out")
    done = monolisp("build", "first.lisp", "app.lisp", *options)
    assert done.code == 0, done.err
    assert run([tmp_path / "out"]).out.strip() == '(("first") :EXTRA :WISH 7)'


def test_project_file_and_command_line(monolisp: Monolisp, tmp_path: Path) -> None:
    script(tmp_path, "(defun run () (princ (sb-ext:dynamic-space-size)))")
    (tmp_path / "monolisp.toml").write_text('files = ["app.lisp"]\nentry = "run"\noutput = "named"\nheap = "300MiB"\n')
    assert monolisp("build").code == 0
    assert run([tmp_path / "named"]).out == str(300 << 20)
    assert monolisp("build", "--heap", "400MiB", "-o", "other").code == 0
    assert run([tmp_path / "other"]).out == str(400 << 20)


def test_build_pathname_names_the_output(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "app.asd").write_text(
        '(defsystem "app" :components ((:file "a")) :entry-point "cl-user::main" :build-pathname "tool")'
    )
    (tmp_path / "a.lisp").write_text("(defun cl-user::main () (princ 1))")
    assert monolisp("build").code == 0
    assert run([tmp_path / "tool"]).out == "1"
    assert monolisp("build", "--json").json()["fresh"] is False


@pytest.mark.parametrize(
    "place", ["systems/lib", ".qlot/local-projects/lib", ".clpm/lib", "quicklisp/dists/d/software/lib-1", "given/lib"]
)
def test_systems_in_project_local_trees(monolisp: Monolisp, tmp_path: Path, place: str) -> None:
    """ocicl, qlot, CLPM, a Quicklisp in the project, and --registry."""
    library = tmp_path / "elsewhere" if place.startswith("given") else tmp_path / "project"
    library = library / place
    library.mkdir(parents=True)
    (library / "lib.asd").write_text('(defsystem "lib" :components ((:file "lib")))')
    (library / "lib.lisp").write_text("(defun cl-user::answer () 42)")
    if "dists" in place:
        notes = tmp_path / "project" / "quicklisp" / "dists" / "d" / "installed" / "releases"
        notes.mkdir(parents=True)
        (notes / "lib.txt").write_text("dists/d/software/lib-1/")
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "app.asd").write_text(
        '(defsystem "app" :depends-on ("lib") :components ((:file "a")) :entry-point "cl-user::main")'
    )
    (project / "a.lisp").write_text("(defun cl-user::main () (princ (cl-user::answer)))")
    registry = ["--registry", str(library)] if place.startswith("given") else []
    done = monolisp("build", *registry, cwd=project)
    assert done.code == 0, done.err
    assert run([project / "app"]).out == "42"


def test_a_script_may_load_systems_itself(monolisp: Monolisp, tmp_path: Path) -> None:
    text = """
    (require :asdf)
    (asdf:load-system "split-sequence")
    (defun main () (format t "~s" (uiop:symbol-call :split-sequence :split-sequence #\\, "a,b")))
    """
    program = script(tmp_path, text)
    done = monolisp("build", "app.lisp", env={"HOME": str(tmp_path)})
    assert done.code == 0, done.err
    assert run([program]).out == '("a" "b")'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "app.lisp"]


@pytest.mark.slow
def test_builds_at_the_same_time(toolchain: Path, tmp_path: Path) -> None:
    """Eight builds of four programs at once: each right, nothing left behind."""
    children = []
    for number in range(8):
        text = f"(defun main () (princ {number % 4}))"
        script(tmp_path, text, f"app{number % 4}.lisp")
        argv = [sys.executable, "-m", "monolisp", "build", f"app{number % 4}.lisp"]
        children.append(subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    for child in children:
        _, err = child.communicate(timeout=300)
        assert child.returncode == 0, err.decode()
    for number in range(4):
        assert run([tmp_path / f"app{number}"]).out == str(number)
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize(
    "delay", [0.1, 0.8, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.4, 1.1, 1.4))]
)
def test_killed_at_any_moment(toolchain: Path, tmp_path: Path, delay: float) -> None:
    """After kill -9 the old executable stands, the next build works, and what was half made is not used."""
    program = script(tmp_path, HELLO)
    argv = [sys.executable, "-m", "monolisp", "build", "app.lisp"]
    assert run([*argv], cwd=tmp_path).code == 0
    script(tmp_path, HELLO.replace("one", "two"))
    child = subprocess.Popen([*argv, "--heap", f"{500 + int(delay * 10)}MiB"], cwd=tmp_path, start_new_session=True)
    time.sleep(delay)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert run([program]).out in ("one\n", "two\n")
    assert run([*argv, "--always"], cwd=tmp_path).code == 0
    assert run([program]).out == "two\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "app.lisp"]


def test_linkage_lists_every_name(monolisp: Monolisp, tmp_path: Path) -> None:
    text = """
    (defun main () (sb-alien:alien-funcall (sb-alien:extern-alien "no_such" (function sb-alien:void))))
    (defun other () (sb-alien:alien-funcall (sb-alien:extern-alien "getppid" (function sb-alien:int))))
    """
    program = script(tmp_path, text)
    monolisp("build", "app.lisp")
    rows = {row["name"]: row for row in monolisp("linkage", str(program), "--json").json()["entries"]}
    assert rows["no_such"]["defined"] == "nowhere"
    assert rows["getppid"]["defined"] == "libc"
    assert rows["dlopen"]["defined"] == "monolisp"
    assert rows["os_get_errno"] == {"name": "os_get_errno", "kind": "function", "defined": "runtime"}
    assert rows["DYNAMIC_SPACE_START"]["kind"] == "data"
    assert "no_such" in monolisp("linkage", str(program)).out


def test_linkage_of_a_plain_core(monolisp: Monolisp, toolchain: Path) -> None:
    rows = monolisp("linkage", str(toolchain / "sbcl.core"), "--json").json()["entries"]
    assert len(rows) > 200
    assert {row["defined"] for row in rows} == {"not linked yet"}


def test_linkage_of_something_else(monolisp: Monolisp) -> None:
    done = monolisp("linkage", "/bin/ls")
    assert done.code == 3
    assert "holds no SBCL core" in done.err


def test_the_executable_holds_no_table_of_names(monolisp: Monolisp, tmp_path: Path) -> None:
    """What the kernel maps does not even contain the names of libc's functions."""
    program = script(tmp_path, HELLO)
    monolisp("build", "app.lisp")
    content = program.read_bytes()
    code = content[: content.index(b"LCBS")]
    assert b"dlopen" not in code
    assert b"getaddrinfo\0" not in code


def test_toolchain_list_and_path(monolisp: Monolisp, toolchain: Path) -> None:
    listed = monolisp("toolchain", "list", "--json").json()["toolchains"]
    assert str(toolchain) in {row["path"] for row in listed}
    assert monolisp("toolchain", "path").out.strip() == str(toolchain)
    assert "SBCL 2.6.4" in monolisp("toolchain", "list").out


def test_offline_with_a_toolchain(monolisp: Monolisp, tmp_path: Path) -> None:
    script(tmp_path, HELLO)
    assert monolisp("build", "app.lisp", "--offline").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(monolisp: Monolisp, shell: str) -> None:
    done = monolisp("completion", shell)
    assert done.code == 0
    assert "--explain" in done.out


def test_doctor_says_what_is_there(monolisp: Monolisp) -> None:
    done = monolisp("doctor")
    assert done.code == 0, done.out
    assert "make" in done.out


def test_names_that_look_like_patterns(monolisp: Monolisp, tmp_path: Path) -> None:
    folder = tmp_path / "x[1] *?"
    folder.mkdir()
    (folder / "a[1].lisp").write_text("(defun main () (princ (length (monolisp:embedded-files))))")
    (folder / "b[2].txt").write_text("text")
    done = monolisp("build", "a[1].lisp", "--embed", "*.txt", "-o", "out", cwd=folder)
    assert done.code == 0, done.err
    assert run([folder / "out"]).out == "1"


def test_a_new_file_to_embed_is_noticed(monolisp: Monolisp, tmp_path: Path) -> None:
    program = script(tmp_path, "(defun main () (princ (length (monolisp:embedded-files))))")
    (tmp_path / "a.txt").touch()
    monolisp("build", "app.lisp", "--embed", "*.txt")
    (tmp_path / "b.txt").touch()
    assert monolisp("build", "app.lisp", "--embed", "*.txt", "--json").json()["fresh"] is True
    assert run([program]).out == "2"


@pytest.mark.parametrize("pattern", ["", "/etc/hostname", "../*", "nothing-*"])
def test_patterns_that_embed_nothing(monolisp: Monolisp, tmp_path: Path, pattern: str) -> None:
    script(tmp_path, HELLO)
    done = monolisp("build", "app.lisp", "--embed", pattern)
    assert done.code in (2, 3)
    assert "  try: " in done.err


def test_verbose_output_goes_wherever_standard_error_does(toolchain: Path, tmp_path: Path) -> None:
    """Also where that has no name to open it by."""
    (tmp_path / "app.lisp").write_text('(format t "while loading~%") (defun main ())')
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = [sys.executable, "-m", "monolisp", "build", "app.lisp", "-v"]
        done = subprocess.run(argv, cwd=tmp_path, stderr=theirs, stdout=subprocess.PIPE, timeout=300, check=False)
        theirs.shutdown(socket.SHUT_WR)
        said = ours.makefile("rb").read()
    assert (done.returncode, said.count(b"while loading")) == (0, 1), said
