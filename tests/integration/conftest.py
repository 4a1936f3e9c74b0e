"""The real command with the real toolchain. The store is the user's, or the one that MONOLISP_STORE names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from monolisp.process import run as runner
from monolisp.progress import Silent
from monolisp.sources.fetch import FetchOptions, obtain
from monolisp.sources.unpack import unpack
from monolisp.store import Store
from monolisp.toolchain.version import DEFAULT, find_version

from .real import POSTGRES, postgres

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = Path(__file__).parents[1] / "programs"

# A test that moves HOME elsewhere does not move the store.
os.environ.setdefault("MONOLISP_STORE", str(platformdirs.user_cache_path("monolisp")))


@dataclass(frozen=True)
class Ended:
    """A program that ended: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Monolisp = Callable[..., Ended]


def run(argv: list[str | Path], cwd: Path | None = None, stdin: bytes = b"", timeout: float = 120, **env: str) -> Ended:
    """Run a program with the environment's variables and `env`; Python with its usual buffers."""
    whole = {**os.environ, **env}
    whole.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(argv, cwd=cwd, input=stdin, env=whole, timeout=timeout, capture_output=True, check=False)
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@pytest.fixture(scope="session")
def toolchain() -> Path:
    """The toolchain's directory; the first test that needs it builds it (minutes)."""
    done = subprocess.run(
        [sys.executable, "-m", "monolisp", "toolchain", "build"], check=True, stdout=subprocess.PIPE, timeout=3600
    )
    return Path(done.stdout.decode().strip())


@pytest.fixture
def monolisp(toolchain: Path, tmp_path: Path) -> Monolisp:
    """The command, in a directory of the test's own."""

    def call(*arguments: str | Path, cwd: Path = tmp_path, env: Mapping[str, str] | None = None) -> Ended:
        return run([sys.executable, "-m", "monolisp", *arguments], cwd=cwd, timeout=1200, **(env or {}))

    return call


@pytest.fixture
def sbcl_source(toolchain: Path, tmp_path: Path) -> Path:
    """The pinned source of the default SBCL, unpacked."""
    assert toolchain.is_dir()
    store = Store(Path(os.environ["MONOLISP_STORE"])).prepare()
    archive = obtain(find_version(DEFAULT).source, store, FetchOptions(environ=dict(os.environ)), runner, Silent())
    unpack(archive, tmp_path / "sbcl")
    return tmp_path / "sbcl"


@pytest.fixture
def built(monolisp: Monolisp, tmp_path: Path) -> Callable[..., Path]:
    """Build Lisp text as a script and say where the executable is."""

    def build(text: str, *options: str, name: str = "program") -> Path:
        (tmp_path / f"{name}.lisp").write_text(text, encoding="utf-8")
        done = monolisp("build", f"{name}.lisp", *options)
        assert done.code == 0, done.err
        return tmp_path / name

    return build


@pytest.fixture(scope="session")
def example(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build an example once per session, from a copy of its directory, and say where its executable is."""
    made: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            directory = shutil.copytree(EXAMPLES / name, folder / name)
            before = set(directory.rglob("*"))
            script = directory / f"{name}.lisp"
            inputs = [] if list(directory.glob("*.asd")) else [script.name]
            argv = [sys.executable, "-m", "monolisp", "build", *inputs, "-o", str(folder / "out")]
            done = run([*argv], cwd=directory, timeout=600)
            assert done.code == 0, done.err
            assert set(directory.rglob("*")) == before, "a build left files in the user's tree"
            made[name] = folder / "out"
        return made[name]

    return build


def in_chroot(program: Path, root: Path, *arguments: str, stdin: bytes = b"") -> Ended:
    """Run `program` where there is nothing else: no /proc, no /dev, no /etc, no libraries."""
    root.mkdir(exist_ok=True)
    shutil.copy2(program, root / "program")
    return run(["chroot", root, "/program", *arguments], stdin=stdin)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="waits for root: chroot needs it")

needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="waits for Debian's package postgresql")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A PostgreSQL with a password and TLS on port 54329; yields the directory of its socket."""
    with postgres() as folder:
        yield folder
