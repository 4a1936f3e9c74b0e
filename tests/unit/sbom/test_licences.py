"""What is said of a licence, and what it means."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing

import monolisp.sbom.licences
from monolisp.libraries.recipe import Cookbook
from monolisp.sbom.licences import Licence, licence_of, terms_of

TABLE = tomllib.loads(Path(monolisp.sbom.licences.__file__).with_name("licences.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("declared", "expression"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("  MIT\n  License ", "MIT"),
        ('"MIT License".', "MIT"),
        ("zlib", "Zlib"),
        ("GPLv2 or later", "GPL-2.0-or-later"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("LLGPL", "LGPL-2.1-only WITH LLGPL"),
        ("lgpl-3.0-or-later or gpl-2.0-or-later", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
        ("(MIT AND ISC) OR 0BSD", "(MIT AND ISC) OR 0BSD"),
        ("LGPL-3.0-or-later WITH LGPL-3.0-linking-exception", "LGPL-3.0-or-later WITH LGPL-3.0-linking-exception"),
    ],
)
def test_what_can_be_told(declared: str, expression: str) -> None:
    assert licence_of(declared).expression == expression


@pytest.mark.parametrize(
    "declared",
    [
        *(
            "",
            "BSD",
            "GPL",
            "LGPL",
            "GPLv2",
            "GPLv3",
            "MIT-style",
            "MIT style license",
            "Public Domain",
            "BSD, see LICENSE",
        ),
        *(
            "MIT/X11",
            "MIT AND",
            "OR",
            "AND MIT",
            "(MIT",
            "MIT ISC",
            "MIT AND GPL",
            "LicenseRef-x",
            "WITH LLGPL",
            "LLGPL MIT",
        ),
        *("MIT WITH nothing", "MIT WITH ISC", "NONE", "NOASSERTION", "public domain, MIT, BSD-3-Clause, Xerox"),
    ],
)
def test_what_cannot(declared: str) -> None:
    """Nothing is guessed: what was said stays as it is."""
    assert licence_of(declared) == Licence(declared, "")


@given(st.text(max_size=80))
def test_whatever_is_said(declared: str) -> None:
    """The meaning is SPDX's, or there is none; the reference has the characters that SPDX allows."""
    licence = licence_of(declared)
    if licence.expression:
        assert not get_spdx_licensing().validate(licence.expression).errors
    assert licence.reference.startswith("LicenseRef-")
    assert all(letter.isascii() and (letter.isalnum() or letter in "-.") for letter in licence.reference)


def test_the_table() -> None:
    """Every meaning is an SPDX expression in its normal form, every key as texts are before they are looked up."""
    licensing = get_spdx_licensing()
    for key, meaning in TABLE["means"].items():
        found = licensing.validate(meaning)
        assert (found.errors, found.normalized_expression) == ([], meaning)
        assert licence_of(key).expression == meaning


def test_recipes_say_spdx() -> None:
    for recipe in Cookbook().recipes.values():
        assert recipe.source is None or licence_of(recipe.source.licence).expression, recipe.name


def test_references_differ() -> None:
    """Texts that have the same words."""
    assert licence_of("MIT style").reference != licence_of("MIT-style").reference


def test_terms() -> None:
    assert terms_of("(MIT AND GPL-2.0-only WITH Classpath-exception-2.0) OR MIT") == [
        "MIT",
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ]
    assert terms_of("") == []
