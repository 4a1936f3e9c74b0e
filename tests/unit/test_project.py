from __future__ import annotations

import errno
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monolisp import cli
from monolisp.cli import given as given_here
from monolisp.errors import (
    BadOption,
    BadProjectFile,
    MixedInputs,
    MonolispError,
    NoSuchFile,
    NothingToBuild,
    NotUtf8,
    TwoSystems,
    UnknownKey,
    Unreadable,
)
from monolisp.project import (
    Project,
    checked_size,
    embedded_files,
    installed_by_quicklisp,
    local_trees,
    resolve_project,
    size_in_bytes,
)
from monolisp.settings import Settings, _key, merged, parse_settings, read_settings

DOCS = Path(__file__).parents[2] / "docs/project-file.md"
NOBODY = Path("/nonexistent/home")
KEYS = [_key(field.name) for field in fields(Settings)]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def resolve(here: Path, *inputs: str, home: Path = NOBODY, **said: Any) -> Project:
    return resolve_project(list(inputs), Settings(**said), here, home)


class TestFile:
    def test_every_key(self) -> None:
        text = """
            system = "web"
            files = ["a.lisp", "b.lisp"]
            entry = "web:main"
            output = "bin/web"
            sbcl = "2.6.4"
            features = ["one", "two"]
            heap = "4GiB"
            stack = "4MiB"
            build-heap = "8GiB"
            embed = ["static/*"]
            registries = ["lib"]
            quicklisp = "/ql"
            debugger = true
        """
        assert parse_settings(tomllib.loads(text), "monolisp.toml") == Settings(
            system="web",
            files=("a.lisp", "b.lisp"),
            entry="web:main",
            output="bin/web",
            sbcl="2.6.4",
            features=("one", "two"),
            heap="4GiB",
            stack="4MiB",
            build_heap="8GiB",
            embed=("static/*",),
            registries=("lib",),
            quicklisp="/ql",
            debugger=True,
        )

    def test_nothing_said(self) -> None:
        settings = parse_settings({}, "monolisp.toml")
        assert {getattr(settings, field.name) for field in fields(Settings)} == {None}

    @pytest.mark.parametrize(
        ("key", "meant"), [("entri", "entry"), ("build_heap", "build-heap"), ("feature", "features"), ("Heap", "heap")]
    )
    def test_unknown_key_with_its_neighbour(self, key: str, meant: str) -> None:
        with pytest.raises(UnknownKey) as caught:
            parse_settings({"system": "web", key: "x"}, "dir/monolisp.toml")
        assert caught.value.what_text == f"dir/monolisp.toml: unknown key {key}"
        assert caught.value.todo_text == f"did you mean {meant}?"

    def test_unknown_key_without_one(self) -> None:
        with pytest.raises(UnknownKey) as caught:
            parse_settings({"zzz": 1}, "monolisp.toml")
        assert caught.value.todo_text == "remove it"
        assert set(KEYS) <= set(re.findall(r"[\w.-]+", caught.value.why_text))

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            ("entry", 1, "entry must be a string"),
            ("entry", True, "entry must be a string"),
            ("heap", 4, "heap must be a string"),
            ("debugger", "yes", "debugger must be a true or false"),
            ("debugger", 1, "debugger must be a true or false"),
            ("features", "one", "features must be a list of strings"),
            ("features", ["one", 2], "features must be a list of strings"),
            ("features", {"one": "two"}, "features must be a list of strings"),
            ("embed", [["static/*"]], "embed must be a list of strings"),
            ("build-heap", {}, "build-heap must be a string"),
        ],
    )
    def test_wrong_type(self, key: str, value: object, said: str) -> None:
        with pytest.raises(BadProjectFile) as caught:
            parse_settings({key: value}, "monolisp.toml")
        assert said in caught.value.why_text

    @pytest.mark.parametrize("content", [b"system = ", b"\xff\xfe", b"a = 1\na = 2", b'system = "a'])
    def test_no_toml(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "monolisp.toml").write_bytes(content)
        with pytest.raises(BadProjectFile) as caught:
            read_settings(tmp_path / "monolisp.toml")
        assert str(tmp_path / "monolisp.toml") in caught.value.what_text

    def test_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(BadProjectFile):
            read_settings(tmp_path)

    def test_is_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "monolisp.toml").write_bytes('system = "größe"'.encode())
        assert read_settings(tmp_path / "monolisp.toml").system == "größe"

    def test_absurdly_deep(self, tmp_path: Path) -> None:
        (tmp_path / "monolisp.toml").write_text("files = " + "[" * 100_000)
        with pytest.raises(BadProjectFile):
            read_settings(tmp_path / "monolisp.toml")

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes() | st.times(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )

    @given(table=st.dictionaries(st.sampled_from(KEYS) | st.text(), values, max_size=4))
    @example(table={"": ""})
    @example(table={"heap\0": 1})
    def test_anything_is_settings_or_an_error(self, table: dict[str, Any]) -> None:
        try:
            found = parse_settings(table, "monolisp.toml")
        except MonolispError as error:
            assert str(error)
            return
        for key, value in table.items():
            kept = getattr(found, key.replace("-", "_").replace(".", "_"))
            assert kept == (tuple(value) if isinstance(value, list) else value)


