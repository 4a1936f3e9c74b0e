from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import monolisp
from monolisp.errors import BadCore, BadElf
from monolisp.link.compose import compose
from monolisp.link.listing import as_json, as_table, listing
from monolisp.link.program import LINKAGE_SECTION, linkage_note
from monolisp.linkage.names import Kind
from monolisp.linkage.table import Linked
from tests.unit.elf.making import static_program
from tests.unit.lisp.making import Name, make_core

SCHEMA = Path(monolisp.__file__).parent / "schemas/monolisp-linkage-1.schema.json"
LINKAGE = [
    Linked("puts", Kind.FUNCTION, "libc.a"),
    Linked("environ", Kind.DATA, "libc.a"),
    Linked("os_init", Kind.FUNCTION, "runtime.o"),
    Linked("no_such_function", Kind.FUNCTION, None),
]


def core_with(linkage: Sequence[Linked]) -> bytes:
    return make_core([Name(entry.name, entry.kind is Kind.DATA) for entry in linkage])


def executable(folder: Path, note: bytes | None, core: bytes | None = None) -> Path:
    (folder / "code").write_bytes(static_program())
    (folder / "core").write_bytes(core if core is not None else core_with(LINKAGE))
    notes = {} if note is None else {LINKAGE_SECTION: note}
    compose(folder / "code", folder / "core", 4096, notes, folder / "app")
    return folder / "app"


class TestExecutable:
    def test_every_name_in_order_with_its_place(self, tmp_path: Path) -> None:
        rows = listing(executable(tmp_path, linkage_note(LINKAGE)))
        assert [entry for entry, _ in rows] == LINKAGE
        assert [place for _, place in rows] == ["libc.a", "libc.a", "runtime.o", "nowhere"]

    def test_nothing_recorded(self, tmp_path: Path) -> None:
        """Made by another tool: names, but nobody knows from where."""
        rows = listing(executable(tmp_path, None))
        assert [(entry.name, entry.kind) for entry, _ in rows] == [(entry.name, entry.kind) for entry in LINKAGE]
        assert {place for _, place in rows} == {"not linked yet"}

    def test_empty(self, tmp_path: Path) -> None:
        assert listing(executable(tmp_path, linkage_note([]), core_with([]))) == []

    @pytest.mark.parametrize(
        "recorded",
        [
            LINKAGE[:-1],
            [*LINKAGE, LINKAGE[0]],
            [LINKAGE[1], LINKAGE[0], *LINKAGE[2:]],
            [Linked("put", Kind.FUNCTION, "libc.a"), *LINKAGE[1:]],
            [Linked("puts", Kind.DATA, "libc.a"), *LINKAGE[1:]],
            [],
        ],
        ids=["one fewer", "one more", "another order", "another name", "another kind", "none"],
    )
    def test_core_and_record_must_agree(self, tmp_path: Path, recorded: list[Linked]) -> None:
        path = executable(tmp_path, linkage_note(recorded))
        with pytest.raises(BadCore) as caught:
            listing(path)
        assert "do not agree" in caught.value.why_text
        assert str(path) in caught.value.what_text

    @pytest.mark.parametrize(
        "note", [b"", b"[", b"\xff", b"3", b"[1]", b"[[]]", b'[["puts"]]', b'[["puts","method",null]]', b"null"]
    )
    def test_damaged_record(self, tmp_path: Path, note: bytes) -> None:
        with pytest.raises(BadCore) as caught:
            listing(executable(tmp_path, note))
        assert caught.value.why_text == f"its section {LINKAGE_SECTION} is damaged"

    values = st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )

    @given(note=st.binary(max_size=30) | values.map(json.dumps).map(str.encode))
    @example(note=b'{"abc": 1}')
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    def test_any_record_is_refused(self, tmp_path: Path, note: bytes) -> None:
        with pytest.raises(BadCore):
            listing(executable(tmp_path, note))


class TestOthers:
    def test_core_alone(self, tmp_path: Path) -> None:
        (tmp_path / "core").write_bytes(core_with(LINKAGE))
        rows = listing(tmp_path / "core")
        assert [entry.name for entry, _ in rows] == [entry.name for entry in LINKAGE]
        assert {(entry.origin, place) for entry, place in rows} == {(None, "not linked yet")}

    def test_no_core(self, tmp_path: Path) -> None:
        (tmp_path / "app").write_bytes(static_program())
        with pytest.raises(BadCore):
            listing(tmp_path / "app")

    def test_cut_off(self, tmp_path: Path) -> None:
        path = executable(tmp_path, linkage_note(LINKAGE))
        # The last 16 bytes say where the core begins; before them is the table of sections.
        path.write_bytes(path.read_bytes()[:-17])
        with pytest.raises(BadElf):
            listing(path)


ROWS = [(entry, entry.origin or "nowhere") for entry in LINKAGE]


class TestShown:
    def test_table(self) -> None:
        assert as_table(ROWS).splitlines() == [
            "    0  puts              function  libc.a",
            "    1  environ           data      libc.a",
            "    2  os_init           function  runtime.o",
            "    3  no_such_function  function  nowhere",
        ]

    def test_empty_table(self) -> None:
        assert as_table([]) == ""

    def test_json(self) -> None:
        told = json.loads(json.dumps(as_json(ROWS)))
        assert told["schema"] == "monolisp-linkage-1"
        jsonschema.validate(told, json.loads(SCHEMA.read_text(encoding="utf-8")))
        assert told["entries"][1] == {"name": "environ", "kind": "data", "defined": "libc.a"}
        assert [row["name"] for row in told["entries"]] == [entry.name for entry in LINKAGE]
        assert told["entries"][3] == {"name": "no_such_function", "kind": "function", "defined": "nowhere"}
