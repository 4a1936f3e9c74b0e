"""Which revision a file is of, as git itself says it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from monolisp.provenance.git import revision_of

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="waits for git")


def git(directory: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *who, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    repository = tmp_path / "repository"
    (repository / "src").mkdir(parents=True)
    (repository / "src" / "app.asd").write_text("kept")
    (repository / "src" / "other.asd").write_text("not kept")
    (repository / "src" / ("a" * 250 + ".asd")).write_text("a long name")
    (repository / "asd").write_text("ends like another")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", "src/app.asd", "asd", "src/" + "a" * 250 + ".asd")
    git(repository, "commit", "-qm", "one")
    return repository


@needs_git
def test_a_file_that_git_keeps(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert revision_of(checkout / "src" / "app.asd") == head
    assert revision_of(checkout / "asd") == head
    assert revision_of(checkout / "src" / ("a" * 250 + ".asd")) == head


@needs_git
def test_a_file_that_only_lies_there(checkout: Path) -> None:
    """As a program does in a home directory that is itself kept by git."""
    assert revision_of(checkout / "src" / "other.asd") == ""


@needs_git
def test_packed_and_without_a_branch(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    assert revision_of(checkout / "src" / "app.asd") == head
    git(checkout, "checkout", "-q", "--detach")
    assert revision_of(checkout / "src" / "app.asd") == head


@needs_git
def test_a_worktree_and_a_submodule(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert revision_of(tmp_path / "side" / "src" / "app.asd") == head
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "add", "-q", str(checkout), "inner")
    assert revision_of(outer / "inner" / "src" / "app.asd") == head


def test_no_checkout(tmp_path: Path) -> None:
    assert revision_of(tmp_path / "app.asd") == ""


@pytest.mark.parametrize("damage", ["HEAD", "index"])
@needs_git
def test_a_damaged_checkout_has_no_revision(checkout: Path, damage: str) -> None:
    (checkout / ".git" / damage).write_bytes(b"\xff\xfe")
    assert revision_of(checkout / "src" / "app.asd") == ""
