"""bin/monolisp and the shell text that makes it start SBCL without Python."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from monolisp import __version__
from monolisp.cli.launch import launch_text, write_launch
from monolisp.face.face import Face, Surroundings
from monolisp.options import parser, split
from monolisp.target import find_target
from monolisp.toolchain.toolchain import Toolchain

SCRIPT = Path(__file__).parents[2] / "bin" / "monolisp"


@pytest.fixture
def face(tmp_path: Path) -> Face:
    """A face whose SBCL prints its arguments and a few variables."""
    path = tmp_path / "the store" / "faces" / "f"
    (path / "bin").mkdir(parents=True)
    said = '"$@" "$PATH" "${SBCL_HOME-none}" "$ASDF_OUTPUT_TRANSLATIONS" "$CC"'
    (path / "bin" / "sbcl").write_text(f"#!/bin/sh\nprintf '%s\\n' sbcl {said}\n", encoding="utf-8")
    (path / "bin" / "sbcl").chmod(0o755)
    return Face(path, Toolchain(tmp_path, "d", "2.6.4", find_target(None)))


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The script as installed, beside a Python that only says that it was started."""
    folder = tmp_path / "in stalled"
    folder.mkdir()
    (folder / "monolisp").write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "monolisp-python").write_text('#!/bin/sh\nprintf "%s\\n" python "$@"\n', encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder / "monolisp"


def start(launcher: Path, face: Face, *arguments: str, cwd: Path | None = None, **env: str) -> list[str]:
    whole = {"PATH": "/usr/bin:/bin", "MONOLISP_STORE": str(face.store), **env}
    done = subprocess.run(
        [launcher, *arguments], env=whole, cwd=cwd or launcher.parent, capture_output=True, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


def around(face: Face) -> Surroundings:
    translations = '(:output-translations (t "/a/") :ignore-inherited-configuration)'
    return Surroundings((face.bin,), {"CC": "cc"}, {"ASDF_OUTPUT_TRANSLATIONS": translations})


def write(face: Face, launcher: Path) -> None:
    write_launch(face, around(face), str(launcher))


def test_python_decides_first(launcher: Path, face: Face) -> None:
    assert start(launcher, face, "sbcl", "--version") == ["python", "sbcl", "--version"]
    assert start(launcher, face, "build", "a b") == ["python", "build", "a b"]


def test_then_none_starts(launcher: Path, face: Face) -> None:
    write(face, launcher)
    home = {"SBCL_HOME": "/usr/lib/sbcl"}
    said = start(launcher, face, "sbcl", "--eval", '(print "a b")', "", **home)
    assert said[:4] == ["sbcl", "--eval", '(print "a b")', ""]
    path, home_seen, translations, compiler = said[4:]
    assert path == f"{face.bin}:/usr/bin:/bin"
    assert (home_seen, compiler) == ("none", "cc")
    assert translations == '(:output-translations (t "/a/") :ignore-inherited-configuration)'
    own = start(launcher, face, "sbcl", ASDF_OUTPUT_TRANSLATIONS="mine")
    assert own[3] == "mine"
    assert start(launcher, face, "build", "x") == ["python", "build", "x"]


@pytest.mark.parametrize("option", ["--with", "--with=gmp", "--sbcl", "--offline", "--core", "--", "--soname=x"])
def test_options_to_look_into(option: str, launcher: Path, face: Face) -> None:
    write(face, launcher)
    assert start(launcher, face, "sbcl", option, "x") == ["python", "sbcl", option, "x"]


def test_a_project_file(launcher: Path, face: Face, tmp_path: Path) -> None:
    write(face, launcher)
    (tmp_path / "monolisp.toml").touch()
    assert start(launcher, face, "sbcl", "x", cwd=tmp_path) == ["python", "sbcl", "x"]


def test_another_installation(launcher: Path, face: Face) -> None:
    write(face, launcher.parent / "other")
    assert start(launcher, face, "sbcl") == ["python", "sbcl"]


def test_what_it_depends_on_is_newer(launcher: Path, face: Face) -> None:
    write(face, launcher)
    written = face.store / "launch" / f"sbcl-{__version__}"
    os.utime(written, (1, 1))
    assert start(launcher, face, "sbcl") == ["python", "sbcl"]


def test_the_face_is_gone(launcher: Path, face: Face) -> None:
    write(face, launcher)
    face.runtime.unlink()
    assert start(launcher, face, "sbcl") == ["python", "sbcl"]


def test_through_a_link(launcher: Path, face: Face, tmp_path: Path) -> None:
    """As pipx installs commands."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "monolisp").symlink_to(launcher)
    assert start(tmp_path / "bin" / "monolisp", face, "doctor") == ["python", "doctor"]


def test_nothing_is_left_behind(launcher: Path, face: Face) -> None:
    for _ in range(2):
        write(face, launcher)
    assert [path.name for path in (face.store / "launch").iterdir()] == [f"sbcl-{__version__}"]


def test_the_script_knows_its_version() -> None:
    assert f"\nmonolisp_version={__version__}\n" in SCRIPT.read_text(encoding="utf-8")


def test_what_the_text_depends_on_is_there(face: Face) -> None:
    text = launch_text(face, around(face), "monolisp")
    package = re.search(r"^monolisp_p=(\S+)", text)
    assert package is not None
    named = re.findall(r'"\$monolisp_p/(\S+)" -nt', text)
    assert len(named) > 50
    assert [name for name in named if not Path(package[1], name).exists()] == []


@pytest.mark.parametrize(
    ("line", "ours", "rest"),
    [
        ("build x", "build x", ""),
        ("sbcl", "sbcl", ""),
        ("sbcl --version", "sbcl", "--version"),
        ("sbcl --with gmp --script x --with y", "sbcl --with gmp", "--script x --with y"),
        ("sbcl --with=gmp --offline --eval 1", "sbcl --with=gmp --offline", "--eval 1"),
        ("sbcl --sbcl 2.6.4 -- --with x", "sbcl --sbcl 2.6.4", "--with x"),
        ("exec -- make -j2", "exec", "make -j2"),
        ("exec make", "exec", "make"),
        ("exec --with-archive a.a --soname b -- make", "exec --with-archive a.a --soname b", "make"),
        ("sbcl --with", "sbcl --with", ""),
    ],
)
def test_split(line: str, ours: str, rest: str) -> None:
    assert split(line.split()) == (ours.split(), rest.split())


def test_split_takes_what_the_parser_takes() -> None:
    told = parser().parse_args(["sbcl", "--with", "a", "--with-archive", "x.a", "--soname", "b", "--absent", "c"])
    assert (told.libraries, told.archives, told.absent) == (["a"], ["x.a as b"], ["c"])
