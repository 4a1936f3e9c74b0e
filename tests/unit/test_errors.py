from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import monolisp
from monolisp import cli, errors
from monolisp.errors import EXIT_MEANING, Exit, MonolispError, all_errors, page

SRC = Path(monolisp.__file__).parent
ROOT = Path(__file__).parents[2]
ALL = all_errors()
BY_NAME = {error.__name__: error for error in ALL}
named = pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)


def templates(error: type[MonolispError]) -> list[str]:
    return [error.what, error.why, error.todo]


def fields_of(error: type[MonolispError]) -> set[str]:
    parts = [part for template in templates(error) for part in string.Formatter().parse(template)]
    return {name for _, name, _, _ in parts if name is not None}


def filled(error: type[MonolispError]) -> MonolispError:
    return error(**{name: f"<<{name}>>" for name in fields_of(error)})


@cache
def sources() -> list[tuple[str, ast.Module]]:
    paths = sorted(SRC.rglob("*.py"))
    return [(str(path.relative_to(SRC)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def raised() -> Iterator[tuple[str, str, set[str]]]:
    """Every place in src that makes an error of errors.py: where, which, with what."""
    for file, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_NAME:
                assert not node.args, f"{file}:{node.lineno}"
                yield f"{file}:{node.lineno}", node.func.id, {str(keyword.arg) for keyword in node.keywords}


class TestTemplates:
    @named
    def test_has_words_and_a_code_of_its_own(self, error: type[MonolispError]) -> None:
        assert {"exit_code", "what", "why", "todo"} <= vars(error).keys()
        assert error.exit_code not in (Exit.OK, Exit.BUG)

    @named
    def test_says_everything_it_is_told(self, error: type[MonolispError]) -> None:
        said = str(filled(error))
        for name in fields_of(error):
            assert f"<<{name}>>" in said

    @named
    def test_fields_are_plain_names(self, error: type[MonolispError]) -> None:
        for template in templates(error):
            for _, name, form, conversion in string.Formatter().parse(template):
                assert name is None or (name.isidentifier() and not form and not conversion)

    @named
    def test_says_what_to_do(self, error: type[MonolispError]) -> None:
        assert filled(error).todo_text

    @named
    def test_begins_like_the_rest_of_a_sentence(self, error: type[MonolispError]) -> None:
        """Each follows `error: `, `why: ` or `try: `."""
        for template in templates(error):
            assert not re.match(r"[A-Z][a-z]", template) or template.startswith("Lisp ")
            assert not template.endswith(".")


def test_names_differ() -> None:
    assert len(BY_NAME) == len(ALL)


@pytest.mark.parametrize(("where", "name", "given"), list(raised()))
def test_is_raised_with_its_own_fields(where: str, name: str, given: set[str]) -> None:
    assert given == fields_of(BY_NAME[name]), where


def test_no_error_is_dead() -> None:
    used = {
        node.id
        for file, tree in sources()
        if file != "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert not BY_NAME.keys() - used


def test_no_error_is_defined_elsewhere() -> None:
    """The page is made from errors.py alone."""
    found = [
        f"{file}: {node.name}"
        for file, tree in sources()
        if file != "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in {"MonolispError", *BY_NAME} for base in node.bases)
    ]
    assert not found


class TestExitCodes:
    def test_all_are_documented(self) -> None:
        assert set(EXIT_MEANING) == set(Exit)

    def test_all_are_used(self) -> None:
        """By an error, or by name somewhere."""
        named_somewhere = {
            node.attr
            for file, tree in sources()
            if file != "errors.py"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Exit"
        }
        unused = {code.name for code in Exit} - {error.exit_code.name for error in ALL} - named_somewhere
        # What nobody foresaw ends with it: see test_cli.py.
        assert not unused - {"BUG"}


class TestPage:
    def test_is_the_one_in_docs(self) -> None:
        assert (ROOT / "docs/errors.md").read_text(encoding="utf-8") == page()

    def test_every_entry_is_one_line(self) -> None:
        """A line break in a template would end its list entry."""
        told = [line for line in page().splitlines() if line and not line.startswith(("#", "|", "Made "))]
        assert all(line.startswith(("- what: ", "- why: ", "- try: ")) for line in told)
        assert len(told) == 3 * len(ALL)


class TestText:
    def test_shape(self) -> None:
        error = errors.NoSuchFile(file="a.lisp", reason="there is none")
        assert str(error).splitlines() == [
            "error: no such file: a.lisp",
            "  why: there is none",
            "  try: check the spelling and the directory you are in",
        ]

    def test_an_empty_reason_has_no_line(self) -> None:
        assert str(errors.NoSuchFile(file="a.lisp", reason="")).splitlines() == [
            "error: no such file: a.lisp",
            "  try: check the spelling and the directory you are in",
        ]

    def test_braces_and_percents_of_the_user_stay(self) -> None:
        assert errors.NoSuchFile(file="{file}%s{0}{{", reason="{nothing}").what_text == "no such file: {file}%s{0}{{"

    def test_values_of_any_type(self) -> None:
        error = errors.NoSuchFile(file=Path("/a"), reason=OSError(2, "gone"))
        assert (error.fields["file"], error.why_text) == ("/a", "[Errno 2] gone")


class TestAdvice:
    """What the errors tell people to type must exist."""

    @staticmethod
    def commands() -> list[list[str]]:
        told = re.findall(r"`monolisp ([^`]*)`", " ".join(text for error in ALL for text in templates(error)))
        return [words.split() for words in told]

    @pytest.mark.parametrize("words", commands(), ids=" ".join)
    def test_commands(self, words: list[str]) -> None:
        if "--help" not in words:
            # What a person is to fill in is written in capitals.
            cli.parser().parse_args([word.partition("|")[0] for word in words])

    @pytest.mark.parametrize("command", ["build", "verify", "linkage", "toolchain", "doctor", "completion"])
    def test_help(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        """BadOption points there."""
        with pytest.raises(SystemExit) as ending:
            cli.parser().parse_args([command, "--help"])
        assert ending.value.code == 0
        assert f"monolisp {command}" in capsys.readouterr().out

    def test_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        commands = ("build", "toolchain new", "store prune", "store push", "push", "matrix", "licenses", "sign")
        commands += ("verify-signature", "rebuild")
        for command in map(str.split, commands):
            with pytest.raises(SystemExit):
                cli.parser().parse_args([*command, "--help"])
        known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
        # Commands of other programs have their own.
        texts = [re.sub(r"`gpg [^`]*`", "", error.todo) for error in ALL]
        told = {word for text in texts for word in re.findall(r"(?<![\w`-])--?[a-z][a-z-]*", text)}
        assert told
        assert told <= known

    def test_pages(self) -> None:
        pages = {name for error in ALL for name in re.findall(r"docs/[\w.-]+", error.todo)}
        assert pages
        assert all((ROOT / name).is_file() for name in pages)
