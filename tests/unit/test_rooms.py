"""What docs/architecture.md says about the shape of the source, held."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import monolisp

SRC = Path(monolisp.__file__).parent
DOCS = SRC.parents[1] / "docs/architecture.md"

# Each may import those before it, none after it. (`__init__` holds the version, nothing else.)
ORDER = (
    "__init__",
    "errors",
    "target",
    "settings",
    "emulator",
    "project",
    "lock",
    "progress",
    "stages",
    "process",
    "store",
    "inputs",
    "elf",
    "publish",
    "trust",
    "sources",
    "remote",
    "linkage",
    "toolchain",
    "libraries",
    "lisp",
    "link",
    "provenance",
    "sbom",
    "oci",
    "face",
    "compare",
    "build",
    "reproduce",
    "archive",
    "matrix",
    "terminal",
    "options",
    "cli",
    "__main__",
)
FILES = {str(path.relative_to(SRC)): path.read_text(encoding="utf-8") for path in sorted(SRC.rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in FILES.items()}

# Started once for each C compilation of a Lisp build; it imports nothing of ours.
OWN_PROGRAM = "libraries/cc.py"

MOST_LINES, MOST_IN_FUNCTION = 400, 50
# A table of data, one entry for each error; docs/errors.md is made from it.
TABLES = {"errors.py"}


def room_of(file: str) -> str:
    """The room of a file: `lisp/job.py` → lisp, `store.py` → store."""
    return Path(file).parts[0].removesuffix(".py")


def imports(tree: ast.Module, file: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import of ours, also of those in functions and for type checkers."""
    package = ["monolisp", *Path(file).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "monolisp")
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            if module == "monolisp":
                yield from ((node.lineno, f"monolisp.{alias.name}") for alias in node.names)
            elif module.startswith("monolisp."):
                yield node.lineno, module


def rooms_imported(tree: ast.Module, file: str) -> Iterator[tuple[int, str]]:
    for line, name in imports(tree, file):
        room = name.split(".")[1] if "." in name else "__init__"
        room = room if room in ORDER else "__init__" if room.startswith("__") else room
        if room != room_of(file):
            yield line, room


def upward(trees: Mapping[str, ast.Module]) -> list[str]:
    return [
        f"{file}:{line}: {room_of(file)} imports {room}"
        for file, tree in trees.items()
        for line, room in rooms_imported(tree, file)
        if ORDER.index(room) > ORDER.index(room_of(file))
    ]


class TestImports:
    def test_every_room_has_its_place(self) -> None:
        assert {room_of(file) for file in FILES} == set(ORDER)

    def test_point_one_way(self) -> None:
        assert upward(TREES) == []

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("store.py", "from monolisp.inputs import Record"),
            ("elf/reader.py", "import monolisp.build"),
            ("elf/deep/er.py", "def f():\n    from monolisp.cli import main"),
            ("lisp/job.py", "from ..link.compose import compose"),
            ("project.py", "from . import store"),
            (
                "errors.py",
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from monolisp.target import Target",
            ),
        ],
    )
    def test_an_import_upwards_is_found(self, file: str, text: str) -> None:
        assert len(upward({file: ast.parse(text)})) == 1

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("inputs.py", "from monolisp.store import digest_of"),
            ("lisp/job.py", "from . import events\nfrom .events import Event\nfrom ..elf import verify"),
            ("build.py", "from monolisp import __version__"),
        ],
    )
    def test_an_import_downwards_is_not(self, file: str, text: str) -> None:
        assert upward({file: ast.parse(text)}) == []

    def test_no_circle_in_a_room(self) -> None:
        """Modules of one room do not import each other in a circle either."""
        known = {f"monolisp.{name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__") for name in FILES}
        graph = {
            f"monolisp.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__"): {
                name for _, name in imports(tree, file) if name in known
            }
            for file, tree in TREES.items()
        }
        done: set[str] = set()
        while ready := {name for name in graph.keys() - done if graph[name] - {name} <= done}:
            done |= ready
        assert graph.keys() - done == set()

    def test_the_rooms_are_described(self) -> None:
        told = DOCS.read_text(encoding="utf-8")
        assert [room for room in ORDER if not room.startswith("__") and f"`{room}" not in told] == []


