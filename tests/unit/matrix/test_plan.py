from __future__ import annotations

from typing import Any

import pytest

from monolisp.errors import BadMatrix
from monolisp.matrix.plan import parse_matrix

ARM, X86 = "aarch64-linux-musl", "x86_64-linux-musl"


def test_every_program_for_every_target_with_every_sbcl() -> None:
    table = {"programs": ["a.lisp", "b"], "targets": ["amd64", "arm64"], "sbcl": ["2.6.4", "2.5.2"]}
    matrix = parse_matrix(table, "m")
    assert len(matrix.cells) == 8
    assert len({cell.output for cell in matrix.cells}) == 8
    assert set(matrix.toolchains) == {(sbcl, target) for sbcl in ("2.6.4", "2.5.2") for target in (ARM, X86)}
    assert matrix.cells[0].output == f"a-{X86}-sbcl2.6.4"


def test_one_sbcl_is_not_in_the_name() -> None:
    assert parse_matrix({"programs": ["dir/a.lisp"], "targets": ["arm64"]}, "m").cells[0].output == f"a-{ARM}"


def test_what_is_excluded() -> None:
    table = {
        "programs": ["a"],
        "targets": ["amd64", "arm64"],
        "sbcl": ["2.6.4", "2.5.2"],
        "exclude": [{"target": "linux/arm64", "sbcl": "2.5.2"}],
    }
    cells = parse_matrix(table, "m").cells
    assert {(cell.target, cell.sbcl) for cell in cells} == {(X86, "2.6.4"), (X86, "2.5.2"), (ARM, "2.6.4")}


def test_the_same_target_twice_is_one() -> None:
    assert len(parse_matrix({"programs": ["a"], "targets": ["arm64", "aarch64"]}, "m").cells) == 1


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"progams": []}, "did you mean programs?"),
        ({"programs": "a"}, "programs must be a list"),
        ({"programs": [1]}, "neither a string nor a table"),
        ({"programs": [{"inpt": "a"}]}, "did you mean input?"),
        ({"programs": [{"input": "a", "options": "x"}]}, "options must be a list of strings"),
        ({"programs": ["a", "x/a.lisp"]}, "two programs are called a"),
        ({"targets": ["arm46"]}, "there is no target arm46"),
        ({"targets": ["loongarch64"]}, "programs cannot be built for loongarch64-linux-musl"),
        ({"sbcl": ["9.9"]}, "there is no pin for SBCL 9.9"),
        ({"exclude": ["a"]}, "each must be a table"),
        ({"programs": ["a"], "exclude": [{"program": "a"}]}, "everything is excluded"),
    ],
)
def test_faults(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadMatrix) as raised:
        parse_matrix(table, "m")
    assert fault in raised.value.why_text


def test_every_fault_is_told() -> None:
    with pytest.raises(BadMatrix) as raised:
        parse_matrix({"targets": ["x"], "sbcl": ["y"], "z": 1}, "m")
    assert raised.value.why_text.count(";") >= 2
