"""STATIC-PROGRAM-OP: the ASDF operation that builds from any Lisp, tried in Debian's SBCL."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import monolisp

from .conftest import Ended, run

FOLDER = Path(monolisp.__file__).parent / "asdf"
LOADED = f'(load "{FOLDER}/static-program-op.lisp")'
FOUND = f'(push "{FOLDER}/" asdf:*central-registry*)'
COMMANDS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
STOCK = shutil.which("sbcl")
pytestmark = pytest.mark.skipif(STOCK is None, reason="waits for Debian's sbcl")

DEFINITION = '(defsystem "greeter" :entry-point "greeter:main" :components ((:file "main")) {})'
SOURCE = """
(defpackage #:greeter (:use #:cl) (:export #:main))
(in-package #:greeter)
(defun main () (format t "hello from ~a~%" (lisp-implementation-version)) t)
"""

Script = Callable[..., Ended]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Write the system "greeter", whose name is also its directory's."""

    def write(options: str = "", source: str = SOURCE) -> Path:
        directory = tmp_path / "a place" / "greeter"
        directory.mkdir(parents=True)
        (directory / "greeter.asd").write_text(DEFINITION.format(options))
        (directory / "main.lisp").write_text(source)
        return directory

    return write


@pytest.fixture
def stock(toolchain: Path, tmp_path: Path) -> Script:
    """Evaluate forms in the stock SBCL."""

    def call(*forms: str, **env: str) -> Ended:
        script = tmp_path / "script.lisp"
        script.write_text("\n".join(['(require "asdf")', *forms]))
        return run([str(STOCK), "--script", script], cwd=tmp_path, **{"PATH": COMMANDS, **env})

    return call


def registered(directory: Path) -> str:
    return f'(asdf:load-asd "{directory}/greeter.asd")'


def test_a_system_becomes_an_executable_beside_it(stock: Script, project: Callable[..., Path]) -> None:
    directory = project()
    where = '(format t "at ~a~%" (uiop:native-namestring (asdf:output-file :static-program-op "greeter")))'
    operate = ("(asdf:operate :static-program-op :greeter)", '(asdf:operate :static-program-op "greeter")')
    done = stock(LOADED, registered(directory), *operate, where)
    assert done.code == 0, done.err
    # A busy machine makes monolisp tell of its progress in between.
    first, second, place = [line for line in done.out.splitlines() if line.startswith(("greeter: ", "at "))]
    assert first.startswith("greeter: ") and first.endswith("truly static")
    assert second == "greeter: up to date"
    assert place == f"at {directory / 'greeter'}"
    assert run([directory / "greeter"]).out == "hello from 2.6.4\n"


@pytest.mark.slow
def test_make_builds_what_the_definition_says(stock: Script, project: Callable[..., Path]) -> None:
    options = ':defsystem-depends-on ("monolisp-asdf") :build-operation "static-program-op"'
    directory = project(f'{options} :build-pathname "bin/greet.static"')
    done = stock(FOUND, registered(directory), '(asdf:make "greeter")')
    assert done.code == 0, done.err + done.out
    assert run([directory / "bin" / "greet.static"]).out == "hello from 2.6.4\n"


def test_what_the_environment_says_of_systems_holds(
    stock: Script, project: Callable[..., Path], tmp_path: Path
) -> None:
    directory = project(':depends-on ("elsewhere")', SOURCE.replace("lisp-implementation-version", "elsewhere:word"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "elsewhere.asd").write_text('(defsystem "elsewhere" :components ((:file "code")))')
    (other / "code.lisp").write_text(
        "(defpackage #:elsewhere (:use #:cl) (:export #:word))\n(defun elsewhere:word () :there)"
    )
    operate = '(asdf:operate :static-program-op "greeter")'
    done = stock(LOADED, registered(directory), operate, CL_SOURCE_REGISTRY=f"{other}:")
    assert done.code == 0, done.err + done.out
    assert run([directory / "greeter"]).out == "hello from THERE\n"


def test_a_failure_is_an_error_with_monolisps_message_before(stock: Script, project: Callable[..., Path]) -> None:
    directory = project(source=SOURCE.replace("()", "oops"))
    operate = '(asdf:operate :static-program-op "greeter")'
    done = stock(LOADED, registered(directory), f'(handler-case {operate} (error (e) (format t "caught: ~a~%" e)))')
    said, _, caught = done.out.partition("caught: ")
    assert f"error: {directory / 'main.lisp'}:" in said
    assert "does not compile" in said
    assert caught == "monolisp build greeter: exit code 4. What it said is above.\n"


def test_without_monolisp_an_error_says_what_to_install(stock: Script, project: Callable[..., Path]) -> None:
    operate = '(asdf:operate :static-program-op "greeter")'
    done = stock(LOADED, registered(project()), operate, PATH="/nowhere")
    assert done.code != 0
    assert "no command monolisp on PATH" in done.err
    assert "pipx install" in done.err


@pytest.mark.slow
def test_the_static_sbcl_itself_can_operate(toolchain: Path, project: Callable[..., Path], tmp_path: Path) -> None:
    directory = project()
    forms = ['(require "asdf")', LOADED, registered(directory), '(asdf:operate :static-program-op "greeter")']
    (tmp_path / "script.lisp").write_text("\n".join(forms))
    argv = [sys.executable, "-m", "monolisp", "sbcl", "--script", str(tmp_path / "script.lisp")]
    done = run([*argv], PATH=COMMANDS)
    assert done.code == 0, done.err
    assert run([directory / "greeter"]).out == "hello from 2.6.4\n"