class TestSize:
    @pytest.mark.parametrize("file", [file for file in FILES if file not in TABLES])
    def test_of_python_files(self, file: str) -> None:
        assert len(FILES[file].splitlines()) <= MOST_LINES

    @pytest.mark.parametrize(
        "path", [path for path in sorted(SRC.rglob("*.*")) if path.suffix in (".c", ".h", ".lisp")]
    )
    def test_of_others(self, path: Path) -> None:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES

    def test_of_functions(self) -> None:
        found = [
            f"{file}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
            for file, tree in TREES.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno is not None
            and node.end_lineno - node.lineno + 1 > MOST_IN_FUNCTION
        ]
        assert found == []

    def test_a_table_is_no_code(self) -> None:
        """What is exempt consists of classes with nothing but values, and a few functions about them."""
        for file in TABLES:
            functions = [node for node in ast.walk(TREES[file]) if isinstance(node, ast.FunctionDef)]
            assert sum((node.end_lineno or 0) - node.lineno + 1 for node in functions) < 60

    @pytest.mark.parametrize("word", ["util", "utils", "helper", "helpers", "misc", "manager", "common"])
    def test_names_say_something(self, word: str) -> None:
        assert not [file for file in FILES if word in Path(file).stem.split("_") + list(Path(file).parts)]


def test_values_are_frozen() -> None:
    found = [
        f"{file}:{node.lineno}: {node.name}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if decorator.startswith("dataclass") and "frozen=True" not in decorator
    ]
    assert found == []


# --- the doors to the world ------------------------------------------------------------------------------------------

