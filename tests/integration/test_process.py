"""The door to other processes, with real ones; no toolchain is needed."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from monolisp.errors import CannotStart, ToolMissing
from monolisp.process import Command, run

ENV = {"PATH": "/usr/bin:/bin"}


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_output_is_captured() -> None:
    done = run(Command(["sh", "-c", "echo out; echo err >&2; exit 3"], ENV))
    assert (done.returncode, done.text) == (3, "out\nerr\n")


def test_output_is_appended_to_a_file(tmp_path: Path) -> None:
    log = tmp_path / "logs/log"
    for word in ("one", "two"):
        assert run(Command(["echo", word], ENV, log=log)).output == b""
    assert log.read_text() == "one\ntwo\n"


def test_output_goes_to_a_socket() -> None:
    """What standard error is under some service managers: it cannot be opened by a name."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert run(Command(["sh", "-c", "echo out; echo err >&2"], ENV, log=theirs.fileno())).returncode == 0
        theirs.shutdown(socket.SHUT_WR)
        assert ours.makefile("rb").read() == b"out\nerr\n"


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program"])
def test_a_missing_program(name: str) -> None:
    with pytest.raises(ToolMissing, match=f"{name} was not found on this machine"):
        run(Command([name], ENV))


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="echo could not be started") as caught:
        run(Command(["echo"], ENV, cwd=tmp_path / "gone"))
    assert caught.value.why_text == f"there is no directory {tmp_path / 'gone'} to start it in"


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("#!/bin/sh\n", 0o644, os.strerror(errno.EACCES)),
        ("\0", 0o755, os.strerror(errno.ENOEXEC)),
        ("#!/no/such/interpreter\n", 0o755, "the interpreter or loader that it asks for is not"),
    ],
)
def test_a_program_that_cannot_be_started(tmp_path: Path, text: str, mode: int, reason: str) -> None:
    with pytest.raises(CannotStart) as caught:
        run(Command([script(tmp_path / "tool", text, mode)], ENV))
    assert reason in caught.value.why_text
    assert str(tmp_path / "tool") in caught.value.what_text
