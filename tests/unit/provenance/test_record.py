"""What an executable says of itself, as values and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import monolisp
from monolisp.provenance.record import (
    Archive,
    File,
    Library,
    Program,
    Provenance,
    Sbcl,
    System,
    as_json,
    decode,
    encode,
)

SCHEMA = json.loads((Path(monolisp.__file__).parent / "schemas" / "monolisp-provenance-1.schema.json").read_bytes())
DIGEST = "ab" * 32
FULL = Provenance(
    program=Program("app", "script", ("app.lisp",), "APP::MAIN", {"heap": "4GiB"}, files=(File("app.lisp", DIGEST),)),
    target="x86_64-linux-musl",
    sbcl=Sbcl("2.6.4", ("+sb-safepoint",), "MIT", (Archive("https://example.org/sbcl.tar.bz2", DIGEST),), "t"),
    libraries=(Library("sqlite", "3.46.1", "blessing", DIGEST, (Archive("a", DIGEST),), ("libsqlite3.so.0",)),),
    systems=(System("cl-ppcre", "2.1", "BSD-2-Clause", "Edi Weitz", DIGEST, "0" * 40),),
    epoch=1_700_000_000,
)


@pytest.mark.parametrize("provenance", [Provenance(), FULL])
def test_there_and_back(provenance: Provenance) -> None:
    assert decode(encode(provenance)) == provenance


def test_it_keeps_to_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(encode(FULL)), SCHEMA)


def test_an_older_record_lacks_keys_and_a_newer_one_has_more() -> None:
    told = json.loads(encode(FULL))
    del told["systems"], told["program"]["before"]
    told["schema"] = "monolisp-provenance-0"
    assert decode(json.dumps(told).encode()) == replace(FULL, systems=())
    told = {**json.loads(encode(FULL)), "schema": "monolisp-provenance-2", "weather": {"sun": 1}}
    assert decode(json.dumps(told).encode()) == FULL


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "other-1"}, "no record of monolisp's"),
        ({"target": 7}, "target is of the wrong type"),
        ({"epoch": "soon"}, "epoch is of the wrong type"),
        ({"epoch": True}, "epoch is of the wrong type"),
        ({"systems": {}}, "systems is of the wrong type"),
        ({"systems": [{"version": "1"}]}, "systems lacks a name"),
        ({"program": []}, "program is no object"),
        ({"program": {"options": {"heap": 4}}}, "heap is of the wrong type"),
    ],
)
def test_what_is_wrong_is_told(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(json.dumps({**json.loads(encode(FULL)), **change}).encode())


@given(st.binary(max_size=200) | st.just(b"[" * 100_000))
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="it is no"):
        decode(text)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "sha256", "x"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*as_json(FULL)]), ANY))
def test_any_json_is_read_or_refused(change: dict[str, Any]) -> None:
    told = {**json.loads(encode(FULL)), **change, "schema": "monolisp-provenance-1"}
    try:
        found = decode(json.dumps(told).encode())
    except ValueError:
        return
    assert decode(encode(found)) == found
