"""Statements for others: in-toto's own package reads them, and they say what the record says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from monolisp.provenance.gather import tree_hash
from monolisp.provenance.record import Compiler, File, Library, Maker, Provenance
from monolisp.provenance.statement import BUILD_TYPE, BUILDER, PREDICATE_TYPE, statement

from .test_record import DIGEST, FULL

TOLD = replace(
    FULL,
    monolisp=Maker("0.1.0", DIGEST),
    compiler=Compiler("zig", "0.14.1", "musl", "1.2.5", "MIT"),
    program=replace(FULL.program, embedded=(File("data", DIGEST),), locks=(File("qlfile.lock", DIGEST),)),
    libraries=(*FULL.libraries, Library("libfoo.a", archive=DIGEST)),
)


def read(told: Provenance = TOLD) -> Any:
    return json.loads(statement("app", "cd" * 32, told))


@pytest.mark.parametrize("told", [TOLD, Provenance()])
def test_in_toto_reads_it(told: Provenance) -> None:
    """As its protocol buffers, which know no other fields."""
    text = statement("app", "cd" * 32, told)
    found = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(found).validate()
    assert found.predicate_type == PREDICATE_TYPE
    assert [(one.name, dict(one.digest)) for one in found.subject] == [("app", {"sha256": "cd" * 32})]
    predicate = json_format.ParseDict(json.loads(text)["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.build_type == BUILD_TYPE
    assert predicate.run_details.builder.id == BUILDER
    assert not predicate.run_details.HasField("metadata")


def test_the_same_values_are_the_same_bytes() -> None:
    assert statement("app", "cd" * 32, TOLD) == statement("app", "cd" * 32, replace(TOLD))
    assert statement("app", "cd" * 32, TOLD, "https://ci.example.org/1") != statement("app", "cd" * 32, TOLD)


def test_parameters_are_what_the_user_said() -> None:
    definition = read()["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "kind": "script",
        "inputs": ["app.lisp"],
        "entry": "APP::MAIN",
        "before": [],
        "options": {"heap": "4GiB"},
        "target": "x86_64-linux-musl",
    }
    assert definition["internalParameters"]["sourceDateEpoch"] == 1_700_000_000


def test_everything_that_went_in() -> None:
    found = read()["predicate"]["buildDefinition"]["resolvedDependencies"]
    named = [(one["name"], one["annotations"]["role"], one.get("digest", {})) for one in found]
    assert named == [
        ("monolisp", "build tool", {"sha256": DIGEST}),
        ("SBCL", "compiler", {"sha256": DIGEST}),
        ("zig", "C compiler", {}),
        ("musl", "libc", {}),
        ("sqlite", "library", {"sha256": DIGEST}),
        ("sqlite", "recipe", {"sha256": DIGEST}),
        ("libfoo.a", "static library", {"sha256": DIGEST}),
        ("cl-ppcre", "system", {"dirHash": DIGEST, "gitCommit": "0" * 40}),
        ("app.lisp", "file", {"sha256": DIGEST}),
        ("data", "embedded file", {"sha256": DIGEST}),
        ("qlfile.lock", "lock", {"sha256": DIGEST}),
    ]
    assert (found[1]["uri"], "uri" in found[4]) == ("https://example.org/sbcl.tar.bz2", False)
    assert found[4]["annotations"]["place"] == "a"


def test_the_hash_of_a_system_is_what_in_toto_calls_so(tmp_path: Path) -> None:
    """Its specification: sha256sum of every file, sorted by path, and the sha256 of that."""
    (tmp_path / "src").mkdir()
    files = {"app.asd": b"(defsystem app)", "src/b.lisp": b"b", "src/A.lisp": b"a"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in ("app.asd", "src/A.lisp", "src/b.lisp")]
    told = tree_hash(tmp_path / "app.asd", [tmp_path / name for name in files if name != "app.asd"])
    assert told == hashlib.sha256("".join(lines).encode()).hexdigest()