class TestCommandLineBeatsFile:
    def test_what_is_said_wins(self) -> None:
        file = Settings(entry="a:main", heap="1GiB", features=("one",), debugger=True)
        line = Settings(entry="b:main", features=("two", "three"))
        assert merged(line, file) == Settings(entry="b:main", heap="1GiB", features=("two", "three"), debugger=True)

    def test_empty_is_said_too(self) -> None:
        assert merged(Settings(features=(), debugger=False), Settings(features=("one",), debugger=True)) == Settings(
            features=(), debugger=False
        )

    def test_inputs_beat_the_files_of_the_project_file(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.lisp", tmp_path / "b.lisp")
        assert resolve(tmp_path, "a.lisp", files=("b.lisp",)).files == (tmp_path / "a.lisp",)
        assert resolve(tmp_path, "web", files=("b.lisp",)).system == "web"
        project = resolve(tmp_path, "a.lisp", system="web")
        assert (project.files, project.system) == ((tmp_path / "a.lisp",), None)

    def test_in_the_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "monolisp.toml").write_text('entry = "a:main"\nheap = "2GiB"\nfeatures = ["one"]\n')
        line = ["build", "--heap", "3GiB", "--feature", "two", "--feature", "three"]
        told = given_here.settings(cli.parser().parse_args(line))
        assert told == Settings(entry="a:main", heap="3GiB", features=("two", "three"))


