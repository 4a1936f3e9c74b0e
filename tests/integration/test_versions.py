"""Other versions of SBCL: the tests of examples and libraries again, and versions that nothing here was written for."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from monolisp.sources.pin import DebianPlace
from monolisp.toolchain.version import DEFAULT, Linking, find_version, shipped_versions

from .conftest import Monolisp, run

HERE = Path(__file__).parent
OTHERS = [version for version in shipped_versions() if version != DEFAULT]
DEBIAN = [name for name in OTHERS if any(isinstance(place, DebianPlace) for place in find_version(name).source.places)]
# What a program may lean on: examples, C libraries and all that CFFI does.
AGAIN = ("test_examples.py", "test_libraries.py", "test_foreign.py")


@pytest.mark.slow
@pytest.mark.parametrize("file", AGAIN)
@pytest.mark.parametrize("version", DEBIAN)
def test_what_works_with_the_default_works_with(version: str, file: str, tmp_path: Path) -> None:
    passes(file, version, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("version", [version for version in OTHERS if version not in DEBIAN])
def test_the_examples_with_a_release_that_debian_does_not_have(
    version: str, monolisp: Monolisp, tmp_path: Path
) -> None:
    sources = os.environ.get("MONOLISP_SBCL_SOURCES")
    if sources is None:
        pytest.skip(f"waits for SBCL {version}'s source: MONOLISP_SBCL_SOURCES names a directory that has it")
    done = monolisp("toolchain", "build", "--sbcl", version, "--source-dir", sources)
    assert done.code == 0, done.err
    passes("test_examples.py", version, tmp_path)


def passes(file: str, version: str, tmp_path: Path) -> None:
    """The same tests, below a directory whose .sbcl-version names the other one."""
    (tmp_path / ".sbcl-version").write_text(version)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", HERE / file, f"--basetemp={tmp_path / 'again'}"]
    if find_version(version).linking is Linking.LOOKUP:
        argv += ["-m", "not prelinked"]
    done = run(argv, timeout=3000)
    assert done.code == 0, done.out[-6000:]


def test_a_pin_for_a_new_release(sbcl_source: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """Its pin says what the known one says; another machine gets the same checksum from the same tree."""
    texts = []
    for name in ("one", "two"):
        env = {"XDG_CONFIG_HOME": str(tmp_path / name), "MONOLISP_STORE": str(tmp_path / f"store-{name}")}
        done = monolisp("toolchain", "new", "2.9.1", "--from", sbcl_source, env=env)
        assert done.code == 0, done.err
        texts.append((tmp_path / name / "monolisp" / "sbcl" / "2.9.1.toml").read_text())
    assert texts[0] == texts[1]
    pin, known = tomllib.loads(texts[0]), find_version(DEFAULT)
    assert (pin["options"], pin["cflags"], pin["weaken"]) == (known.options, known.cflags, known.weaken)
    assert pin["linking"] == known.linking
    again = monolisp("toolchain", "new", "2.9.1", "--from", sbcl_source, env=env)
    assert again.code != 0
    assert "2.9.1.toml" in again.err


@pytest.mark.slow
def test_a_program_with_a_release_that_nothing_was_written_for(
    sbcl_source: Path, monolisp: Monolisp, tmp_path: Path
) -> None:
    """A release of another number: the number alone makes it another toolchain."""
    (sbcl_source / "version.lisp-expr").write_text('"2.9.1"\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert monolisp("toolchain", "new", "2.9.1", "--from", sbcl_source, env=env).code == 0
    (tmp_path / "app.lisp").write_text("(defun main () (write-line (lisp-implementation-version)))")
    done = monolisp("build", "app.lisp", "--sbcl", "2.9.1", env=env)
    assert done.code == 0, done.err
    assert run([tmp_path / "app"]).out.startswith("2.9.1")


@pytest.mark.slow
@pytest.mark.parametrize(("features", "expected"), [("+sb-safepoint", "SB-SAFEPOINT"), ("-sb-thread", "NIL")])
def test_a_variant(features: str, expected: str, monolisp: Monolisp, tmp_path: Path) -> None:
    form = f"(find :{features[1:]} (append *features* sb-impl:+internal-features+))"
    (tmp_path / "app.lisp").write_text(f"(defun main () (princ {form}))")
    done = monolisp("build", "app.lisp", f"--features={features}")
    assert done.code == 0, done.err
    assert run([tmp_path / "app"]).out == expected
    plain = monolisp("build", "app.lisp", "--json").json()
    assert plain["fresh"] is True
    assert run([tmp_path / "app"]).out != expected


def test_where_the_version_comes_from(monolisp: Monolisp, tmp_path: Path) -> None:
    """The command line before monolisp.toml, that before .sbcl-version; what is not known is told with what is near."""
    (tmp_path / "app.lisp").write_text("(defun main ())")
    (tmp_path / ".sbcl-version").write_text("2.6.44\n")
    assert "did you mean 2.6.4" in monolisp("build", "app.lisp").err
    (tmp_path / "monolisp.toml").write_text('sbcl = "2.5.22"\n')
    assert "did you mean 2.5.2" in monolisp("build", "app.lisp").err
    assert monolisp("build", "app.lisp", "--sbcl", DEFAULT).code == 0
