"""Machine-readable output keeps to the schemas that are shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import monolisp

from .conftest import Monolisp

SCHEMAS = Path(monolisp.__file__).parent / "schemas"


def check(told: Any) -> None:
    schema = json.loads((SCHEMAS / f"{told['schema']}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(told, schema)


@pytest.fixture
def program(monolisp: Monolisp, tmp_path: Path) -> Path:
    (tmp_path / "app.lisp").write_text("(defun main () undefined-thing)")
    check(monolisp("build", "app.lisp", "--json").json())
    return tmp_path / "app"


def test_build_again(monolisp: Monolisp, program: Path) -> None:
    check(monolisp("build", "app.lisp", "--json").json())


def test_linkage(monolisp: Monolisp, program: Path) -> None:
    check(monolisp("linkage", str(program), "--json").json())


def test_inspect(monolisp: Monolisp, program: Path) -> None:
    told = monolisp("inspect", str(program), "--json").json()
    assert told["intact"]
    check(told)


def test_toolchains(monolisp: Monolisp) -> None:
    check(monolisp("toolchain", "list", "--json").json())


def test_errors(monolisp: Monolisp) -> None:
    check(monolisp("build", "nothing.lisp", "--json").json())
