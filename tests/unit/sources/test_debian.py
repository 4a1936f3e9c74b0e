from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monolisp.errors import CommandTimeout, ToolMissing
from monolisp.process import Command, Finished
from monolisp.sources.debian import (
    Archive,
    complaints,
    configuration,
    fetch_binary,
    fetch_source,
    parse_targets,
    sources_list,
)
from monolisp.sources.pin import DebianPlace, PlaceFailed

PLACE = DebianPlace("sbcl", "2:2.6.4-1", "forky", "sbcl_2.6.4.orig.tar.xz", "0" * 64, 3)
URI = "http://mirror.invalid/debian/"
# As apt 2.6 prints them on Debian 12 with a third party's archive, and before the first update.
UPDATED = f"""\
{URI}|bookworm|bookworm|main|Debian|Debian
{URI}|bookworm|bookworm|contrib|Debian|Debian
{URI}|bookworm-updates|bookworm-updates|main|Debian|Debian
http://mirror.invalid/debian-security/|bookworm-security|bookworm-security|main|Debian|Debian-Security
http://third.invalid/apt/|stable|stable|main|Third Party|Third Party
http://third.invalid/deb/|bookworm|bookworm|main|Third Party|Debian
"""
FRESH = f"""\
{URI}|$(CODENAME)|bookworm|main|$(ORIGIN)|$(LABEL)
{URI}|$(CODENAME)|bookworm|main|$(ORIGIN)|$(LABEL)
{URI}|$(CODENAME)|bookworm-updates|main|$(ORIGIN)|$(LABEL)
http://mirror.invalid/debian-security/|$(CODENAME)|bookworm-security|main|$(ORIGIN)|$(LABEL)
"""
UBUNTU = "http://mirror.invalid/ubuntu/|noble|noble|main|Ubuntu|Ubuntu\n"
Answer = Callable[[Command, Sequence[str]], str]


class Apt:
    """Stands for apt-get: `answer` gets the words after the options, may write files, and says what is printed."""

    def __init__(self, answer: Answer, targets: str = UPDATED) -> None:
        self.answer = answer
        self.targets = targets
        self.commands: list[Command] = []

    def __call__(self, command: Command, started: Callable[[int], None] | None = None) -> Finished:
        del started
        self.commands.append(command)
        words = [str(word) for word in command.argv]
        if "indextargets" in words:
            return Finished(0, self.targets.encode(), 0.0)
        text = self.answer(command, words)
        return Finished(100 if "E: " in text else 0, text.encode(), 0.0)


def saves(name: str, when: str) -> Answer:
    """Writes the file `name` when the last word is `when`."""

    def answer(command: Command, words: Sequence[str]) -> str:
        if words[-1] == "update":
            return "Reading package lists..."
        if words[-1] != when:
            return f"E: Unable to find a source package for {words[-1]}"
        assert command.cwd is not None
        (command.cwd / name).write_bytes(b"xyz")
        return "Download complete and in download only mode"

    return answer


def test_only_debians_main_archive_of_the_suite_itself() -> None:
    assert parse_targets(UPDATED) == [Archive(URI, "bookworm")]


def test_a_machine_that_was_never_updated() -> None:
    assert parse_targets(FRESH) == [Archive(URI, "bookworm")]


@pytest.mark.parametrize(
    "text",
    ["", UBUNTU, "W: something\n", "cdrom://Debian/|bookworm|bookworm|main|Debian|Debian\n", "a|b|c\n", "|||||\n"],
)
def test_no_debian_archive(text: str) -> None:
    assert parse_targets(text) == []


@settings(deadline=None)
@given(st.text(alphabet="|$() abc/:\n-", max_size=80))
def test_any_listing_is_read(text: str) -> None:
    assert all(archive.suite for archive in parse_targets(text))


def test_only_the_needed_index_is_fetched_and_only_debians_keys_count() -> None:
    line = sources_list("deb-src", URI, "forky", "/keys.gpg")
    assert line == f"deb-src [target=Sources signed-by=/keys.gpg] {URI} forky main\n"
    assert sources_list("deb", URI, "forky", None) == f"deb [target=Packages] {URI} forky main\n"


def test_everything_of_apt_is_private() -> None:
    text = configuration(Path("/private"))
    for key in ("Dir::State ", "Dir::State::Lists", "Dir::Cache", "Dir::Etc::SourceList"):
        assert f'{key.strip()} "/private/' in text
    assert "#clear APT::Update::Post-Invoke;" in text


