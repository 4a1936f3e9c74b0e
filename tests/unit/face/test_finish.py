from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from monolisp.face.face import read_wishes, wishes_text
from monolisp.face.finish import read_journal
from monolisp.libraries.wishes import RECIPES, Wishes


def test_a_journal() -> None:
    text = "library\tlibssl.so.3\t/here\nexport\tputs\t\nlibrary\t./x.so\t/a b\nheader\tzlib.h\n"
    said = [("library", "libssl.so.3", "/here"), ("export", "puts", ""), ("library", "./x.so", "/a b")]
    assert read_journal(text) == [*said, ("header", "zlib.h", "")]
    assert read_journal("") == []


def test_wishes_pass_through_the_environment() -> None:
    told = Wishes(("gmp",), ((Path("/a/libx.a"), "libx.so.1"),), (Path("/i"),), ("libz",), (RECIPES, Path("/r")))
    assert read_wishes(wishes_text(told)) == told


@given(st.builds(Wishes, st.tuples(st.text()), absent=st.tuples(st.text(), st.text())))
def test_any_wishes(wishes: Wishes) -> None:
    assert read_wishes(wishes_text(wishes)) == wishes


def test_no_wishes() -> None:
    assert read_wishes(None) == read_wishes("") == Wishes()
