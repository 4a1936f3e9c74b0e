from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from monolisp.errors import BadElf, BadImage, NoSuchFile, WrongPlatform
from monolisp.oci import Contents
from monolisp.oci.check import User, check_images, user_of

from .making import AARCH64, program


@pytest.fixture
def good(tmp_path: Path) -> Contents:
    return Contents(program(tmp_path), "hello", "linux/amd64")


@pytest.mark.parametrize(
    ("told", "user"),
    [
        ("65532", User("nonroot", 65532, 65532)),
        ("1000:100", User("nonroot", 1000, 100)),
        ("0", User("root", 0, 0)),
        ("root", User("root", 0, 0)),
        ("app", User("app", 65532, 65532)),
        ("2147483647", User("nonroot", 2147483647, 2147483647)),
        ("2147483648", None),
        ("1:", None),
        ("1:app", None),
        ("-1", None),
        ("", None),
        ("a:b", None),
        ("a\nroot:x:0:0", None),
        ("App", None),
        ("٣", None),
    ],
)
def test_users(told: str, user: User | None) -> None:
    assert user_of(told) == user


def test_good(good: Contents) -> None:
    check_images([good], "1.0")
    check_images([good], "registry.example:5000/team/hello:1.0")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "tmp", "etc", "proc", "a\nb", "-x"])
def test_names(good: Contents, name: str) -> None:
    with pytest.raises(BadImage):
        check_images([replace(good, name=name)], "1.0")


@pytest.mark.parametrize("platform", ["arm64", "windows/amd64", "linux/", "linux/arm/v7/x", "linux/AMD64"])
def test_platforms(good: Contents, platform: str) -> None:
    with pytest.raises(BadImage):
        check_images([replace(good, platform=platform)], "1.0")


@pytest.mark.parametrize("tag", ["", "a b", ":1", "1.0/", "a..b"])
def test_tags(good: Contents, tag: str) -> None:
    with pytest.raises(BadImage):
        check_images([good], tag)


def test_every_fault_is_told(good: Contents) -> None:
    with pytest.raises(BadImage) as caught:
        check_images([replace(good, name="tmp"), replace(good, user="A")], " ")
    for part in ("tmp", "'A'", "several programs for linux/amd64", "' '"):
        assert part in caught.value.why_text


def test_no_program() -> None:
    with pytest.raises(BadImage):
        check_images([], "1.0")


def test_a_program_for_another_platform(good: Contents, tmp_path: Path) -> None:
    with pytest.raises(WrongPlatform) as caught:
        check_images([replace(good, executable=program(tmp_path, AARCH64))], "1.0")
    assert caught.value.why_text == "it is a program for linux/arm64"


def test_no_executable(good: Contents, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program", encoding="utf-8")
    with pytest.raises(BadElf):
        check_images([replace(good, executable=tmp_path / "text")], "1.0")
    with pytest.raises(NoSuchFile):
        check_images([replace(good, executable=tmp_path / "none")], "1.0")


def test_no_zones(good: Contents, tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile):
        check_images([replace(good, zoneinfo=tmp_path / "none")], "1.0")
