"""What the build runtime reports of the files and directories that it opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.lisp.session import read_record


def record(*lines: bytes) -> bytes:
    return b"".join(line + b"\0" for line in lines)


def test_files_and_directories() -> None:
    files, directories, symbols = read_record(record(b"F/a.lisp", b"D/lib/", b"Sputs", b"D/", b"F/a.lisp", b"Fb c\nd"))
    assert files == {"/a.lisp", "b c\nd"}
    assert directories == {"/lib": frozenset(), "/": frozenset()}
    assert symbols == {"puts"}


@pytest.mark.parametrize(
    ("lines", "types"),
    [
        ([b"Ttxt", b"Dd", b"Etxt"], {"txt"}),
        ([b"Ttxt", b"Etxt", b"Dd"], set()),
        ([b"Ttxt", b"Dd", b"Etxt", b"Dd"], {"txt"}),
        ([b"Ttxt", b"Dd", b"Etxt", b"Tmd", b"Dd", b"Emd"], {"txt", "md"}),
        ([b"Ttxt", b"Tmd", b"Etxt", b"Dd", b"Emd"], {"md"}),
        ([b"Ttxt", b"Ttxt", b"Etxt", b"Dd", b"Etxt"], {"txt"}),
        ([b"T", b"Dd", b"E"], {""}),
        ([b"Etxt", b"Dd"], set()),
    ],
)
def test_types_that_are_looked_for(lines: list[bytes], types: set[str]) -> None:
    """Threads may list at the same time."""
    assert read_record(record(*lines))[1] == {"d": types}


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    assert sum(map(len, read_record(content))) <= content.count(b"\0") + 1
