from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.lisp.job import Symbol, job_text, output_translations, sexp, source_registry
from monolisp.project import Project

TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([()])|([^\s()"]+))', re.DOTALL)


class Pair(tuple[Any, Any]):
    """(a . b)"""


def tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text.rstrip()):
        match = TOKEN.match(text, position)
        assert match, f"Lisp cannot read {text[position:]!r}"
        position = match.end()
        if match[1] is not None:
            yield "string", re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL)
        else:
            yield ("paren", match[2]) if match[2] else ("atom", match[3])


def read(text: str) -> Any:
    """What Lisp reads: strings as str, lists as lists, symbols as Symbol. Source: CLHS 2.4."""
    stream = tokens(text)
    value = form(stream, *next(stream))
    assert list(stream) == [], "more than one form"
    return value


def form(stream: Iterator[tuple[str, str]], kind: str, text: str) -> Any:
    if kind == "string":
        return text
    if kind == "atom":
        return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else Symbol(text.upper())
    assert text == "(", "a parenthesis too many"
    items: list[Any] = []
    for token in stream:
        if token == ("paren", ")"):
            if len(items) == 3 and items[1] == Symbol("."):
                return Pair((items[0], items[2]))
            return items
        items.append(form(stream, *token))
    raise AssertionError("a parenthesis is missing")


def plist(items: list[Any]) -> dict[str, Any]:
    assert all(isinstance(key, Symbol) for key in items[::2])
    return {key.name: value for key, value in zip(items[::2], items[1::2], strict=True)}


T, NIL = Symbol("T"), Symbol("NIL")


class TestSexp:
    @pytest.mark.parametrize(
        "text",
        ["", "plain", 'say "yes"', "back\\slash", "\\", '\\"', "two\nlines", "größe λ 😀", "(a . b)", "|;#'`,", "\0"],
    )
    def test_strings(self, text: str) -> None:
        assert read(sexp(text)) == text
        assert read(sexp([text, Path("/x") / text])) == [text, str(Path("/x") / text)]

    @given(st.text())
    def test_any_string(self, text: str) -> None:
        assert read(sexp(text)) == text

    def test_others(self) -> None:
        assert read(sexp([None, True, False, 0, 1, -5, Symbol(":key"), [], [[]]])) == [
            NIL,
            T,
            NIL,
            0,
            1,
            -5,
            Symbol(":KEY"),
            [],
            [[]],
        ]

    nested = st.recursive(
        st.text() | st.integers() | st.just(T) | st.just(NIL), lambda inner: st.lists(inner), max_leaves=10
    )

    @given(nested)
    def test_anything(self, value: Any) -> None:
        assert read(sexp(value)) == value


def project(**fields: Any) -> Project:
    return Project(Path("/p"), **fields)


def job(*embedded: tuple[str, Path], code: Path | None = None, **fields: Any) -> dict[str, Any]:
    return plist(read(job_text(project(**fields), code, embedded)))


class TestJob:
    def test_a_script(self) -> None:
        assert job(files=(Path("/p/a.lisp"), Path("/p/b.lisp"))) == {
            ":FILES": ["/p/a.lisp", "/p/b.lisp"],
            ":SYSTEM": NIL,
            ":ENTRY": NIL,
            ":FEATURES": [],
            ":BEFORE": [],
            ":DEBUGGER": NIL,
            ":CODE": NIL,
            ":PASS": Symbol(":SAVE"),
            ":WAIT": NIL,
            ":EMBED": [],
        }

    def test_a_system(self) -> None:
        found = job(system="web/cli", entry="web:main", debugger=True)
        assert (found[":SYSTEM"], found[":ENTRY"], found[":DEBUGGER"]) == ("web/cli", "web:main", T)

    def test_the_code_that_the_core_goes_behind(self) -> None:
        assert job(system="web", code=Path('/s/"code"'))[":CODE"] == '/s/"code"'

    @pytest.mark.parametrize(("feature", "name"), [("foo", "FOO"), (":foo", "FOO"), ("Foo-1", "FOO-1")])
    def test_features(self, feature: str, name: str) -> None:
        assert job(system="web", features=(feature,))[":FEATURES"] == [name]

    def test_what_comes_before(self) -> None:
        found = job(system="web", before=(("eval", '(print "x")'), ("load", "/a b.lisp")))
        assert found[":BEFORE"] == [[Symbol(":EVAL"), '(print "x")'], [Symbol(":LOAD"), "/a b.lisp"]]

    def test_embedded_files_are_pairs(self) -> None:
        found = job(("static/a.png", Path("/p/static/a.png")), ('"', Path('/p/"')), system="web")
        assert found[":EMBED"] == [Pair(("static/a.png", "/p/static/a.png")), Pair(('"', '/p/"'))]

    def test_the_driver_reads_all_of_it(self) -> None:
        """Each key of the job is one that driver.lisp asks for, and the other way round."""
        import monolisp.lisp

        driver = (Path(monolisp.lisp.__file__).parent / "driver.lisp").read_text(encoding="utf-8")
        asked = {key.upper() for key in re.findall(r"\(getf job (:[a-z-]+)\)", driver)}
        assert asked == job(system="web").keys()


