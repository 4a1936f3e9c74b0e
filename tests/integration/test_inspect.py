"""Executables say what they are made of, and notice when they are not what they were."""

from __future__ import annotations

import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import EXAMPLES, Monolisp, run

# What an executable may say of itself at most, in bytes, compressed.
MOST = 16_384


def inspected(monolisp: Monolisp, program: Path) -> dict:  # type: ignore[type-arg]
    done = monolisp("inspect", program, "--json")
    assert done.code == 0, done.err
    told: dict = done.json()  # type: ignore[type-arg]
    assert told["intact"]
    assert len(zlib.compress(json.dumps(told).encode())) < MOST
    return told


def test_a_script_with_a_library(monolisp: Monolisp, built: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "part.lisp").write_text("(defvar *part* 1)")
    (tmp_path / "data.txt").write_text("data")
    program = built(
        """(load "part.lisp")
        (sb-alien:load-shared-object "libz.so.1")
        (sb-alien:define-alien-routine ("zlibVersion" zlib-version) sb-alien:c-string)
        (defun main () (princ (zlib-version)))
        """,
        *("--heap", "2GiB", "--eval", "(defvar *x* 1)", "--embed", "data.txt"),
    )
    told = inspected(monolisp, program)
    (library,) = told["libraries"]
    assert (library["name"], library["version"], library["licence"]) == ("zlib", run([program]).out, "Zlib")
    assert library["names"] == ["libz.so.1"]
    assert [file["name"] for file in told["program"]["files"]] == ["part.lisp", "program.lisp"]
    assert [file["name"] for file in told["program"]["embedded"]] == ["data.txt"]
    assert told["program"]["options"] == {"heap": "2GiB", "build-heap": "2GiB", "embed": "data.txt"}
    assert told["program"]["before"] == ["eval (defvar *x* 1)"]


@pytest.mark.slow
def test_systems(monolisp: Monolisp, tmp_path: Path) -> None:
    """Cold or warm, the same is told: a compiled file that is still good is not read again."""
    shutil.copytree(EXAMPLES / "json-pretty", tmp_path / "json")
    found = []
    for _ in range(2):
        assert monolisp("build", "--always", cwd=tmp_path / "json").code == 0
        found.append(inspected(monolisp, tmp_path / "json" / "json-pretty"))
    assert found[0] == found[1]
    systems = {system["name"]: system for system in found[0]["systems"]}
    assert {"json-pretty", "yason", "alexandria"} <= systems.keys()
    assert systems["yason"]["licence"]
    assert systems["yason"]["author"]
    (tmp_path / "json" / "json-pretty.lisp").open("a").write("\n")
    assert monolisp("build", cwd=tmp_path / "json").code == 0
    changed = {system["name"]: system for system in inspected(monolisp, tmp_path / "json" / "json-pretty")["systems"]}
    assert {name for name, system in changed.items() if system != systems[name]} == {"json-pretty"}


def test_strip_and_damage(monolisp: Monolisp, built: Callable[..., Path]) -> None:
    program = built("(defun main () (princ 1))")
    told = inspected(monolisp, program)
    subprocess.run(["strip", program], check=True)
    assert inspected(monolisp, program) == told
    with program.open("r+b") as stream:
        stream.seek(program.stat().st_size // 2)
        stream.write(b"?")
    done = monolisp("inspect", program)
    assert done.code == 3
    assert "NO: the file was changed" in done.out
    assert "is not the file that it says it is" in done.err


def test_a_dump_by_hand(monolisp: Monolisp, tmp_path: Path) -> None:
    form = '(sb-ext:save-lisp-and-die "dumped" :executable t :toplevel (lambda () (princ 7)) :compression 1)'
    done = monolisp("sbcl", "--non-interactive", "--eval", form)
    assert done.code == 0, done.err
    told = inspected(monolisp, tmp_path / "dumped")
    assert (told["program"]["kind"], told["program"]["name"]) == ("dump", "dumped")
    assert told["sbcl"]["version"]
    assert run([tmp_path / "dumped"]).out == "7"


def test_what_others_made(monolisp: Monolisp) -> None:
    done = monolisp("inspect", "/bin/sh")
    assert done.code == 3
    assert "does not say what it is made of" in done.err
