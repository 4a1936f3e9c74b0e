"""Compiled files that are kept are used where they are what would be compiled now, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monolisp.store import sha256_file

from .conftest import Monolisp, run

LIBRARY = """
(defpackage library (:use :cl) (:export #:half #:special-p))
(in-package library)
(defun half () 0.5)
(defun special-p () #+special t #-special nil)
"""
MAIN = '(defun main () (format t "~a ~a~%" (type-of (library:half)) (library:special-p)))\n'
IN_TWO_FORMS = '(require :asdf)\n(asdf:load-system "library")\n'
IN_ONE_FORM = '(progn (require :asdf) (funcall (intern "LOAD-SYSTEM" "ASDF") "library"))\n'


def written(directory: Path, before: str, loading: str = IN_TWO_FORMS) -> Path:
    """A script that sets what is `before`, then loads a system beside it."""
    directory.mkdir(exist_ok=True)
    (directory / "library.asd").write_text('(defsystem "library" :components ((:file "library")))\n', encoding="utf-8")
    if not (directory / "library.lisp").exists():
        (directory / "library.lisp").write_text(LIBRARY, encoding="utf-8")
    (directory / "app.lisp").write_text(before + loading + MAIN, encoding="utf-8")
    return directory / "app.lisp"


def said(monolisp: Monolisp, script: Path, **env: str) -> str:
    done = monolisp("build", script.name, "--registry", ".", "--always", cwd=script.parent, env=env)
    assert done.code == 0, done.err
    return run([script.with_suffix("")]).out


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        ("(setf *read-default-float-format* 'double-float)", "DOUBLE-FLOAT NIL\n"),
        ("(pushnew :special *features*)", "SINGLE-FLOAT T\n"),
        pytest.param("(declaim (optimize (debug 3) (safety 3)))", "SINGLE-FLOAT NIL\n", marks=pytest.mark.slow),
        pytest.param("(sb-ext:restrict-compiler-policy 'safety 3)", "SINGLE-FLOAT NIL\n", marks=pytest.mark.slow),
    ],
)
def test_compiled_otherwise(before: str, answer: str, monolisp: Monolisp, tmp_path: Path) -> None:
    """What one program sets before it loads a system does not reach the next program that loads it, nor the reverse."""
    place = tmp_path / "place"
    assert said(monolisp, written(place, before)) == answer
    assert said(monolisp, written(place, "")) == "SINGLE-FLOAT NIL\n"
    plain = sha256_file(place / "app")
    elsewhere = tmp_path / "elsewhere"
    assert said(monolisp, written(elsewhere, "")) == "SINGLE-FLOAT NIL\n"
    assert sha256_file(elsewhere / "app") == plain


def test_asdf_and_a_system_in_one_form(monolisp: Monolisp, tmp_path: Path) -> None:
    """Whoever compiled the system first, and however ASDF came: the same bytes."""
    one, two = tmp_path / "one", tmp_path / "two"
    said(monolisp, written(one, "", IN_ONE_FORM))
    assert said(monolisp, written(one, "")) == said(monolisp, written(two, ""))
    assert sha256_file(one / "app") == sha256_file(two / "app")
    assert b"app.lisp" in (one / "app").read_bytes()
    assert os.fsencode(tmp_path) not in (one / "app").read_bytes()


def test_what_is_loaded_is_not_compiled_again(monolisp: Monolisp, tmp_path: Path) -> None:
    """Not even where what comes after it is compiled otherwise. Features come after a system with Quicklisp, too."""
    place = tmp_path / "place"
    place.mkdir()
    for name, needed in (("base", ""), ("top", "base")):
        definition = f'(defsystem "{name}" :depends-on ("{needed}") :components ((:file "{name}")))'.replace(
            '("")', "()"
        )
        (place / f"{name}.asd").write_text(definition, encoding="utf-8")
    (place / "base.lisp").write_text("(incf (get :base :loaded 0)) (push :base *features*)", encoding="utf-8")
    (place / "top.lisp").write_text("(defun cl-user::top () #+special :special #-special :usual)", encoding="utf-8")
    script = """(require :asdf) (asdf:load-system "base") {} (asdf:load-system "top")
                (defun main () (format t "~a ~a~%" (get :base :loaded) (top)))"""
    for between, answer in (
        ("(declaim (optimize (debug 3)))", "1 USUAL\n"),
        ("(push :special *features*)", "1 SPECIAL\n"),
        ("", "1 USUAL\n"),
    ):
        (place / "app.lisp").write_text(script.format(between), encoding="utf-8")
        assert said(monolisp, place / "app.lisp") == answer


def test_links_make_no_difference(monolisp: Monolisp, tmp_path: Path) -> None:
    """To sources, to the store: names of functions say which file they are in."""
    text = LIBRARY + '(defun cl-user::half-of (x) (funcall (lambda (y) (break "~a" y) (/ y 2)) x))\n'
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other-name.lisp").write_text(text, encoding="utf-8")
    script = written(place, "")
    (place / "library.lisp").unlink()
    (place / "library.lisp").symlink_to(elsewhere / "other-name.lisp")
    store = tmp_path / "link-to-store"
    store.symlink_to(os.environ["MONOLISP_STORE"])
    (tmp_path / "link").symlink_to(place)
    said(monolisp, tmp_path / "link" / script.name, MONOLISP_STORE=str(store))
    linked = (place / "app").read_bytes()
    assert b"library/library.lisp" in linked
    assert b"other-name" not in linked
    assert os.fsencode(tmp_path) not in linked
    (place / "library.lisp").unlink()
    (place / "library.lisp").write_text(text, encoding="utf-8")
    said(monolisp, script)
    assert (place / "app").read_bytes() == linked


def test_a_source_that_was_written_long_ago(monolisp: Monolisp, tmp_path: Path) -> None:
    """A package or an archive brings files with the times of those who made it."""
    script = written(tmp_path / "place", "")
    assert said(monolisp, script) == "SINGLE-FLOAT NIL\n"
    library = script.with_name("library.lisp")
    library.write_text(LIBRARY.replace("0.5", "0.5d0"), encoding="utf-8")
    os.utime(library, (1_000_000_000, 1_000_000_000))
    assert said(monolisp, script) == "DOUBLE-FLOAT NIL\n"


def test_definitions_are_loaded_once(monolisp: Monolisp, tmp_path: Path) -> None:
    """Also after the program is loaded, when its sources are told: ASDF would load what its definition depends on."""
    (tmp_path / "app.asd").write_text(
        """(defvar cl-user::*times* 0)
           (incf cl-user::*times*)
           (defsystem "app" :depends-on ("app/more") :entry-point "cl-user::main")
           (defsystem "app/more" :components ((:file "more")))""",
        encoding="utf-8",
    )
    (tmp_path / "more.lisp").write_text("(defun cl-user::main () (princ cl-user::*times*))", encoding="utf-8")
    for file in ("app.asd", "more.lisp"):
        os.utime(tmp_path / file, (1_000_000_000, 1_000_000_000))
    for _ in ("cold", "warm"):
        done = monolisp("build", "app", "--always")
        assert done.code == 0, done.err
        assert run([tmp_path / "app"]).out == "1"


def test_a_list_that_looks_like_a_place_stays(monolisp: Monolisp, tmp_path: Path) -> None:
    """SBCL names functions by their files, (LAMBDA () :IN "/me/app.lisp"); a program may have such lists."""
    (tmp_path / "app.lisp").write_text(
        """(defvar *places* '((:in "/srv/data" :out "/srv/more")))
        (defun main () (format t "~s~%" *places*))""",
        encoding="utf-8",
    )
    assert said(monolisp, tmp_path / "app.lisp") == '((:IN "/srv/data" :OUT "/srv/more"))\n'
