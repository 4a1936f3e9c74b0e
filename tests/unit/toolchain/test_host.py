from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from monolisp.errors import CannotStart, CommandTimeout, NoHostLisp
from monolisp.process import Command, Finished
from monolisp.sources.fetch import FetchOptions
from monolisp.store import Store
from monolisp.toolchain.host import KIND, find_host_lisp, lisp_names

TARGETS = b"http://mirror.invalid/debian/|bookworm|bookworm|main|Debian|Debian\n"
ANSWERS: Mapping[str, str] = {
    "sbcl": "\nhost: SBCL 2.2.9.debian\n\nparallel: yes\n",
    "clisp": "[1]> \nhost: CLISP 2.49.93+ (2018-02-18)\nNIL\n",
    "ccl": "\nhost: Clozure Common Lisp Version 1.12\nNIL\n",
}


class World:
    """Stands for the Lisps on PATH and for apt-get and dpkg-deb; `answers` is what each program prints."""

    def __init__(self, tmp_path: Path, answers: Mapping[str, str | Exception], debian: str | None = None) -> None:
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        self.answers = answers
        self.debian = debian
        self.commands: list[Command] = []
        for name in answers:
            (self.bin / name).write_text("")
            (self.bin / name).chmod(0o755)

    def __call__(self, command: Command, started: Callable[[int], None] | None = None) -> Finished:
        del started
        self.commands.append(command)
        words = [str(word) for word in command.argv]
        program = Path(words[0])
        if program.name == "apt-get":
            return self._apt(command, words)
        if program.name == "dpkg-deb":
            root = Path(words[-1]) / "usr"
            for name in ("bin/sbcl", "lib/sbcl/sbcl.core"):
                (root / name).parent.mkdir(parents=True)
                (root / name).write_text("")
            return Finished(0, b"", 0.0)
        answer = self.debian if program.parent != self.bin else self.answers[program.name]
        assert answer is not None
        if isinstance(answer, Exception):
            raise answer
        return Finished(0 if "host:" in answer else 1, answer.encode(), 0.0)

    def _apt(self, command: Command, words: list[str]) -> Finished:
        if "indextargets" in words:
            return Finished(0, TARGETS if self.debian is not None else b"", 0.0)
        if words[-2:] == ["download", "sbcl"]:
            assert command.cwd is not None
            (command.cwd / "sbcl_2%3a2.2.9-1_amd64.deb").write_bytes(b"deb")
        return Finished(0, b"", 0.0)

    @property
    def programs(self) -> list[str]:
        return [Path(command.argv[0]).name for command in self.commands]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").prepare()


@pytest.mark.parametrize(
    ("kind", "version", "parallel"),
    [
        ("sbcl", "SBCL 2.2.9.debian", True),
        ("clisp", "CLISP 2.49.93+ (2018-02-18)", False),
        ("ccl", "Clozure Common Lisp Version 1.12", False),
    ],
)
def test_a_lisp_on_path(tmp_path: Path, store: Store, kind: str, version: str, parallel: bool) -> None:
    world = World(tmp_path, {kind: ANSWERS[kind]})
    lisp = find_host_lisp(store, FetchOptions(), world, str(world.bin))
    assert (lisp.kind, lisp.version, lisp.parallel) == (kind, version, parallel)
    assert lisp.argv[0] == str(world.bin / kind)
    assert (lisp.package, lisp.sha256) == ("", "")
    assert world.commands[-1].env == {"PATH": str(world.bin), "LC_ALL": "C"}, "nothing of the user's environment"


def test_a_prompt_before_the_answer(tmp_path: Path, store: Store) -> None:
    world = World(tmp_path, {"sbcl": "* \nhost: SBCL 2.5.0\nNIL\n* \nparallel: yes\nNIL\n* "})
    lisp = find_host_lisp(store, FetchOptions(), world, str(world.bin))
    assert lisp.version == "SBCL 2.5.0" and lisp.parallel


def test_sbcl_comes_first_even_when_it_must_be_fetched(tmp_path: Path, store: Store) -> None:
    """It compiles itself many times faster than the others do."""
    world = World(tmp_path, ANSWERS, debian=ANSWERS["sbcl"])
    assert find_host_lisp(store, FetchOptions(), world, str(world.bin)).argv[0] == str(world.bin / "sbcl")
    (world.bin / "sbcl").unlink()
    lisp = find_host_lisp(store, FetchOptions(), world, str(world.bin))
    assert lisp.kind == "sbcl" and lisp.package
    other = Store(tmp_path / "other").prepare()
    assert find_host_lisp(other, FetchOptions(offline=True), world, str(world.bin)).kind == "ccl"
    assert lisp_names()[0] == "sbcl"


@pytest.mark.parametrize(
    "broken",
    [
        "can't find core file",
        CommandTimeout(command="sbcl", seconds=60),
        CannotStart(tool="sbcl", reason="Exec format error"),
    ],
)
def test_one_that_does_not_run_is_passed_over(tmp_path: Path, store: Store, broken: str | Exception) -> None:
    world = World(tmp_path, {"sbcl": broken, "clisp": ANSWERS["clisp"]})
    assert find_host_lisp(store, FetchOptions(), world, str(world.bin)).kind == "clisp"


def test_debians_package_when_there_is_none(tmp_path: Path, store: Store) -> None:
    world = World(tmp_path, {}, debian=ANSWERS["sbcl"])
    lisp = find_host_lisp(store, FetchOptions(), world, str(world.bin))
    root = next((store.root / KIND).iterdir())
    assert lisp.argv[:3] == (str(root / "root/usr/bin/sbcl"), "--core", str(root / "root/usr/lib/sbcl/sbcl.core"))
    assert lisp.package == "sbcl_2%3a2.2.9-1_amd64.deb"
    assert json.loads((root / "host.json").read_text())["sha256"] == lisp.sha256 and len(lisp.sha256) == 64
    assert sorted(path.name for path in root.iterdir()) == [".manifest", "host.json", "root"]
    begun = len(world.commands)
    assert find_host_lisp(store, FetchOptions(offline=True), world, str(world.bin)) == lisp
    assert world.programs[begun:] == ["sbcl"], "the second time nothing is fetched"


def test_a_package_that_does_not_run_here_is_not_kept(tmp_path: Path, store: Store) -> None:
    world = World(tmp_path, {}, debian="error while loading shared libraries: libzstd.so.1")
    with pytest.raises(NoHostLisp) as raised:
        find_host_lisp(store, FetchOptions(), world, str(world.bin))
    assert "libzstd.so.1" in raised.value.why_text
    assert not list((store.root / KIND).glob("*"))


def test_offline_and_nowhere_to_be_had(tmp_path: Path, store: Store) -> None:
    world = World(tmp_path, {"sbcl": "can't find core file"})
    with pytest.raises(NoHostLisp) as raised:
        find_host_lisp(store, FetchOptions(offline=True), world, str(world.bin))
    assert "--offline forbids" in raised.value.why_text
    assert "can't find core file" in raised.value.why_text, "why the one on PATH was not taken"
    assert "apt-get" not in world.programs
    with pytest.raises(NoHostLisp, match="no Lisp to build SBCL with") as raised:
        find_host_lisp(store, FetchOptions(), world, str(world.bin))
    assert "no Debian archive" in raised.value.why_text
