from __future__ import annotations

import argparse
import ast
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import jsonschema
import pytest

import monolisp
from monolisp import __version__, cli
from monolisp.cli import given, look
from monolisp.errors import Exit, NoSuchFile
from monolisp.store import Store
from monolisp.target import find_target
from monolisp.toolchain.toolchain import toolchain_digest
from monolisp.toolchain.version import DEFAULT
from tests.unit.elf.making import static_program

SRC = Path(monolisp.__file__).parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONOLISP_STORE", str(tmp_path / "store"))


def conforms(told: dict[str, object]) -> None:
    """What is printed follows the schema that it names."""
    schema = json.loads((SRC / "schemas" / f"{told['schema']}.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(told, schema)


def parse(*line: str) -> argparse.Namespace:
    return cli.parser().parse_args(line)


class TestParser:
    @pytest.mark.parametrize(
        ("line", "run"),
        [
            (["build"], "build.run_build"),
            (["verify", "a"], "look.run_verify"),
            (["linkage", "a"], "look.run_linkage"),
            (["toolchain", "list"], "toolchain.run_toolchain_list"),
            (["toolchain", "build"], "toolchain.run_toolchain_build"),
            (["toolchain", "path"], "toolchain.run_toolchain_path"),
            (["toolchain", "prune"], "toolchain.run_toolchain_prune"),
            (["toolchain", "new", "2.6.5", "--from", "d"], "toolchain.run_toolchain_new"),
            (["matrix"], "matrix.run_matrix"),
            (["store", "info"], "store.run_store_info"),
            (["store", "verify"], "store.run_store_verify"),
            (["store", "prune", "--keep", "1GB"], "store.run_store_prune"),
            (["store", "export", "f"], "store.run_store_export"),
            (["store", "import", "f"], "store.run_store_import"),
            (["store", "push"], "store.run_store_push"),
            (["store", "keygen", "f"], "trust.run_keygen"),
            (["push", "image.tar", "localhost:5000/hello:1.0"], "push.run_push"),
            (["sbom", "hello", "--format", "spdx"], "sbom.run_sbom"),
            (["licenses", "hello", "--source-dir", "a", "--source-dir", "b"], "sbom.run_licenses"),
            (["library", "list"], "library.run_library_list"),
            (["library", "show", "gmp"], "library.run_library_show"),
            (["library", "build", "gmp"], "library.run_library_build"),
            (["library", "new", "debian:gmp"], "library.run_library_new"),
            (["inspect", "app"], "provenance.run_inspect"),
            (["keygen", "f"], "trust.run_keygen"),
            (["sign", "a", "b", "--key", "k"], "trust.run_sign"),
            (["verify-signature", "a", "--gpg", "k"], "trust.run_verify_signature"),
            (["attest", "a"], "trust.run_attest"),
            (["rebuild", "app", "--source-dir", "a", "--source-dir", "b"], "rebuild.run_rebuild"),
            (["bundle", "app", "-o", "x.tar.zst"], "rebuild.run_bundle"),
            (["doctor"], "look.run_doctor"),
            (["completion", "bash"], "look.run_completion"),
            (["asdf"], "look.run_asdf"),
            (["sbcl"], "sbcl.run_sbcl"),
            (["env"], "sbcl.run_env"),
            (["exec"], "sbcl.run_exec"),
            (["shell", "--with", "gmp"], "sbcl.run_shell"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_commands(self, line: list[str], run: str) -> None:
        assert parse(*line).run == run
        module, _, name = run.partition(".")
        assert callable(getattr(import_module(f"monolisp.cli.{module}"), name))

    def test_every_command_is_tested(self) -> None:
        modules = [path.stem for path in (SRC / "cli").glob("*.py") if path.stem not in ("__init__", "clerk")]
        found = {(module, name) for module in modules for name in vars(import_module(f"monolisp.cli.{module}"))}
        assert {f"{module}.{name}" for module, name in found if name.startswith("run_")} == {
            "build.run_build",
            "look.run_verify",
            "look.run_linkage",
            "provenance.run_inspect",
            "sbom.run_sbom",
            "sbom.run_licenses",
            "rebuild.run_rebuild",
            "rebuild.run_bundle",
            "toolchain.run_toolchain_list",
            "toolchain.run_toolchain_build",
            "toolchain.run_toolchain_path",
            "toolchain.run_toolchain_prune",
            "toolchain.run_toolchain_new",
            "matrix.run_matrix",
            "push.run_push",
            "store.run_store_export",
            "store.run_store_import",
            "store.run_store_info",
            "store.run_store_prune",
            "store.run_store_push",
            "store.run_store_verify",
            "library.run_library_list",
            "library.run_library_show",
            "library.run_library_build",
            "library.run_library_new",
            "trust.run_keygen",
            "trust.run_sign",
            "trust.run_verify_signature",
            "trust.run_attest",
            "look.run_doctor",
            "look.run_completion",
            "look.run_asdf",
            "sbcl.run_sbcl",
            "sbcl.run_env",
            "sbcl.run_exec",
            "sbcl.run_shell",
        }

    def test_build_takes_everything(self) -> None:
        line = (
            "build a.lisp b.lisp -o out --entry p:f --registry d1 --registry d2 --quicklisp ql --feature x --feature y"
            " --embed s/* --heap 1GiB --stack 2MiB --build-heap 4GiB --sbcl 2.6.4 --target t --debugger --always"
            " --with openssl,zlib --with gmp --with-archive a.a --soname liba.so.1 --with-archive b.a --include i"
            " --recipes r --absent libx --export puts --embed-ca --update"
            " --features +a,-b --with-feature c --remote u --push --sign-key k"
            " --sbom spdx --sbom cyclonedx --oci i.tar --oci-ca --oci-tz --oci-tmp --oci-user 7"
            " --check-reproducible --attest --checksum"
            " --offline --source-dir s --dry-run --explain --json -v"
        )
        found = vars(parse(*line.split()))
        found.pop("run")
        assert found == {
            "inputs": ["a.lisp", "b.lisp"],
            "sboms": ["spdx", "cyclonedx"],
            "oci": "i.tar",
            "oci_ca": True,
            "oci_tz": True,
            "oci_tmp": True,
            "check_reproducible": True,
            "oci_user": "7",
            "attest": True,
            "checksum": True,
            "output": "out",
            "entry": "p:f",
            "registries": ["d1", "d2"],
            "quicklisp": "ql",
            "features": ["x", "y"],
            "before": None,
            "embed": ["s/*"],
            "heap": "1GiB",
            "stack": "2MiB",
            "build_heap": "4GiB",
            "sbcl": "2.6.4",
            "targets": ["t"],
            "sbcl_features": ["+a,-b", "+c"],
            "store_remote": ["u"],
            "store_keys": None,
            "push": True,
            "sign_key": "k",
            "debugger": True,
            "libraries": ["openssl,zlib", "gmp"],
            "archives": ["a.a as liba.so.1", "b.a"],
            "include": ["i"],
            "recipes": ["r"],
            "absent": ["libx"],
            "export": ["puts"],
            "soname": None,
            "embed_ca": True,
            "update": True,
            "always": True,
            "offline": True,
            "source_dir": "s",
            "dry_run": True,
            "explain": True,
            "json": True,
            "verbose": True,
        }

    def test_eval_and_load_keep_their_order(self, tmp_path: Path) -> None:
        found = parse("build", "--load", "a.lisp", "--eval", "(f)", "--load", "/b.lisp", "x.lisp")
        assert found.before == [("load", str(tmp_path / "a.lisp")), ("eval", "(f)"), ("load", "/b.lisp")]

    def test_an_option_may_follow_the_inputs(self) -> None:
        assert parse("build", "a.lisp", "-o", "out").inputs == ["a.lisp"]

    @pytest.mark.parametrize(
        "line",
        [
            [],
            ["nonsense"],
            ["build", "--nonsense"],
            ["build", "-o"],
            ["verify"],
            ["verify", "a", "--offline"],
            ["linkage"],
            ["linkage", "a", "b"],
            ["toolchain"],
            ["toolchain", "nonsense"],
            ["toolchain", "prune", "--nonsense"],
            ["doctor", "a"],
            ["sign", "a"],
            ["sign", "a", "--key", "k", "--gpg", "g"],
            ["verify-signature", "a"],
            ["completion"],
            ["completion", "fish-and-chips"],
        ],
        ids=" ".join,
    )
    def test_a_wrong_line_is_exit_code_2(self, line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ending:
            cli.main(line)
        assert ending.value.code == Exit.USAGE
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("usage: monolisp")

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ending:
            cli.main(["--version"])
        assert ending.value.code == 0
        assert capsys.readouterr().out == f"monolisp {__version__}\n"

    @pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
    def test_completion_knows_the_options(self, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["completion", shell]) == Exit.OK
        shown = capsys.readouterr().out
        assert all(word in shown for word in ("build-heap", "linkage", "no-run"))


def fails_with(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(options: argparse.Namespace) -> int:
        raise error

    return run


class TestErrors:
    error = NoSuchFile(file="x.lisp", reason="a reason")

    @pytest.fixture(autouse=True)
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(look, "run_linkage", fails_with(self.error))

    def test_go_to_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["linkage", "a"]) == Exit.INPUT
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err == f"{self.error}\n"

    def test_as_json_on_standard_output_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["linkage", "a", "--json"]) == Exit.INPUT
        shown = capsys.readouterr()
        assert shown.err == f"{self.error}\n"
        told = json.loads(shown.out)
        conforms(told)
        assert told == {
            "schema": "monolisp-error-1",
            "error": "NoSuchFile",
            "exit_code": 3,
            "what": "no such file: x.lisp",
            "why": "a reason",
            "try": "check the spelling and the directory you are in",
        }

    def test_interrupt(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(look, "run_linkage", fails_with(KeyboardInterrupt()))
        assert cli.main(["linkage", "a"]) == Exit.INTERRUPTED
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)

    def test_a_bug_is_exit_code_70(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(look, "run_linkage", fails_with(ZeroDivisionError("of ours")))
        assert cli.main(["linkage", "a"]) == Exit.BUG
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "ZeroDivisionError: of ours" in shown.err
        assert "Traceback" in shown.err


def test_a_reader_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `monolisp toolchain list --json | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        try:
            assert cli.main(["toolchain", "list", "--json"]) == Exit.OK
            stream.flush()
        finally:
            # Closing the stream must not meet the broken pipe once more.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, writing)
            os.close(nowhere)


class TestRealErrors:
    """From the command line to the message, as far as no process is needed."""

    @pytest.mark.parametrize(
        ("line", "code", "said"),
        [
            (["build"], Exit.INPUT, "nothing to build in "),
            (["build", "none.lisp"], Exit.INPUT, "no such file: none.lisp"),
            (["build", "web", "--heap", "much"], Exit.USAGE, "--heap: much is not usable"),
            (["build", "web", "--registry", "none"], Exit.INPUT, "no such file: "),
            (["build", "web", "--target", "pdp10"], Exit.USAGE, "there is no target pdp10"),
            (["build", "web", "--sbcl", "1.0"], Exit.USAGE, "there is no pin for SBCL 1.0"),
            (["verify", "--target", "pdp10", "none"], Exit.USAGE, "there is no target pdp10"),
            (["linkage", "none"], Exit.INPUT, "no such file: none"),
            (["toolchain", "path"], Exit.TOOLCHAIN, "there is no toolchain for SBCL "),
            (["toolchain", "path", "--sbcl", "1.0"], Exit.USAGE, "there is no pin for SBCL 1.0"),
        ],
        ids=str,
    )
    def test_words_and_code(self, line: list[str], code: Exit, said: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(line) == code
        shown = capsys.readouterr()
        assert shown.err.startswith(f"error: {said}")
        assert shown.out == ""

    @pytest.mark.parametrize(("name", "said"), [("none", "no such file: none"), (".", ". is not an ELF file")])
    def test_verify_what_cannot_be_read(self, name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["verify", name]) == Exit.INPUT
        assert capsys.readouterr().err.startswith(f"error: {said}")

    def test_verify_says_nothing_of_what_it_did_not_judge(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["verify", "none"])
        assert capsys.readouterr().out == ""

    def test_verify_judges_the_others(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "good").write_bytes(static_program())
        assert cli.main(["verify", "--no-run", "--json", "none", "good"]) == Exit.INPUT
        shown = capsys.readouterr()
        assert "no such file: none" in shown.err
        told = json.loads(shown.out)
        assert (told["ok"], len(told["files"])) == (False, 1)
        assert [(row["file"], row["error"]) for row in told["unreadable"]] == [("none", "NoSuchFile")]

    @pytest.mark.parametrize("content", [b"", b"text", b"\x7fELF", b"\x7fELF\2\1\1", b"\0" * 4096], ids=str)
    def test_linkage_of_what_is_no_core(
        self, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "a").write_bytes(content)
        assert cli.main(["linkage", "a"]) == Exit.INPUT
        assert capsys.readouterr().err.startswith("error: a ")

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            (".", ". holds no SBCL core that can be read\n  why: it is no regular file"),
            ("/dev/null", "/dev/null holds no SBCL core that can be read\n  why: it is no regular file"),
            ("file/below", "no such file: file/below"),
            ("round", "round cannot be read\n  why: Too many levels of symbolic links"),
            ("x" * 300, "x" * 300 + " cannot be read\n  why: File name too long"),
        ],
        ids=["directory", "device", "below a file", "circle", "too long"],
    )
    @pytest.mark.parametrize("command", ["linkage", "verify"])
    def test_what_is_no_file(
        self, command: str, name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "round").symlink_to("round")
        assert cli.main([command, name]) == Exit.INPUT
        said = said if command == "linkage" else said.replace("holds no SBCL core", "is not an ELF file")
        assert capsys.readouterr().err.startswith(f"error: {said}")

    @pytest.mark.parametrize("command", ["linkage", "verify"])
    def test_what_one_may_not_read(
        self, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(path: Path, mode: str) -> NoReturn:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        (tmp_path / "secret").write_bytes(static_program())
        monkeypatch.setattr(Path, "open", refuse)
        assert cli.main([command, "secret"]) == Exit.INPUT
        assert capsys.readouterr().err.startswith("error: secret cannot be read\n  why: Permission denied")

    def test_bad_project_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "monolisp.toml").write_text("entri = 'x'")
        assert cli.main(["build", "web"]) == Exit.INPUT
        assert "did you mean entry?" in capsys.readouterr().err

    def test_unusable_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("MONOLISP_STORE", str(tmp_path / "file"))
        assert cli.main(["toolchain", "list"]) == Exit.STORE
        assert "MONOLISP_STORE" in capsys.readouterr().err


class TestStore:
    def test_below_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("MONOLISP_STORE", "~/stored")
        assert given.store().root == tmp_path / "home/stored"

    def test_relative(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONOLISP_STORE", "stored")
        assert given.store().root == tmp_path / "stored"

    def test_of_nobody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the shell does, a name that nobody has is left as it is."""
        monkeypatch.setenv("MONOLISP_STORE", "~no-such-user/stored")
        assert given.store().root == tmp_path / "~no-such-user/stored"

    def test_of_the_user(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("MONOLISP_STORE", "")
        assert given.store().root == tmp_path / "cache/monolisp"


class TestToolchains:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = Store(tmp_path / "store").prepare()
        facts = {"version": "2.0.0", "target": "x86_64-linux-musl", "zig": "0.14.1", "libc": "musl 1.2.5"}

        def make(path: Path) -> None:
            (path / "toolchain.json").write_text(json.dumps(facts))

        store.entry("toolchains", "0123", make)
        return store

    def test_list(self, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toolchain", "list"]) == Exit.OK
        assert capsys.readouterr().out == "0123  SBCL 2.0.0  x86_64-linux-musl  musl 1.2.5  0 MB\n"

    def test_list_as_json(self, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toolchain", "list", "--json"]) == Exit.OK
        told = json.loads(capsys.readouterr().out)
        assert told["schema"] == "monolisp-toolchains-1"
        conforms(told)
        assert [(row["digest"], row["version"]) for row in told["toolchains"]] == [("0123", "2.0.0")]

    def test_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toolchain", "list"]) == Exit.OK
        assert capsys.readouterr().out == ""

    def test_prune_removes_what_no_pin_leads_to(self, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["toolchain", "prune"]) == Exit.OK
        assert "removed toolchains 0123" in capsys.readouterr().out
        assert not store.has("toolchains", "0123")

    def test_prune_removes_faces_of_toolchains_that_are_gone(self, store: Store) -> None:
        kept = toolchain_digest(DEFAULT, find_target(None))
        facts = json.dumps({"version": DEFAULT, "target": find_target(None).triple, "zig": "0", "libc": "0"})
        store.entry("toolchains", kept, lambda path, facts=facts: void((path / "toolchain.json").write_text(facts)))
        for name, toolchain in (("old", "0123"), ("new", kept)):
            facts = json.dumps({"toolchain": toolchain})
            store.entry("faces", name, lambda path, facts=facts: void((path / "face.json").write_text(facts)))
        store.entry("face-cores", "of-nobody", lambda path: None)
        assert cli.main(["toolchain", "prune"]) == Exit.OK
        assert [store.has("faces", name) for name in ("old", "new")] == [False, True]
        assert not store.has("face-cores", "of-nobody")


def void(_: object) -> None:
    return None


# --- what `import monolisp.cli` costs --------------------------------------------------------------------------------


def imported(tree: ast.Module, package: str) -> Iterator[str]:
    """The names that are imported when a module is: not those in functions or for type checkers."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [".".join(package.split(".")[: 1 - node.level or None]), node.module]))
            name = (base if node.level else node.module) or ""
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def file_of(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split("."))
    found = [path / "__init__.py", path.with_suffix(".py")]
    return next((item for item in found if item.is_file()), None)


def reached(module: str, root: Path = SRC.parent) -> set[str]:
    """Every module that importing `module` imports, as far as files below `root` say."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += [name.rpartition(".")[0]] if "." in name else []
        path = file_of(name, root)
        if path is not None:
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            waiting += imported(ast.parse(path.read_text(encoding="utf-8")), package)
    return seen


HEAVY = {"rich", "urllib.request", "importlib.metadata", "shtab", "platformdirs", "subprocess"}


class TestImports:
    def test_the_command_line_is_light(self) -> None:
        assert not reached("monolisp.cli") & HEAVY

    def test_and_reaches_little_of_ours(self) -> None:
        ours = {name for name in reached("monolisp.cli") if file_of(name, SRC.parent)}
        assert ours == {"monolisp", "monolisp.cli", "monolisp.errors", "monolisp.options", "monolisp.options.finished"}

    def test_nothing_to_do_is_decided_without_the_heavy_ones(self) -> None:
        """A build that has nothing to do imports the plan's modules only."""
        assert not reached("monolisp.build") & HEAVY - {"subprocess"}

    def test_this_finds_what_is_reached(self, tmp_path: Path) -> None:
        files = {
            "a/__init__.py": "from a import c",
            "a/b.py": "from .sub.x import f",
            "a/c.py": "import rich",
            "a/sub/__init__.py": "import urllib.request",
            "a/sub/x.py": "def f():\n    import shtab",
            "a/d.py": "import platformdirs",
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        assert reached("a.b", tmp_path) & HEAVY == {"rich", "urllib.request"}

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("import a.b", {"a.b"}),
            ("from a import b", {"a", "a.b"}),
            ("from . import c", {"p.q", "p.q.c"}),
            ("from ..x import y", {"p.x", "p.x.y"}),
            ("try:\n import a\nexcept ImportError:\n import b", {"a", "b"}),
            ("if TYPE_CHECKING:\n import a\nelse:\n import b", {"b"}),
            ("class C:\n import a", {"a"}),
            ("def f():\n import a", set()),
        ],
    )
    def test_import_statements(self, text: str, names: set[str]) -> None:
        assert set(imported(ast.parse(text), "p.q")) == names
