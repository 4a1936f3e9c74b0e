"""The manifest of a bundle, which sha256sum reads as well."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.archive.manifest import manifest_text, parse_manifest

NAMES = st.text(min_size=1, max_size=8, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, st.sampled_from(["ab" * 32, "cd" * 32]), min_size=1))
def test_there_and_back(sums: dict[str, str]) -> None:
    assert parse_manifest(manifest_text(sums)) == sums


def test_as_sha256sum_writes_it() -> None:
    """Lines that GNU coreutils 9.1 printed for files of these names and contents."""
    sums = {
        "b c": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
        "a\\\nd": "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3",
    }
    assert manifest_text(sums) == (
        "\\53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3  a\\\\\\nd\n"
        "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865  b c\n"
    )


@pytest.mark.parametrize("text", ["", "x", "ab  c\n", f"{'ab' * 32} c\n", f"{'ab' * 32}  \n"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="manifest"):
        parse_manifest(text)


@given(st.text(alphabet="\\ab0 \n", max_size=90))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_manifest(text)
