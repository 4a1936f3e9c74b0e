from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from monolisp.emulator import HIDDEN, emulator, emulator_for, hide
from monolisp.errors import QemuMissing
from monolisp.target import find_target

ARM, X86 = find_target("arm64"), find_target("amd64")


@pytest.fixture
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="x86_64"))


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_machine_runs_its_own(on_x86: None) -> None:
    assert emulator(X86, "") == ()


def test_the_static_one_is_preferred(on_x86: None, tmp_path: Path) -> None:
    program(tmp_path / "qemu-aarch64")
    assert emulator(ARM, str(tmp_path)) == (str(tmp_path / "qemu-aarch64"),)
    static = program(tmp_path / "qemu-aarch64-static")
    assert emulator(ARM, str(tmp_path)) == (str(static),)


def test_a_missing_one_is_an_error_with_the_line_that_installs_it(on_x86: None, tmp_path: Path) -> None:
    with pytest.raises(QemuMissing) as raised:
        emulator(ARM, str(tmp_path))
    assert "apt-get install qemu-user-static" in raised.value.todo_text
    assert "aarch64-linux-musl" in raised.value.why_text


def test_by_what_a_file_says_of_itself(on_x86: None, tmp_path: Path) -> None:
    static = program(tmp_path / "qemu-aarch64-static")
    assert emulator_for(ARM.elf_machine, 64, str(tmp_path)) == static
    assert emulator_for(ARM.elf_machine, 32, str(tmp_path)) is None
    assert emulator_for(X86.elf_machine, 64, str(tmp_path)) is None


def test_hidden_behind_a_script(tmp_path: Path) -> None:
    path = program(tmp_path / "a.out")
    hide(path, ("/opt/q e/qemu",))
    assert (tmp_path / f"a.out{HIDDEN}").is_file()
    text = path.read_text(encoding="utf-8")
    assert f'exec \'/opt/q e/qemu\' -0 "$0" {tmp_path}/a.out{HIDDEN} "$@"' in text
    assert os.access(path, os.X_OK)
