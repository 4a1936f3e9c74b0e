from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.remote.record import Record, parse_record, record_text

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
RECORDS = st.builds(Record, st.text(), st.text(), HEX, st.integers(1, 1 << 33), st.integers(1, 1 << 33))


@given(RECORDS, st.text())
def test_read_as_written(record: Record, signature: str) -> None:
    assert parse_record(record_text(record, signature)) == (record, record.content, signature)


@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
        ).map(json.dumps),
    )
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse_record(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "x"),
        ("kind", 1),
        ("archive", "../x"),
        ("archive", "A" * 64),
        ("size", 0),
        ("size", -1),
        ("unpacked", 1 << 40),
    ],
)
def test_values_that_make_no_sense(key: str, value: object) -> None:
    table = json.loads(Record("k", "d", "0" * 64, 1, 1).content) | {key: value}
    with pytest.raises(ValueError):
        parse_record(json.dumps({"record": json.dumps(table), "signature": ""}))
