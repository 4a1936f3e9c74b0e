"""Recipes of a project's own, and what building a library leaves behind when it goes wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import monolisp as package

from .conftest import Monolisp, run

SCHEMAS = Path(package.__file__).parent / "schemas"
PROGRAM = """
(sb-alien:load-shared-object "libgreet.so.1")
(defun main () (write-line (sb-alien:alien-funcall (sb-alien:extern-alien "greet" (function sb-alien:c-string)))))
"""
COMPILE = 'system = "compile"\nsources = ["greet.c"]\nheaders = ["greet.h"]'
STORE = Path(os.environ.get("MONOLISP_STORE", Path.home() / ".cache" / "monolisp"))

Recipe = Callable[..., list[str]]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Write recipes/greet.toml and its archive; returns the options that make them count."""

    def write(build: str = COMPILE, more: str = "") -> list[str]:
        (tmp_path / "sources").mkdir(exist_ok=True)
        (tmp_path / "recipes").mkdir(exist_ok=True)
        archive = tmp_path / "sources" / "greet-1.0.tar.gz"
        unique = tmp_path.name  # another store entry for every test
        files = {
            "greet.c": f'#include "greet.h"\nconst char *greet(void) {{ return "hello from {unique}"; }}\n',
            "greet.h": "const char *greet(void);\n#define GREETING 7\n",
        }
        with tarfile.open(archive, "w:gz") as tar:
            for name, text in files.items():
                member = tarfile.TarInfo(f"greet-1.0/{name}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        content = archive.read_bytes()
        (tmp_path / "recipes" / "greet.toml").write_text(
            f"""
summary = "Greetings of {unique}"
sonames = ["libgreet"]
headers = ["greet.h"]
packages = ["greet"]
archives = ["libgreet.a"]
{more}
[source]
name = "greet"
version = "1.0"
licence = "MIT"
[[source.place]]
url = "https://example.org/greet-1.0.tar.gz"
sha256 = "{hashlib.sha256(content).hexdigest()}"
size = {len(content)}
[build]
{build}
""",
            encoding="utf-8",
        )
        return ["--recipes", "recipes", "--source-dir", "sources", "--offline"]

    return write


def test_a_recipe_of_ones_own(monolisp: Monolisp, recipe: Recipe, tmp_path: Path) -> None:
    options = recipe()
    (tmp_path / "hello.lisp").write_text(PROGRAM, encoding="utf-8")
    done = monolisp("build", "hello.lisp", *options)
    assert done.code == 0, done.err
    assert "linked: greet 1.0 (libgreet.so.1)" in done.out
    assert run([tmp_path / "hello"]).out == f"hello from {tmp_path.name}\n"
    assert 'name = "greet"' in (tmp_path / "monolisp.lock").read_text(encoding="utf-8")


@pytest.mark.slow
def test_headers_and_packages_are_found(monolisp: Monolisp, recipe: Recipe, tmp_path: Path) -> None:
    """A groveler that includes a header, and asks pkg-config, before anything loads the library."""
    (tmp_path / "g.asd").write_text(
        '(defsystem "g" :defsystem-depends-on ("cffi-grovel") :serial t :entry-point "g::main"'
        ' :components ((:file "package") (:cffi-grovel-file "constants") (:file "main")))',
        encoding="utf-8",
    )
    texts = {
        "package": "(defpackage :g (:use :cl))",
        "constants": '(in-package :g) (pkg-config-cflags "greet") (include "greet.h") (constant (greeting "GREETING"))',
        "main": "(in-package :g) (defun main () (print greeting))",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.lisp").write_text(text, encoding="utf-8")
    done = monolisp("build", *recipe())
    assert done.code == 0, done.err
    assert run([tmp_path / "g"]).out.strip() == "7"


@pytest.mark.slow
def test_a_wrapper_that_needs_a_library(monolisp: Monolisp, recipe: Recipe, tmp_path: Path) -> None:
    """cffi-grovel links a wrapper with -lgreet, Lisp never opens greet itself; and the next build does not make the
    wrapper again."""
    texts = {
        "package": "(defpackage :g (:use :cl :cffi))",
        "wrapper": '(in-package :g) (flag "-lgreet") (include "greet.h") (defwrapper "greet" :string)',
        "main": "(in-package :g) (defvar *early* (greet)) (defun main () (write-line (greet)) (write-line *early*))",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.lisp").write_text(text, encoding="utf-8")
    components = '((:file "package") (:cffi-wrapper-file "wrapper") (:file "main"))'
    definition = '(defsystem "g" :defsystem-depends-on ("cffi-grovel") :serial t :entry-point "g::main"'
    definition += f" :components {components})"
    (tmp_path / "g.asd").write_text(definition, encoding="utf-8")
    options = recipe()
    for attempt in range(2):
        (tmp_path / "monolisp.lock").unlink(missing_ok=True)
        done = monolisp("build", "--always", *options)
        assert done.code == 0, (attempt, done.err)
        assert run([tmp_path / "g"]).out == f"hello from {tmp_path.name}\n" * 2


@pytest.mark.slow
def test_a_library_that_is_no_longer_used(monolisp: Monolisp, recipe: Recipe, tmp_path: Path) -> None:
    options = recipe()
    (tmp_path / "hello.lisp").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "other.lisp").write_text(PROGRAM, encoding="utf-8")
    assert monolisp("build", "hello.lisp", *options).code == 0
    assert monolisp("build", "other.lisp", *options).code == 0
    (tmp_path / "hello.lisp").write_text("(defun main () (print 1))", encoding="utf-8")
    done = monolisp("build", "hello.lisp", *options)
    assert done.code == 0, done.err
    assert "linked" not in done.out
    assert 'programs = ["other"]' in (tmp_path / "monolisp.lock").read_text(encoding="utf-8")
    assert monolisp("build", "other.lisp", "--update", "--always", *options).code == 0
    assert 'programs = ["other"]' in (tmp_path / "monolisp.lock").read_text(encoding="utf-8")


def test_what_it_lists(monolisp: Monolisp, recipe: Recipe, tmp_path: Path) -> None:
    recipe()
    shown = monolisp("library", "list", "--recipes", "recipes", "--json")
    built = monolisp("library", "build", "greet", "--recipes", "recipes", "--source-dir", "sources", "--json")
    for done in (shown, built):
        told = done.json()
        schema = json.loads((SCHEMAS / f"{told['schema']}.schema.json").read_text(encoding="utf-8"))
        jsonschema.validate(told, schema)
    row = next(row for row in shown.json()["libraries"] if row["name"] == "greet")
    assert (row["version"], row["licence"], row["built"]) == ("1.0", "MIT", None)
    text = monolisp("library", "show", "greet", "--recipes", "recipes").out
    assert "libgreet.a" in text
    assert str(STORE) in text


def test_a_skeleton_builds_as_it_is(monolisp: Monolisp, recipe: Recipe, tmp_path: Path) -> None:
    recipe()
    done = monolisp("library", "new", "sources/greet-1.0.tar.gz")
    assert done.code == 0, done.err
    text = done.out.replace("TODO: what it is for", f"of {tmp_path.name}").replace("TODO: its licence", "MIT")
    (tmp_path / "recipes" / "greet.toml").write_text(text, encoding="utf-8")
    options = ["--recipes", "recipes", "--source-dir", "sources", "--offline"]
    done = monolisp("library", "build", "greet", *options)
    assert done.code == 0, done.err
    assert (Path(done.out.split()[-1]) / "include" / "greet.h").is_file()


class TestFailures:
    def test_a_command_that_fails(self, monolisp: Monolisp, recipe: Recipe) -> None:
        options = recipe('system = "steps"\n[[build.step]]\nrun = ["sh", "-c", "echo what went wrong; exit 3"]')
        done = monolisp("library", "build", "greet", *options)
        assert done.code == 11
        for part in ("greet 1.0 could not be built", "what went wrong", "the whole log is"):
            assert part in done.err
        assert nothing_half_made()

    def test_promises_that_are_not_kept(self, monolisp: Monolisp, recipe: Recipe) -> None:
        done = monolisp("library", "build", "greet", *recipe('system = "steps"'))
        assert done.code == 11
        assert "lib/libgreet.a, include/greet.h, lib/pkgconfig/greet.pc" in done.err

    def test_a_library_that_fails_while_a_program_loads(
        self, monolisp: Monolisp, recipe: Recipe, tmp_path: Path
    ) -> None:
        options = recipe('system = "steps"\n[[build.step]]\nrun = ["false"]')
        (tmp_path / "hello.lisp").write_text(f"(ignore-errors {PROGRAM})(defun main ())", encoding="utf-8")
        done = monolisp("build", "hello.lisp", *options)
        assert done.code == 11
        assert "greet 1.0 could not be built" in done.err
        assert not (tmp_path / "hello").exists()

    @pytest.mark.parametrize("command", ["library", "build"])
    def test_interrupted(self, command: str, toolchain: Path, recipe: Recipe, tmp_path: Path) -> None:
        """Ctrl-C ends what a recipe started, also when Lisp is waiting for it, and keeps nothing."""
        mark = f"3{os.getpid()}{time.time_ns() % 10**6}"
        options = recipe(f'system = "steps"\n[[build.step]]\nrun = ["sleep", "{mark}"]')
        (tmp_path / "hello.lisp").write_text(PROGRAM, encoding="utf-8")
        words = ["library", "build", "greet"] if command == "library" else ["build", "hello.lisp"]
        argv = [sys.executable, "-m", "monolisp", *words, *options]
        with subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as child:
            deadline = time.monotonic() + 60
            while not sleeping(mark) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert sleeping(mark)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=30)
        assert child.returncode == 130, said
        assert not sleeping(mark)
        assert nothing_half_made()
        assert not (tmp_path / "hello").exists()


def nothing_half_made() -> bool:
    """Other tests may be building other libraries."""
    return not list((STORE / "building").glob("libraries-*/work/source/greet.c"))


def sleeping(mark: str) -> bool:
    """Whether a process `sleep MARK` runs."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == f"sleep\0{mark}\0".encode():
                return True
        except OSError:
            continue
    return False
