"""What real executables are made of, as bills of materials, and the licences to ship with them."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.json.json_parser import parse_from_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from .conftest import EXAMPLES, Monolisp

# Integers of any size, and C that is not under a permissive licence.
GMP = """(sb-alien:load-shared-object "libgmp.so.10")
(sb-alien:define-alien-variable ("__gmp_version" gmp-version) sb-alien:c-string)
(defun main () (princ gmp-version))
"""
ZLIB = """(sb-alien:load-shared-object "libz.so.1")
(sb-alien:define-alien-routine ("zlibVersion" zlib-version) sb-alien:c-string)
(defun main () (princ (zlib-version)))
"""


def check(cyclonedx: Path, spdx: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both documents, by the formats' own validators."""
    text = cyclonedx.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    document = parse_from_file(str(spdx))
    assert [message.validation_message for message in validate_full_spdx_document(document)] == []
    return json.loads(text), json.loads(spdx.read_bytes())


def names(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {part["bom-ref"]: part for part in told["components"]}


@pytest.mark.slow
def test_a_library_and_a_system(monolisp: Monolisp, tmp_path: Path) -> None:
    """Written by a build, also by one that has nothing to do, and read from the executable later: the same bytes."""
    directory = shutil.copytree(EXAMPLES / "json-pretty", tmp_path / "json")
    (directory / "zlib.lisp").write_text(ZLIB, encoding="utf-8")
    formats = ("--sbom", "cyclonedx", "--sbom", "spdx")
    line = ("build", "json-pretty", "--load", "zlib.lisp")
    # The first build leaves monolisp.lock, which is new to the second.
    assert monolisp(*line, cwd=directory).code == 0
    line = (*line, *formats)
    done = monolisp(*line, cwd=directory)
    assert done.code == 0, done.err
    files = [directory / f"json-pretty.{kind}.json" for kind in ("cdx", "spdx")]
    first = [file.read_bytes() for file in files]
    cyclonedx, spdx = check(*files)
    parts = names(cyclonedx)
    assert {"library/zlib", "library/musl", "lisp/sbcl", "system/yason", "system/alexandria"} <= parts.keys()
    assert parts["library/zlib"]["purl"].startswith("pkg:generic/zlib@1.3.1?checksum=sha256:")
    assert parts["library/zlib"]["licenses"][0]["license"]["id"] == "Zlib"
    assert {part["name"] for part in spdx["packages"]} >= {"zlib", "musl", "sbcl", "yason", "alexandria"}
    for file in files:
        file.unlink()
    done = monolisp(*line, cwd=directory)
    assert "up to date" in done.out
    assert [file.read_bytes() for file in files] == first
    for kind, content in zip(("cyclonedx", "spdx"), first, strict=True):
        assert monolisp("sbom", directory / "json-pretty", "--format", kind).out.encode() == content


def test_nobody_is_named(monolisp: Monolisp, built: Callable[..., Path], tmp_path: Path) -> None:
    program = built(ZLIB)
    licences = monolisp("licenses", program)
    assert licences.code == 0, licences.err
    texts = [licences.out, *(monolisp("sbom", program, "--format", kind).out for kind in ("cyclonedx", "spdx"))]
    strangers = [str(tmp_path), str(Path.home()), platform.node(), os.environ["MONOLISP_STORE"]]
    if getpass.getuser() != "root":
        strangers.append(getpass.getuser())
    for text in texts:
        assert [name for name in strangers if name in text] == []


@pytest.mark.slow
def test_licences_of_a_system(monolisp: Monolisp, tmp_path: Path) -> None:
    """Debian's packages of systems say their licences elsewhere than beside them."""
    directory = shutil.copytree(EXAMPLES / "json-pretty", tmp_path / "json")
    assert monolisp("build", cwd=directory).code == 0
    begin = time.monotonic()
    done = monolisp("licenses", directory / "json-pretty", "--offline")
    assert time.monotonic() - begin < 30
    assert done.code == 0, done.err
    assert "\n  yason " in done.out
    assert "\n  json-pretty " not in done.out
    for text in ("Hans H", "Rich Felker", "Xerox", "The MIT License (Expat)"):
        assert text in done.out


@pytest.mark.slow
def test_licences_of_gmp(monolisp: Monolisp, built: Callable[..., Path]) -> None:
    """The GNU licences are in its archive."""
    program = built(GMP)
    done = monolisp("licenses", program)
    assert done.code == 0, done.err
    assert "GNU LGPL, version 3\n  gmp 6.3.0: LGPL-3.0-or-later OR GPL-2.0-or-later" in done.out
    assert "section 4(d)(0)" in done.out
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in done.out
    assert "GNU GENERAL PUBLIC LICENSE" in done.out


def test_a_dump_with_a_compressed_core(monolisp: Monolisp, tmp_path: Path) -> None:
    form = '(sb-ext:save-lisp-and-die "dumped" :executable t :toplevel (lambda () (princ 7)) :compression 1)'
    done = monolisp("sbcl", "--non-interactive", "--eval", form)
    assert done.code == 0, done.err
    told = monolisp("sbom", tmp_path / "dumped").json()
    assert names(told)["library/zstd"]["version"]
    assert told["metadata"]["component"]["name"] == "dumped"
    assert "For Zstandard software" in monolisp("licenses", tmp_path / "dumped", "--offline").out


@pytest.mark.slow
def test_another_processor(monolisp: Monolisp, tmp_path: Path) -> None:
    shutil.copy2(EXAMPLES / "hello/hello.lisp", tmp_path)
    done = monolisp("build", "hello.lisp", "--target", "amd64,arm64", "--sbom", "spdx", "--sbom", "cyclonedx")
    assert done.code == 0, done.err
    targets = set()
    for triple in ("x86_64-linux-musl", "aarch64-linux-musl"):
        told, _ = check(*(tmp_path / f"hello-{triple}.{kind}.json" for kind in ("cdx", "spdx")))
        targets.add(told["metadata"]["properties"][0]["value"])
    assert targets == {"x86_64-linux-musl", "aarch64-linux-musl"}