# What is touched → the files that may.
TERMINAL = ("print", "input", "breakpoint", "sys.stdout", "sys.stderr", "sys.stdin", "os.isatty")
ENDING = ("sys.exit", "exit", "quit", "os._exit", "os.abort")
ENVIRONMENT = ("sys.argv", "os.environ", "os.getenv", "os.putenv", "os.environb", "os.unsetenv", "os.chdir")
PROCESSES: tuple[str, ...] = (
    "subprocess",
    "multiprocessing",
    "pty",
    "os.system",
    "os.popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
)
PROCESSES += ("os.posix_spawnp", *(f"os.exec{tail}" for tail in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")))
NETWORK = ("socket", "ssl", "urllib.request", "http", "ftplib", "requests", "httpx", "oras")
CLOCK = ("time.time", "datetime", "time.localtime", "time.gmtime")
CHANCE = ("random", "secrets", "uuid", "os.urandom")


def touched(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module imports or uses, as far as names tell."""
    renamed: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                renamed[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                renamed[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and isinstance(node, ast.Attribute | ast.Name):
            yield node.lineno, ".".join([renamed.get(inner.id, inner.id), *parts])


def uses(tree: ast.Module, doors: tuple[str, ...]) -> list[int]:
    return sorted({line for line, name in touched(tree) for door in doors if f"{name}.".startswith(f"{door}.")})


def elsewhere(doors: tuple[str, ...], *allowed: str) -> list[str]:
    return [
        f"{file}:{line}"
        for file, tree in TREES.items()
        if file not in allowed and room_of(file) not in allowed
        for line in uses(tree, doors)
    ]


class TestDoors:
    def test_terminal(self) -> None:
        """terminal.py writes to the stream it is given; errors.py prints its page when it is run."""
        assert elsewhere(TERMINAL, "cli", "terminal.py", "errors.py", OWN_PROGRAM) == []
        assert uses(TREES["terminal.py"], tuple(set(TERMINAL) - {"print"})) == []
        prints = [node for node in ast.walk(TREES["terminal.py"]) if isinstance(node, ast.Call)]
        prints = [node for node in prints if isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert all(any(word.arg == "file" for word in node.keywords) for node in prints)
        main = TREES["errors.py"].body[-1]
        assert isinstance(main, ast.If)
        assert ast.unparse(main.test) == "__name__ == '__main__'"
        assert all(line >= main.lineno for line in uses(TREES["errors.py"], TERMINAL))

    def test_ending(self) -> None:
        """Only what was forked ends by itself."""
        assert elsewhere(ENDING, "cli", "elf/confine.py", "elf/trial.py", OWN_PROGRAM) == []

    def test_environment(self) -> None:
        assert elsewhere(ENVIRONMENT, "cli", "elf/confine.py", OWN_PROGRAM) == []

    def test_processes(self) -> None:
        """elf/trial.py and elf/confine.py fork to start what is judged where nothing else is."""
        assert elsewhere(PROCESSES, "process.py", "elf/trial.py", "elf/confine.py", OWN_PROGRAM) == []

    def test_network(self) -> None:
        """The desk and its guests talk over a socket of this machine."""
        assert elsewhere(NETWORK, "sources/download.py", "libraries/desk.py", "oci/registry.py", OWN_PROGRAM) == []

    def test_clock(self) -> None:
        """The store notes when an entry was used, and a person is told; nothing that is made depends on the time.

        An image and a bill of materials are dated with the time that they are given; a signature, with the time when it
        is made, unless SOURCE_DATE_EPOCH says another.
        """
        assert elsewhere(CLOCK, "store", "cli/store.py", "cli/trust.py", "oci/image.py", "sbom/identity.py") == []
        for file in ("oci/image.py", "sbom/identity.py"):
            assert uses(TREES[file], ("datetime.datetime.now", "datetime.datetime.today", "time")) == []

    def test_chance(self) -> None:
        """A bill of materials has a UUID that is a hash."""
        assert elsewhere(CHANCE, "sbom/identity.py") == []
        drawn = ("random", "secrets", "os.urandom", "uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7")
        assert uses(TREES["sbom/identity.py"], drawn) == []

    @pytest.mark.parametrize(
        ("text", "doors", "found"),
        [
            ("print(1)", TERMINAL, True),
            ("import sys\nsys.stderr.write('')", TERMINAL, True),
            ("from sys import stderr as e\ne.write('')", TERMINAL, True),
            ("import os as o\no.environ['x']", ENVIRONMENT, True),
            ("from os import environ", ENVIRONMENT, True),
            ("import os\nx = os.getenv('x')", ENVIRONMENT, True),
            ("from subprocess import run", PROCESSES, True),
            ("import os\nos.execve('a', [], {})", PROCESSES, True),
            ("import http.client", NETWORK, True),
            ("from urllib import request", NETWORK, True),
            ("import urllib.parse", NETWORK, False),
            ("x.print(1)", TERMINAL, False),
            ("printer(1)", TERMINAL, False),
            ("import os\nos.path", ENVIRONMENT, False),
            ("from datetime import datetime", CLOCK, True),
            ("import time\ntime.monotonic()", CLOCK, False),
        ],
    )
    def test_a_door_is_seen(self, text: str, doors: tuple[str, ...], found: bool) -> None:
        assert bool(uses(ast.parse(text), doors)) is found


# Not yet: whatever changes here is a new toolchain, so this waits for a change that is worth minutes of building.
WAITING = {"toolchain/build.py", "linkage/sources.py"}


def test_text_is_utf_8_in_every_locale() -> None:
    without = [
        f"{file}:{node.lineno}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr, len(node.args)) in {("read_text", 0), ("write_text", 1)}
        and not any(keyword.arg == "encoding" for keyword in node.keywords)
    ]
    assert {place.split(":")[0] for place in without} <= WAITING, without