def registry(trees: list[Path], inherited: str) -> list[Any]:
    found = read(source_registry(trees, inherited))
    assert found[0] == Symbol(":SOURCE-REGISTRY")
    return list(found[1:])


TREE, DIRECTORY, INHERIT = Symbol(":TREE"), Symbol(":DIRECTORY"), Symbol(":INHERIT-CONFIGURATION")
IGNORE = Symbol(":IGNORE-INHERITED-CONFIGURATION")
# ASDF wants exactly one of them.
ENDS = [INHERIT, IGNORE]


class TestSourceRegistry:
    """Source: ASDF manual, chapter 8, "Controlling where ASDF searches for systems"."""

    def test_unset(self) -> None:
        assert registry([], "") == [INHERIT]
        assert registry([Path("/p"), Path("/lib")], "") == [[TREE, "/p/"], [TREE, "/lib/"], INHERIT]

    def test_names_with_anything_in_them(self) -> None:
        assert registry([Path('/a "b"\\c/d:e')], "") == [[TREE, '/a "b"\\c/d:e/'], INHERIT]

    @pytest.mark.parametrize(
        ("inherited", "entries"),
        [
            ("/a", [[DIRECTORY, "/a/"]]),
            ("/a/", [[DIRECTORY, "/a/"]]),
            ("/a//", [[TREE, "/a/"]]),
            ("/a//:/b:/c//", [[TREE, "/a/"], [DIRECTORY, "/b/"], [TREE, "/c/"]]),
            ("/a:", [[DIRECTORY, "/a/"]]),
            (":/a//", [[TREE, "/a/"]]),
            ("/a b", [[DIRECTORY, "/a b/"]]),
            ("/", [[DIRECTORY, "/"]]),
        ],
    )
    def test_path(self, inherited: str, entries: list[Any]) -> None:
        """Ours go first: what the project has beside it is meant."""
        found = registry([Path("/own")], inherited)
        assert [item for item in found if item not in ENDS] == [[TREE, "/own/"], *entries]
        assert len([item for item in found if item in ENDS]) == 1

    @pytest.mark.parametrize("inherited", ["/a//:", ":/a//", "/a::/b"])
    def test_an_empty_element_means_the_other_places(self, inherited: str) -> None:
        assert registry([], inherited).count(INHERIT) == 1

    def test_path_that_excludes_the_rest(self) -> None:
        """Source: ASDF 3.3, parse-source-registry-string."""
        assert registry([], "/a//") == [[TREE, "/a/"], IGNORE]

    @pytest.mark.parametrize(
        "inherited",
        [
            '(:source-registry (:tree "/a/") :inherit-configuration)',
            '  (:source-registry (:tree "/a/") :inherit-configuration)\n',
            '( :source-registry\n(:tree "/a/")\n:inherit-configuration )',
            pytest.param(
                '(:SOURCE-REGISTRY (:TREE "/a/") :INHERIT-CONFIGURATION)',
            ),
        ],
    )
    def test_s_expression(self, inherited: str) -> None:
        assert registry([Path("/own")], inherited) == [[TREE, "/own/"], [TREE, "/a/"], INHERIT]

    def test_s_expression_that_excludes_the_rest(self) -> None:
        found = registry([Path("/own")], '(:source-registry (:tree (:home "cl")) :ignore-inherited-configuration)')
        assert found == [[TREE, "/own/"], [TREE, [Symbol(":HOME"), "cl"]], IGNORE]


def test_output_translations() -> None:
    assert read(output_translations(Path('/s "x"/fasls'))) == [
        Symbol(":OUTPUT-TRANSLATIONS"),
        [T, '/s "x"/fasls/'],
        Symbol(":IGNORE-INHERITED-CONFIGURATION"),
    ]


class TestReading:
    """The reader of these tests sees what is wrong."""

    @pytest.mark.parametrize("text", ['"a', '"a" "b"', "(a", "a)", '"a"b"'])
    def test_refuses(self, text: str) -> None:
        with pytest.raises(AssertionError):
            read(text)
