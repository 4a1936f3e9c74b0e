"""The same bytes, whoever builds, where and when."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from monolisp.store import sha256_file

from .conftest import EXAMPLES, Monolisp, run

# A program with what SBCL draws by lot, and with places in its source: symbols, types, structures, tables. (Generic
# functions still draw theirs.)
PROGRAM = """
(defpackage app (:use :cl))
(in-package app)
(deftype narrow () '(or (integer 3 99) (member :a :b app::c) (cons (integer 0 7) (vector single-float 13))))
(defstruct point (x 0 :type narrow) (y nil :type (or null (simple-array (unsigned-byte 7) (5)))))
(defvar *table* (let ((table (make-hash-table :test #'equal)))
                  (dolist (key '(a b c "d" (e f) #\\g 7 2.5)) (setf (gethash key table) (gensym "KEY")))
                  table))
(declaim (ftype (function (narrow &key (:deep (or narrow null))) (values narrow &optional)) narrowed))
(defun narrowed (n &key deep) (or deep n))
(defun main () (format t "~a ~a~%" (narrowed 5 :deep 7) (hash-table-count *table*)))
"""


def built(monolisp: Monolisp, directory: Path, text: str, **env: str) -> str:
    directory.mkdir(parents=True)
    (directory / "app.lisp").write_text(text, encoding="utf-8")
    done = monolisp("build", "app.lisp", "--always", cwd=directory, env=env)
    assert done.code == 0, done.err
    assert run([directory / "app"]).out == "7 8\n"
    return sha256_file(directory / "app")


def test_a_script_in_other_places_and_times(monolisp: Monolisp, tmp_path: Path) -> None:
    """Other directories, user names, time zones, locales, environments, parts of a second."""
    other = {"USER": "someone", "LOGNAME": "someone", "HOME": str(tmp_path / "home"), "TZ": "Asia/Tokyo"}
    found = {
        built(monolisp, tmp_path / "a", PROGRAM),
        built(monolisp, tmp_path / "a-longer" / "name" / "of" / "a-directory", PROGRAM),
        built(monolisp, tmp_path / "b", PROGRAM, **other, LC_ALL="tr_TR.UTF-8"),
        built(monolisp, tmp_path / "c", PROGRAM, **{f"VARIABLE_{number}": "x" * number for number in range(200)}),
    }
    assert len(found) == 1


def test_nothing_of_the_place_is_inside(monolisp: Monolisp, tmp_path: Path) -> None:
    built(monolisp, tmp_path / "a-place-of-mine", PROGRAM, USER="a-user-of-mine", SECRET="a-secret-of-mine")
    content = (tmp_path / "a-place-of-mine" / "app").read_bytes()
    for text in (b"a-place-of-mine", b"a-user-of-mine", b"a-secret-of-mine", os.fsencode(tmp_path)):
        assert text not in content
        assert text.decode().encode("utf-32-le") not in content


def test_another_store(toolchain: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """As on another machine: the toolchain was brought there, all else is made anew."""
    store = tmp_path / "another" / "store"
    (store / "toolchains").mkdir(parents=True)
    shutil.copytree(toolchain, store / "toolchains" / toolchain.name, symlinks=True)
    found = {
        built(monolisp, tmp_path / "here", PROGRAM),
        built(monolisp, tmp_path / "there", PROGRAM, MONOLISP_STORE=str(store)),
    }
    assert len(found) == 1


def test_an_example(monolisp: Monolisp, tmp_path: Path) -> None:
    found = set()
    for place in ("one", "two/deeper"):
        directory = Path(shutil.copytree(EXAMPLES / "evaluator", tmp_path / place))
        argv = [sys.executable, "-m", "monolisp", "build", "evaluator.lisp", "-o", "out"]
        assert run([*argv], cwd=directory).code == 0
        found.add(sha256_file(directory / "out"))
    assert len(found) == 1
