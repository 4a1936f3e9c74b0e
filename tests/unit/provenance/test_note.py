"""The section in which an executable says what it is made of, and the seal over the rest."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monolisp.errors import BadElf, DamagedProvenance, NoProvenance
from monolisp.provenance.note import SECTION, inspect, sealing, section
from monolisp.provenance.record import Maker, Provenance, as_json
from tests.unit.elf.making import LOAD, R, Sec, Seg, X, make_elf

TOLD = Provenance(monolisp=Maker("0.1.0", "ab" * 32), target="x86_64-linux-musl")
CODE, CORE = b"code " * 100, b"core " * 3000


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "app"
    path.write_bytes(_file(section(TOLD)))
    with sealing(path):
        pass
    return path


def _file(note: bytes, code: bytes = CODE, core: bytes = CORE) -> bytes:
    sections = [Sec("lisp.core", data=core), Sec(SECTION, data=note)]
    return make_elf([Seg(LOAD, R | X, code, 0x400000)], sections)


def test_a_file_that_is_as_it_was(sealed: Path) -> None:
    found = inspect(sealed)
    assert (found.provenance, found.sealed) == (TOLD, True)


def test_every_byte_that_counts(sealed: Path) -> None:
    """The core, and what the file says; code counts by its sections, of which this one has none."""
    content = sealed.read_bytes()
    begin, end = content.index(CORE), content.index(b'"epoch"')
    for place in (begin, begin + len(CORE) - 1, content.index(b"MONOLISP") + 9, content.index(b"x86_64"), end + 8):
        damaged = bytearray(content)
        damaged[place] ^= 1
        sealed.write_bytes(damaged)
        assert not inspect(sealed).sealed


def test_a_section_that_moved(sealed: Path) -> None:
    """As strip moves them."""
    note = sealed.read_bytes()
    note = note[note.index(b"MONOLISP") :][: len(section(TOLD))]
    sections = [Sec(".other", data=b"x" * 999), Sec("lisp.core", data=CORE), Sec(SECTION, data=note)]
    sealed.write_bytes(make_elf([Seg(LOAD, R | X, CODE, 0x400000)], sections))
    assert inspect(sealed).sealed


def test_a_file_of_an_older_monolisp(tmp_path: Path) -> None:
    """Its record says less, under the name of an older schema, and its seal holds."""
    told = {key: value for key, value in as_json(TOLD).items() if key not in ("systems", "epoch")}
    note = b"MONOLISP" + bytes(32) + json.dumps({**told, "schema": "monolisp-provenance-0"}).encode()
    (tmp_path / "app").write_bytes(_file(note))
    with sealing(tmp_path / "app"):
        pass
    found = inspect(tmp_path / "app")
    assert (found.provenance, found.sealed) == (TOLD, True)


def test_a_file_of_another_maker(tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(make_elf(sections=[Sec(".text", data=CODE)]))
    with pytest.raises(NoProvenance):
        inspect(tmp_path / "app")


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (b"short", "has 5 bytes"),
        (b"NOT OURS" + bytes(32) + b"{}", "does not begin"),
        (b"MONOLISP" + bytes(32) + b"{", "no JSON"),
        (b"MONOLISP" + bytes(32) + b"{}", "no record"),
    ],
)
def test_a_damaged_note(note: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(_file(note))
    with pytest.raises(DamagedProvenance) as caught:
        inspect(tmp_path / "app")
    assert reason in caught.value.why_text


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_file_is_read_or_refused(sealed: Path, changes: list[tuple[int, int]]) -> None:
    """From the end, where headers, names and the note are, and from the begin."""
    content = bytearray(_file(section(TOLD), core=b""))
    for place, value in changes:
        content[place % len(content)] = value
    sealed.write_bytes(content)
    with suppress(BadElf, DamagedProvenance, NoProvenance):
        inspect(sealed)