def test_the_pinned_version(tmp_path: Path) -> None:
    apt = Apt(saves(PLACE.file, "sbcl=2:2.6.4-1"))
    fetch_source(PLACE, tmp_path, apt, {"PATH": "/usr/bin", "https_proxy": "http://proxy:1", "SECRET": "x"})
    assert [path.name for path in tmp_path.iterdir()] == [PLACE.file], "apt's own files are gone"
    env = apt.commands[-1].env
    assert env["https_proxy"] == "http://proxy:1" and env["LC_ALL"] == "C" and "SECRET" not in env


def test_the_suites_version_when_the_pinned_one_has_left(tmp_path: Path) -> None:
    fetch_source(PLACE, tmp_path, Apt(saves(PLACE.file, "sbcl/forky")), {})
    assert (tmp_path / PLACE.file).is_file()


def test_another_upstream_version_in_the_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlaceFailed, match=r"the suite now has sbcl_2\.6\.5\.orig\.tar\.xz"):
        fetch_source(PLACE, tmp_path, Apt(saves("sbcl_2.6.5.orig.tar.xz", "sbcl/forky")), {})
    assert list(tmp_path.iterdir()) == []


def test_what_apt_complains_about_is_said(tmp_path: Path) -> None:
    apt = Apt(lambda command, words: "Err:1 x\nE: The repository 'x' does not have a Release file.")
    with pytest.raises(PlaceFailed, match="index of forky: The repository 'x' does not have a Release file"):
        fetch_source(PLACE, tmp_path, apt, {})
    assert complaints("100E: first\nE: second") == "first second"
    assert complaints("") == "it said nothing"
    assert complaints("a\n\nb\nc\n") == "b c"


def test_the_next_mirror_when_one_is_down(tmp_path: Path) -> None:
    down = "http://down.invalid/debian/"
    good = saves(PLACE.file, "sbcl=2:2.6.4-1")

    def answer(command: Command, words: Sequence[str]) -> str:
        assert command.cwd is not None
        if words[-1] == "update" and down in (command.cwd / "sources.list").read_text():
            return "E: Connection failed"
        return good(command, words)

    fetch_source(PLACE, tmp_path, Apt(answer, f"{down}|bookworm|bookworm|main|Debian|Debian\n{UPDATED}"), {})
    assert (tmp_path / PLACE.file).is_file()


def test_a_machine_without_a_debian_archive(tmp_path: Path) -> None:
    with pytest.raises(PlaceFailed, match="no Debian archive among its sources"):
        fetch_source(PLACE, tmp_path, Apt(lambda command, words: "", UBUNTU), {})


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ToolMissing(tool="apt-get", detail=""), "has no apt-get"),
        (CommandTimeout(command="apt-get", seconds=1), "longer than"),
    ],
)
def test_no_apt_or_one_that_hangs(tmp_path: Path, error: Exception, reason: str) -> None:
    def runner(command: Command, started: Callable[[int], None] | None = None) -> Finished:
        raise error

    with pytest.raises(PlaceFailed, match=reason):
        fetch_source(PLACE, tmp_path, runner, {})


def test_a_full_disk_is_no_fault_of_the_place(tmp_path: Path) -> None:
    apt = Apt(lambda command, words: "E: Write error - write (28: No space left on device)")
    with pytest.raises(OSError, match="No space left"):
        fetch_source(PLACE, tmp_path, apt, {})


def test_a_binary_package_comes_from_the_machines_own_suite(tmp_path: Path) -> None:
    lines: list[str] = []
    good = saves("sbcl_2%3a2.2.9_amd64.deb", "sbcl")

    def answer(command: Command, words: Sequence[str]) -> str:
        assert command.cwd is not None
        lines.append((command.cwd / "sources.list").read_text())
        return good(command, words)

    found = fetch_binary("sbcl", tmp_path, Apt(answer), {})
    assert found == tmp_path / "sbcl_2%3a2.2.9_amd64.deb" and found.is_file()
    assert lines[0].startswith("deb [") and " bookworm main" in lines[0]
    with pytest.raises(PlaceFailed, match="did not give nosuch"):
        fetch_binary("nosuch", tmp_path, Apt(answer), {})
