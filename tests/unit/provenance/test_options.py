"""Options in a record, there and back."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from monolisp.project import Project
from monolisp.provenance.options import archives_of, fields_of, options_of, split

HERE = Path("/here")
NAMES = st.lists(st.text(min_size=1, max_size=6), max_size=3).map(tuple)


@given(
    st.sampled_from(["1GiB", "4GiB"]),
    st.sampled_from(["2MiB", "8MiB"]),
    st.sampled_from(["1GiB", "2GiB"]),
    st.lists(NAMES, min_size=5, max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_there_and_back(
    heap: str, stack: str, build_heap: str, lists: list[tuple[str, ...]], certificates: bool, debugger: bool
) -> None:
    features, embed, exports, libraries, absent = lists
    project = Project(
        HERE,
        heap=heap,
        stack=stack,
        build_heap=build_heap,
        features=features,
        embed=embed,
        exports=exports,
        libraries=libraries,
        absent=absent,
        embed_ca=certificates,
        debugger=debugger,
    )
    assert Project(HERE, **fields_of(options_of(project))) == project


def test_what_was_not_said_is_not_recorded() -> None:
    assert options_of(Project(HERE)) == {}


def test_archives() -> None:
    project = Project(HERE, archives=((HERE / "lib,1.a", "lib.so.1"), (HERE / "b.a", "b")))
    assert options_of(project) == {"archives": "lib\\,1.a as lib.so.1,b.a as b"}
    assert archives_of(options_of(project)) == [("lib,1.a", "lib.so.1"), ("b.a", "b")]


def test_options_of_another_monolisp_are_passed_over() -> None:
    assert fields_of({"weather": "sun", "heap": "4GiB"}) == {"heap": "4GiB"}


@given(st.text())
def test_any_list_is_read(text: str) -> None:
    assert all(isinstance(item, str) for item in split(text))
