from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monolisp.errors import BadPin
from monolisp.sources.pin import DebianPlace, Pin, UpstreamPlace, parse_pin
from monolisp.toolchain.version import find_version, shipped_versions

SHA = "0123456789abcdef" * 4
TABLE: dict[str, Any] = tomllib.loads(f"""
name = "gmp"
version = "6.3.0"
licence = "LGPL-3.0-or-later"

[[place]]
url = "https://example.org/gmp/gmp-6.3.0.tar.xz"
sha256 = "{SHA}"
size = 12

[[place]]
debian = "gmp"
version = "2:6.3.0+dfsg-3"
suite = "trixie"
file = "gmp_6.3.0+dfsg.orig.tar.xz"
sha256 = "{SHA[::-1]}"
size = 13
""")


def with_place(**changes: object) -> dict[str, Any]:
    """TABLE with other values in its first place; None takes a key away."""
    table = copy.deepcopy(TABLE)
    place = {**table["place"][0], **changes}
    table["place"][0] = {key: value for key, value in place.items() if value is not None}
    return table


def test_both_kinds_of_places_in_their_order() -> None:
    pin = parse_pin(TABLE, "here")
    assert pin == Pin(
        "gmp",
        "6.3.0",
        "LGPL-3.0-or-later",
        (
            UpstreamPlace("https://example.org/gmp/gmp-6.3.0.tar.xz", "gmp-6.3.0.tar.xz", SHA, 12),
            DebianPlace("gmp", "2:6.3.0+dfsg-3", "trixie", "gmp_6.3.0+dfsg.orig.tar.xz", SHA[::-1], 13),
        ),
    )
    assert pin.files == "gmp-6.3.0.tar.xz or gmp_6.3.0+dfsg.orig.tar.xz"
    assert str(pin) == "gmp 6.3.0"


def test_an_address_that_does_not_end_with_the_file_name() -> None:
    pin = parse_pin(with_place(url="https://example.org/get?id=1", file="gmp.tar.xz"), "here")
    assert pin.places[0].file == "gmp.tar.xz"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"url": "ftp://example.org/a.tar"}, "place 1: url: 'ftp://example.org/a.tar' is not an http or https address"),
        ({"url": "file:///etc/passwd"}, "place 1: url:"),
        ({"url": None}, "place 1: needs either url or debian"),
        ({"debian": "gmp"}, "place 1: needs either url or debian"),
        ({"url": "https://example.org/"}, "place 1: file: '' is not a file name without directories"),
        ({"file": "../gmp.tar"}, "place 1: file:"),
        ({"file": ".hidden"}, "place 1: file:"),
        ({"sha256": None}, "place 1: sha256: (nothing) is not 64 hexadecimal digits"),
        ({"sha256": SHA.upper()}, "place 1: sha256:"),
        ({"sha256": SHA[:-1]}, "place 1: sha256:"),
        ({"sha256": SHA + "\n"}, "place 1: sha256:"),
        ({"size": 0}, "place 1: size:"),
        ({"size": True}, "place 1: size:"),
        ({"size": "12"}, "place 1: size:"),
        ({"sha265": SHA}, "place 1: unknown key sha265 (did you mean sha256?)"),
    ],
)
def test_what_is_wrong_with_a_place_is_said(changes: dict[str, object], fault: str) -> None:
    with pytest.raises(BadPin) as raised:
        parse_pin(with_place(**changes), "recipes/gmp.toml")
    assert fault in raised.value.why_text
    assert "recipes/gmp.toml" in raised.value.what_text


@pytest.mark.parametrize("key", ["debian", "version", "suite"])
def test_no_value_can_be_taken_for_an_option_of_apt(key: str) -> None:
    table = copy.deepcopy(TABLE)
    table["place"][1][key] = "-oDir::Bin::dpkg=x"
    with pytest.raises(BadPin):
        parse_pin(table, "here")


def test_every_fault_is_reported_at_once() -> None:
    table = {"name": "GMP", "licens": "MIT", "place": [{"url": "x", "size": 1}, 7]}
    with pytest.raises(BadPin) as raised:
        parse_pin(table, "here")
    for fault in ("licens (did you mean licence?)", "name:", "version:", "place 1: url:", "sha256:", "place 2: is no"):
        assert fault in raised.value.why_text


@pytest.mark.parametrize("places", [None, [], "x", {"url": "y"}])
def test_a_pin_needs_a_place(places: object) -> None:
    with pytest.raises(BadPin, match="pinned source") as raised:
        parse_pin({**TABLE, "place": places}, "here")
    assert "place: at least one is needed" in raised.value.why_text


KEYS = st.sampled_from(["name", "version", "licence", "place", "url", "file", "sha256", "size", "debian", "suite", "x"])
VALUES = st.one_of(
    st.text("abcX09:/._- é", max_size=8), st.integers(), st.booleans(), st.just(SHA), st.just("https://a/b"), st.none()
)
PLACES = st.lists(st.dictionaries(KEYS, VALUES, max_size=7), max_size=3)


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.one_of(VALUES, PLACES), max_size=6))
def test_any_table_gives_a_pin_or_its_faults(table: dict[str, object]) -> None:
    try:
        pin = parse_pin(table, "here")
    except BadPin as error:
        assert error.why_text
    else:
        assert pin.places
        assert all(len(place.sha256) == 64 and place.size >= 0 and "/" not in place.file for place in pin.places)


@pytest.mark.parametrize("version", shipped_versions())
def test_the_pins_that_are_shipped(version: str) -> None:
    source = find_version(version).source
    assert (source.name, source.version) == ("sbcl", version)
    assert isinstance(source.places[0], UpstreamPlace), "upstream comes first for users elsewhere"
    assert len({place.sha256 for place in source.places}) == len(source.places)
