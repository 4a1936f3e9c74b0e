"""The wheel: everything that is needed is inside, outside of any tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .conftest import run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def test_data_files_are_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = (".toml", ".c", ".h", ".lisp", ".asd", ".json")
    data = [path for path in (ROOT / "src").rglob("*") if path.suffix in kinds]
    assert len(data) > 8
    assert {path.relative_to(ROOT / "src").as_posix() for path in data} <= names


@pytest.mark.slow
def test_installed_wheel_builds_hello(wheel: Path, toolchain: Path, tmp_path: Path) -> None:
    """In a new environment, from another directory, as pipx or uv would have it."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    pip = [tmp_path / "env" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.run(pip, check=True)
    (tmp_path / "hello.lisp").write_text('(defun main () (princ "installed"))')
    done = run(
        [tmp_path / "env" / "bin" / "monolisp", "build", "hello.lisp"], cwd=tmp_path, timeout=1800, PYTHONPATH=""
    )
    assert done.code == 0, done.err
    assert run([tmp_path / "hello"]).out == "installed"


def test_importing_the_command_is_quick(tmp_path: Path) -> None:
    """The best of several, in time of the processor, for machines are noisy: under 80 ms."""
    code = "import time; t = time.process_time(); import monolisp.cli; print(time.process_time() - t)"
    assert min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(7)) < 0.08
