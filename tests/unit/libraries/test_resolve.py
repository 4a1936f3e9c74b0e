from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.libraries.recipe import Cookbook
from monolisp.libraries.resolve import (
    by_header,
    by_package,
    by_soname,
    is_foreign_to_linux,
    is_libc,
    nearest,
    stems,
)

BOOK = Cookbook()


@pytest.mark.parametrize(
    ("asked", "recipe"),
    [
        ("libssl.so", "openssl"),
        ("libssl.so.1.1", "openssl"),
        ("libssl.so.3", "openssl"),
        ("libssl3", "openssl"),
        ("libcrypto-3-x64.dll", None),
        ("libcrypto.so.1.0.0", "openssl"),
        ("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "openssl"),
        ("libsqlite3.so.0", "sqlite"),
        ("libsqlite3", "sqlite"),
        ("sqlite3", "sqlite"),
        ("libsqlite.so", None),
        ("liblz4.so.1.9.4", "lz4"),
        ("libgmp.so.10", "gmp"),
        ("libz.so.1", "zlib"),
        ("z", "zlib"),
        ("libffi.so.8", "libffi"),
        ("libyaml-0.so.2", "libyaml"),
        ("libnothing.so", None),
        ("", None),
        ("/", None),
    ],
)
def test_spellings_of_one_library(asked: str, recipe: str | None) -> None:
    found = by_soname(asked, BOOK)
    assert (found.name if found else None) == recipe


@pytest.mark.parametrize("name", ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so", "libm"])
def test_what_libc_holds(name: str) -> None:
    assert is_libc(name)


@pytest.mark.parametrize("name", ["libcurl.so.4", "libmpfr.so", "libcap.so", "libx.so"])
def test_what_libc_does_not_hold(name: str) -> None:
    assert not is_libc(name)


@pytest.mark.parametrize("name", ["libssl.dylib", "libssl32.dll", "/System/Foo.framework/Foo", "LIBEAY32.DLL"])
def test_names_of_other_systems(name: str) -> None:
    assert is_foreign_to_linux(name)


@pytest.mark.parametrize("name", ["libssl.so", "libssl", "dylib.so.1"])
def test_names_of_this_one(name: str) -> None:
    assert not is_foreign_to_linux(name)


@given(st.from_regex(r"lib[a-z]{2,8}", fullmatch=True), st.lists(st.integers(0, 99), max_size=3))
def test_a_version_never_matters(stem: str, version: list[int]) -> None:
    ending = "".join(f".{number}" for number in version)
    assert stems(f"{stem}.so{ending}")[-1] == stem
    assert stems(f"/opt/lib/{stem}.so{ending}") == stems(f"{stem}.so{ending}")


@given(st.text(max_size=40))
def test_any_text(name: str) -> None:
    assert len(stems(name)) <= 2
    by_soname(name, BOOK)
    nearest(name, BOOK)


def test_headers_and_packages() -> None:
    found = by_header("openssl/ssl.h", BOOK)
    assert found is not None and found.name == "openssl"
    found = by_header("sqlite3.h", BOOK)
    assert found is not None and found.name == "sqlite"
    assert by_header("openssl", BOOK) is None
    found = by_package("libcrypto", BOOK)
    assert found is not None and found.name == "openssl"
    assert by_package("nothing", BOOK) is None


@pytest.mark.parametrize(("name", "recipe"), [("libsqlte3.so.0", "sqlite"), ("opnssl", "openssl"), ("libgnp", "gmp")])
def test_the_nearest(name: str, recipe: str) -> None:
    assert recipe in nearest(name, BOOK)