class TestInputs:
    def test_script(self, tmp_path: Path) -> None:
        touch(tmp_path / "src/hello.lisp")
        project = resolve(tmp_path, "src/hello.lisp")
        assert (project.files, project.system) == ((tmp_path / "src/hello.lisp",), None)
        assert project.default_name == "hello"

    @pytest.mark.parametrize("name", ["none.lisp", "none.lsp", "none.cl"])
    def test_a_name_with_a_lisp_type_is_a_script(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(NoSuchFile):
            resolve(tmp_path, name)

    def test_several_scripts_keep_their_order(self, tmp_path: Path) -> None:
        touch(tmp_path / "b.lisp", tmp_path / "a.lisp")
        project = resolve(tmp_path, "b.lisp", "a.lisp")
        assert project.files == (tmp_path / "b.lisp", tmp_path / "a.lisp")
        assert project.default_name == "b"

    def test_a_file_of_any_name_is_a_script(self, tmp_path: Path) -> None:
        touch(tmp_path / "script")
        assert resolve(tmp_path, "script").files == (tmp_path / "script",)

    def test_system(self, tmp_path: Path) -> None:
        project = resolve(tmp_path, "my-app/cli")
        assert (project.files, project.system) == ((), "my-app/cli")
        assert project.default_name == "cli"

    def test_a_system_beside_a_directory_of_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "web").mkdir()
        assert resolve(tmp_path, "web").system == "web"

    def test_asd_file(self, tmp_path: Path) -> None:
        touch(tmp_path / "app.asd")
        project = resolve(tmp_path, "app.asd")
        assert (project.files, project.system) == ((), "app")
        assert tmp_path in project.registries

    def test_asd_file_elsewhere(self, tmp_path: Path) -> None:
        touch(tmp_path / "lib/app.asd")
        (tmp_path / "here").mkdir()
        project = resolve(tmp_path / "here", "../lib/app.asd")
        assert project.system == "app"
        assert (tmp_path / "lib").resolve() in [tree.resolve() for tree in project.registries]

    def test_no_such_asd_file(self, tmp_path: Path) -> None:
        touch(tmp_path / "app.asd")
        with pytest.raises(NoSuchFile) as caught:
            resolve(tmp_path, "ap.asd")
        assert caught.value.why_text == "did you mean app.asd?"

    def test_the_only_system_of_the_directory(self, tmp_path: Path) -> None:
        touch(tmp_path / "app.asd", tmp_path / "other.lisp", tmp_path / "sub/inner.asd")
        assert resolve(tmp_path).system == "app"

    def test_two_systems(self, tmp_path: Path) -> None:
        touch(tmp_path / "one.asd", tmp_path / "two.asd")
        with pytest.raises(TwoSystems) as caught:
            resolve(tmp_path)
        assert caught.value.why_text == "found: one.asd, two.asd"
        assert "`monolisp build one`" in caught.value.todo_text

    def test_two_systems_one_for_tests(self, tmp_path: Path) -> None:
        touch(tmp_path / "app.asd", tmp_path / "app-test.asd")
        with pytest.raises(TwoSystems) as caught:
            resolve(tmp_path)
        assert "`monolisp build app`" in caught.value.todo_text

    def test_the_project_file_says_which(self, tmp_path: Path) -> None:
        touch(tmp_path / "one.asd", tmp_path / "two.asd")
        assert resolve(tmp_path, system="two").system == "two"

    def test_nothing(self, tmp_path: Path) -> None:
        touch(tmp_path / "hello.lisp")
        with pytest.raises(NothingToBuild) as caught:
            resolve(tmp_path)
        assert str(tmp_path) in caught.value.what_text

    def test_file_and_system(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.lisp")
        with pytest.raises(MixedInputs) as caught:
            resolve(tmp_path, "a.lisp", "web")
        assert caught.value.why_text == "got: a.lisp web"

    def test_two_system_names(self, tmp_path: Path) -> None:
        with pytest.raises(MixedInputs):
            resolve(tmp_path, "one", "two")

    @pytest.mark.parametrize("inputs", [("one.asd", "two.asd"), ("a.lisp", "one.asd")])
    def test_asd_files_among_others(self, tmp_path: Path, inputs: tuple[str, ...]) -> None:
        touch(tmp_path / "one.asd", tmp_path / "two.asd", tmp_path / "a.lisp")
        with pytest.raises(MixedInputs):
            resolve(tmp_path, *inputs)

    def test_no_such_script(self, tmp_path: Path) -> None:
        touch(tmp_path / "hello.lisp")
        with pytest.raises(NoSuchFile) as caught:
            resolve(tmp_path, "helo.lisp")
        assert caught.value.why_text == "did you mean hello.lisp?"
        with pytest.raises(NoSuchFile) as caught:
            resolve(tmp_path, "none/such.lisp")
        assert caught.value.why_text == "there is nothing of that name"

    def test_directory_named_as_file(self, tmp_path: Path) -> None:
        (tmp_path / "src.lisp").mkdir()
        with pytest.raises(NoSuchFile) as caught:
            resolve(tmp_path, "src.lisp")
        assert "it is a directory" in caught.value.why_text

    @pytest.mark.parametrize("name", [".", "..", "src/", ""])
    def test_directory_and_nothing_else(self, tmp_path: Path, name: str) -> None:
        """No system can be called so."""
        (tmp_path / "src").mkdir()
        with pytest.raises(NoSuchFile):
            resolve(tmp_path, name)

    def test_absurdly_long_name(self, tmp_path: Path) -> None:
        assert resolve(tmp_path, "x" * 5000).system == "x" * 5000

    @given(
        inputs=st.lists(st.sampled_from(["a.lisp", "app.asd", "sub", "web"]) | st.text(max_size=20), max_size=3),
        said=st.fixed_dictionaries(
            {},
            optional={
                **{
                    name: st.text(max_size=10)
                    for name in ("system", "entry", "output", "heap", "stack", "build_heap", "sbcl")
                },
                **{
                    name: st.lists(st.text(max_size=10), max_size=2).map(tuple)
                    for name in ("files", "features", "embed", "registries")
                },
            },
        ),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    def test_anything_is_a_project_or_an_error(self, tmp_path: Path, inputs: list[str], said: dict[str, Any]) -> None:
        touch(tmp_path / "a.lisp", tmp_path / "app.asd", tmp_path / "sub/b.lisp")
        try:
            project = resolve(tmp_path, *inputs, **said)
        except MonolispError as error:
            assert str(error)
            return
        assert bool(project.files) != (project.system is not None)
        assert all(path.is_absolute() for path in (*project.files, *project.registries))
        assert all(path.is_file() for path in project.files)


# strtoul with base 0, and the limits of parse_size_arg. Source: SBCL src/runtime/runtime.c, 2.6.4.
POWERS = {"": 20, "kb": 10, "kib": 10, "mb": 20, "mib": 20, "gb": 30, "gib": 30, "tb": 40, "tib": 40}


def size_in_the_runtime(text: str) -> int | None:
    """What SBCL's runtime makes of a size, in bytes; None: it refuses to start."""
    match = re.fullmatch(r"(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)([a-z]*)", text, re.IGNORECASE | re.ASCII)
    if not match or match[2].lower() not in POWERS:
        return None
    digits = match[1]
    number = int(digits, 8 if digits.startswith("0") and digits.isdigit() else 0)
    power = POWERS[match[2].lower()]
    return number << power if 0 < number < (2**64 - 1) >> power else None


class TestSizes:
    @pytest.mark.parametrize("text", ["1GiB", "512", "4gib", "100MB", "2TiB", "65536KiB", "64"])
    def test_good(self, text: str) -> None:
        assert checked_size("--heap", text) == text
        assert size_in_the_runtime(text)

    @pytest.mark.parametrize(
        "text",
        ["", "0", "000", "0GiB", "GiB", "1 GiB", "1G", "-1GiB", "1.5GiB", "1GiBs", "0x10", "1GiB\n", "١GiB", '1"'],
    )
    def test_bad(self, text: str) -> None:
        with pytest.raises(BadOption) as caught:
            checked_size("--stack", text)
        assert caught.value.what_text.startswith("--stack: ")

    @pytest.mark.parametrize(
        ("option", "text", "good"),
        [
            ("heap", "64MiB", True),
            ("heap", "63MiB", False),
            ("heap", "1MiB", False),
            ("heap", "1", False),
            ("heap", "2048GiB", True),
            ("heap", "2049GiB", False),
            ("build-heap", "64MiB", True),
            ("build-heap", "65535KiB", False),
            ("stack", "128KiB", True),
            ("stack", "127KiB", False),
            ("stack", "1", True),
            ("stack", "3TiB", False),
        ],
    )
    def test_lisp_can_live_with_it(self, tmp_path: Path, option: str, text: str, good: bool) -> None:
        settings = parse_settings({option: text}, "file")
        if good:
            assert getattr(resolve_project(["web"], settings, tmp_path, NOBODY), option.replace("-", "_")) == text
            return
        with pytest.raises(BadOption, match=f"--{option}: {text} is not usable") as caught:
            resolve_project(["web"], settings, tmp_path, NOBODY)
        assert " at least and 2TiB at most" in caught.value.why_text

    @pytest.mark.parametrize("option", ["heap", "stack", "build-heap"])
    def test_every_size_of_a_project_is_checked(self, tmp_path: Path, option: str) -> None:
        with pytest.raises(BadOption) as caught:
            resolve_project(["web"], parse_settings({option: "much"}, "file"), tmp_path, NOBODY)
        assert caught.value.fields["option"] == f"--{option}"

    @pytest.mark.parametrize("text", ["010GiB", "08GiB", "999999999TiB", "4\N{KELVIN SIGN}iB"])
    def test_what_is_accepted_means_the_same_to_the_runtime(self, text: str) -> None:
        try:
            checked_size("--heap", text)
        except BadOption:
            return
        digits = re.match("[0-9]*", text)
        assert digits
        assert size_in_the_runtime(text) == int(digits[0]) << POWERS[text[digits.end() :].lower()]

    @given(st.from_regex(r"[1-9][0-9]{0,6}([KMGT]i?B)?", fullmatch=True))
    def test_sizes_are_read_as_the_runtime_does(self, text: str) -> None:
        assert size_in_bytes(text) == size_in_the_runtime(text)


def quicklisp(root: Path, dist: str, *releases: str) -> Iterator[Path]:
    """Quicklisp's layout of installed releases. Source: quicklisp-client, dist.lisp (install-metadata-file)."""
    for release in releases:
        tree = root / "dists" / dist / "software" / f"{release}-20260101-git"
        tree.mkdir(parents=True)
        note = root / "dists" / dist / "installed/releases" / f"{release}.txt"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{tree.relative_to(root)}/\n")
        yield tree


class TestTrees:
    def test_none(self, tmp_path: Path) -> None:
        assert local_trees(tmp_path / "here", tmp_path / "home", None) == []

    @pytest.mark.parametrize("name", ["systems", "ocicl", ".clpm"])
    def test_ocicl_and_clpm(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        assert local_trees(tmp_path, NOBODY, None) == [tmp_path / name]

    def test_qlot(self, tmp_path: Path) -> None:
        found = list(quicklisp(tmp_path / ".qlot", "quicklisp", "alexandria", "babel"))
        found += quicklisp(tmp_path / ".qlot", "mine", "mylib")
        (tmp_path / ".qlot/local-projects").mkdir()
        trees = local_trees(tmp_path, NOBODY, None)
        assert trees[0] == tmp_path / ".qlot/local-projects"
        assert sorted(trees[1:]) == sorted(found)

    def test_quicklisp_of_the_user(self, tmp_path: Path) -> None:
        found = list(quicklisp(tmp_path / "home/quicklisp", "quicklisp", "cffi"))
        assert local_trees(tmp_path / "here", tmp_path / "home", None) == found

    def test_quicklisp_elsewhere_instead(self, tmp_path: Path) -> None:
        list(quicklisp(tmp_path / "home/quicklisp", "quicklisp", "cffi"))
        found = list(quicklisp(tmp_path / "ql", "quicklisp", "babel"))
        assert local_trees(tmp_path / "here", tmp_path / "home", str(tmp_path / "ql")) == found

    def test_quicklisp_beside_the_project_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        found = list(quicklisp(tmp_path / "ql", "quicklisp", "babel"))
        assert local_trees(tmp_path, NOBODY, "ql") == found

    def test_quicklisp_below_home(self, tmp_path: Path) -> None:
        found = list(quicklisp(tmp_path / "home/ql", "quicklisp", "babel"))
        assert local_trees(tmp_path / "here", tmp_path / "home", "~/ql") == found

    def test_quicklisp_of_nobody(self, tmp_path: Path) -> None:
        assert local_trees(tmp_path, NOBODY, "~no-such-user/quicklisp") == []

    def test_the_project_goes_before_the_user(self, tmp_path: Path) -> None:
        own = list(quicklisp(tmp_path / "here/quicklisp", "quicklisp", "cffi"))
        users = list(quicklisp(tmp_path / "home/quicklisp", "quicklisp", "cffi"))
        assert local_trees(tmp_path / "here", tmp_path / "home", None) == [*own, *users]

    def test_a_release_that_is_gone(self, tmp_path: Path) -> None:
        (tree,) = quicklisp(tmp_path / ".qlot", "quicklisp", "cffi")
        tree.rmdir()
        assert local_trees(tmp_path, NOBODY, None) == []

    def test_uninstalled_releases_do_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "dists/quicklisp/software/old-git").mkdir(parents=True)
        assert installed_by_quicklisp(tmp_path) == []

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
    def test_a_damaged_note(self, tmp_path: Path, content: bytes) -> None:
        list(quicklisp(tmp_path / ".qlot", "quicklisp", "cffi"))
        (tmp_path / ".qlot/dists/quicklisp/installed/releases/cffi.txt").write_bytes(content)
        assert local_trees(tmp_path, NOBODY, None) == []

    def test_named_ones_first_then_the_directory_of_a_system(self, tmp_path: Path) -> None:
        (tmp_path / "lib").mkdir()
        (tmp_path / "ocicl").mkdir()
        assert resolve(tmp_path, "web", registries=("lib",)).registries == (
            tmp_path / "lib",
            tmp_path,
            tmp_path / "ocicl",
        )

    def test_a_script_does_not_search_its_directory(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.lisp")
        assert resolve(tmp_path, "a.lisp").registries == ()

    def test_a_registry_must_be_there(self, tmp_path: Path) -> None:
        touch(tmp_path / "file")
        for name in ("none", "file"):
            with pytest.raises(NoSuchFile) as caught:
                resolve(tmp_path, "web", registries=(name,))
            assert str(tmp_path / name) in caught.value.what_text


class TestValues:
    def test_output_is_relative_to_the_project(self, tmp_path: Path) -> None:
        assert resolve(tmp_path, "web").output is None
        assert resolve(tmp_path, "web", output="bin/web").output == tmp_path / "bin/web"
        assert resolve(tmp_path, "web", output="/bin/web").output == Path("/bin/web")

    @pytest.mark.parametrize(
        ("content", "definition", "script"),
        [(b"#!/bin/sh", False, True), (b"", False, True), (b"\x7fELF\2", False, False), (b"(in-", True, False)],
    )
    def test_a_file_of_a_systems_name(self, tmp_path: Path, content: bytes, definition: bool, script: bool) -> None:
        """The executable of a system is called like it: the next build must not take it for a script."""
        (tmp_path / "web").write_bytes(content)
        if definition:
            (tmp_path / "web.asd").touch()
        project = resolve(tmp_path, "web")
        assert (project.files, project.system) == (((tmp_path / "web",), None) if script else ((), "web"))

    @pytest.mark.parametrize(
        "said",
        [
            {"entry": "\udcff"},
            {"output": "\udcff"},
            {"features": ("a", "\udcff")},
            {"system": "\udcff"},
            {"files": ("\udcff.lisp",)},
            {"registries": ("\udcff",)},
        ],
        ids=str,
    )
    def test_what_lisp_is_told_must_be_utf_8(self, tmp_path: Path, said: dict[str, Any]) -> None:
        (tmp_path / "\udcff").mkdir()
        (tmp_path / "\udcff.lisp").touch()
        with pytest.raises(NotUtf8, match="it is not UTF-8"):
            resolve_project([], Settings(**{"system": "web", **said}), tmp_path, NOBODY, ())

    def test_what_is_loaded_before_must_be_there(self, tmp_path: Path) -> None:
        (tmp_path / "there.lisp").touch()
        resolve_project(["web"], Settings(), tmp_path, NOBODY, (("load", str(tmp_path / "there.lisp")),))
        with pytest.raises(NoSuchFile, match="ther") as caught:
            resolve_project(["web"], Settings(), tmp_path, NOBODY, (("load", str(tmp_path / "ther.lisp")),))
        assert caught.value.why_text == "did you mean there.lisp?"

    def test_so_must_be_forms_and_directories(self, tmp_path: Path) -> None:
        with pytest.raises(NotUtf8):
            resolve_project(["web"], Settings(), tmp_path, NOBODY, (("eval", "\udcff"),))
        with pytest.raises(NotUtf8):
            resolve_project(["web"], Settings(), tmp_path / "\udcff", NOBODY)

    def test_where_one_may_not_look(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, **options: object) -> NoReturn:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(Path, "stat", refuse)
        with pytest.raises(Unreadable, match=r"app\.lisp cannot be read"):
            resolve(tmp_path, "app.lisp")

    def test_and_names_of_embedded_files(self, tmp_path: Path) -> None:
        (tmp_path / "\udcff.txt").touch()
        with pytest.raises(NotUtf8):
            embedded_files(resolve(tmp_path, "web", embed=("*.txt",)))

    def test_the_building_heap_is_the_programs_unless_that_is_small(self, tmp_path: Path) -> None:
        heaps = [resolve(tmp_path, "web", heap="64MiB"), resolve(tmp_path, "web", heap="2GiB")]
        heaps.append(resolve(tmp_path, "web", heap="2GiB", build_heap="8GiB"))
        assert [project.build_heap for project in heaps] == ["1GiB", "2GiB", "8GiB"]

    @pytest.mark.parametrize(
        ("project", "name"),
        [
            (Project(Path("/"), files=(Path("/a/hello.lisp"), Path("/a/more.lisp"))), "hello"),
            (Project(Path("/"), files=(Path("/a/tool.v2.lisp"),)), "tool.v2"),
            (Project(Path("/"), files=(Path("/a/script"),)), "script"),
            (Project(Path("/"), system="web"), "web"),
            (Project(Path("/"), system="web/server/cli"), "cli"),
            (Project(Path("/")), "program"),
        ],
        ids=str,
    )
    def test_default_name(self, project: Project, name: str) -> None:
        assert project.default_name == name


class TestDocs:
    """docs/project-file.md is a table of all keys, each with its option."""

    @pytest.fixture
    def rows(self) -> dict[str, str]:
        text = DOCS.read_text(encoding="utf-8")
        return dict(re.findall(r"^\| `([\w.-]+)` \|.*\| (.*) \|$", text, re.MULTILINE))

    def test_every_key_is_there(self, rows: dict[str, str]) -> None:
        assert list(rows) == KEYS

    def test_every_option_is_real(self, rows: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["build", "--help"])
        shown = capsys.readouterr().out
        options = [option for cell in rows.values() for option in re.findall(r"`(-[\w-]+)`", cell)]
        assert len(options) >= len(rows) - 2
        assert all(f"{option} " in shown or f"{option}," in shown or f"{option}\n" in shown for option in options)

    @pytest.mark.parametrize("key", ["heap", "stack"])
    def test_defaults(self, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        default = getattr(resolve(tmp_path, "web"), key)
        text = DOCS.read_text(encoding="utf-8")
        assert re.search(rf'^\| `{key}` .*\(default `"{default}"`\)', text, re.MULTILINE)
        with pytest.raises(SystemExit):
            cli.main(["build", "--help"])
        assert re.search(rf"--{key} SIZE\s[^-]*\(default\s{default}\)", capsys.readouterr().out)

    def test_the_example_is_valid(self) -> None:
        (text,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
        assert parse_settings(tomllib.loads(text), "docs").system == "web"
