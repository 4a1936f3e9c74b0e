from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import monolisp.lisp
from monolisp import errors
from monolisp.errors import MonolispError
from monolisp.lisp import events, session
from monolisp.lisp.ear import Ear
from monolisp.lisp.events import Event, death_of, failure_of, parse_event
from monolisp.progress import Silent

FOLDER = Path(monolisp.lisp.__file__).parent
DRIVER = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("events.lisp", "sources.lisp", "driver.lisp"))


def parsed(line: str) -> Event:
    event = parse_event(line)
    assert event is not None
    return event


def failed(kind: str, **fields: Any) -> Event:
    return parsed(json.dumps({"event": "failed", "kind": kind, **fields}))


def forms(start: str) -> list[str]:
    """Every form of driver.lisp that begins with `start`, to its closing parenthesis."""
    found = []
    for match in re.finditer(re.escape(start), DRIVER):
        depth, position, in_string = 0, match.start(), False
        while True:
            character = DRIVER[position]
            if character == "\\":
                position += 1
            elif character == '"':
                in_string = not in_string
            elif not in_string:
                depth += (character == "(") - (character == ")")
            position += 1
            if depth == 0:
                break
        found.append(DRIVER[match.start() : position])
    return found


def sent() -> dict[str, set[str]]:
    """Kind of failure → the fields that driver.lisp sends with it."""
    found: dict[str, set[str]] = {}
    for text in forms("(fail "):
        head = re.match(r'\(fail (?:"([a-z-]+)"|\(if .*? "([a-z-]+)" "([a-z-]+)"\))', text, re.DOTALL)
        if head:
            for kind in filter(None, head.groups()):
                found.setdefault(kind, set()).update(re.findall(r"(?<=\s):([a-z_]+)", text))
    return found


class TestEvents:
    def test_parts(self) -> None:
        event = parsed('{"event":"file","file":"/a/b.lisp","line":7}\n')
        assert (event.name, event.fields) == ("file", {"file": "/a/b.lisp", "line": 7})

    @pytest.mark.parametrize(
        ("value", "text"), [("x", "x"), (3, "3"), (0, "0"), (["a", "b"], "a, b"), ([], ""), (None, ""), ("", "")]
    )
    def test_fields_as_text(self, value: Any, text: str) -> None:
        assert Event("warning", {"it": value}).text("it") == text

    def test_field_that_is_not_there(self) -> None:
        assert Event("warning", {}).text("it") == ""

    @pytest.mark.parametrize(
        ("fields", "place"),
        [
            ({"file": "/a.lisp", "line": 3}, "/a.lisp:3"),
            ({"file": "/a.lisp", "line": None}, "/a.lisp"),
            ({"file": "/a.lisp"}, "/a.lisp"),
            ({"file": None, "line": None}, "the program"),
            ({}, "the program"),
        ],
    )
    def test_place(self, fields: dict[str, Any], place: str) -> None:
        assert Event("failed", fields).place == place

    @given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())))
    def test_any_fields(self, fields: dict[str, Any]) -> None:
        fields.pop("event", None)
        event = parsed(json.dumps({"event": "x", **fields}))
        assert event.fields == fields
        assert all(isinstance(event.text(name), str) for name in fields)


PLACE = {"file": "/a/b.lisp", "line": 7}


class TestFailures:
    """Each kind of failure is one error, whose words say what the Lisp side told."""

    @pytest.mark.parametrize(
        ("kind", "fields", "error", "what", "why"),
        [
            ("read", {**PLACE, "condition": "end of file"}, errors.LispReadError, "/a/b.lisp:7: ", "end of file"),
            ("compile", {**PLACE, "condition": "no such macro"}, errors.LispCompileError, "/a/b.lisp:7: ", "no such"),
            ("load", {**PLACE, "condition": "1/0"}, errors.LispLoadError, "/a/b.lisp:7: error while loading", "1/0"),
            ("load", {"file": None, "condition": "1/0"}, errors.LispLoadError, "the program: error", "1/0"),
            ("heap", {**PLACE, "condition": "Heap"}, errors.LispHeapExhausted, "/a/b.lisp:7: no memory", "Heap"),
            ("save", {"condition": "two threads"}, errors.LispSaveError, "could not be saved", "two threads"),
            ("missing-system", {"missing": "wib", "known": ["x"]}, errors.NoSuchSystem, "system wib was not", "/lib"),
            (
                "missing-dependency",
                {"system": "a", "missing": "b"},
                errors.MissingDependency,
                "system a needs b",
                "/lib",
            ),
            (
                "no-package",
                {"package": "P", "entry": "p:f", "known": ["A", "B"]},
                errors.NoSuchPackage,
                "P for",
                "A, B",
            ),
            ("no-entry", {"entry": "MAIN", "condition": "no symbol"}, errors.NoEntry, "no function MAIN", "no symbol"),
            ("two-entries", {"entries": ["A::MAIN", "B::MAIN"]}, errors.TwoEntries, "MAIN", "A::MAIN, B::MAIN"),
            ("bad-entry", {"entry": "F", "lambda_list": "(A B)"}, errors.BadEntry, "F takes the wrong", "no argument"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_words(self, kind: str, fields: dict[str, Any], error: type[MonolispError], what: str, why: str) -> None:
        found = failure_of(failed(kind, **fields), ["/lib", "/more"])
        assert type(found) is error
        assert what in found.what_text
        assert why in found.why_text
        assert "{" not in str(found)

    def test_bad_entry_shows_the_lambda_list(self) -> None:
        assert failure_of(failed("bad-entry", entry="F", lambda_list="(A B)")).what_text.endswith("(A B)")

    def test_every_place_is_named(self) -> None:
        for kind in ("missing-system", "missing-dependency"):
            assert "/lib, /more" in failure_of(failed(kind, missing="x", system="y"), ["/lib", "/more"]).why_text

    @pytest.mark.parametrize(
        ("missing", "known", "todo"),
        [
            ("cl-pcre", ["alexandria", "cl-ppcre"], "did you mean cl-ppcre?"),
            ("server", ["client", "server1", "my-server"], "did you mean server1 or my-server?"),
            ("wib", ["alexandria"], "name its directory with --registry DIR"),
            ("wib", [], "name its directory with --registry DIR"),
            ("wib", None, "name its directory with --registry DIR"),
        ],
    )
    def test_suggestion(self, missing: str, known: list[str] | None, todo: str) -> None:
        assert failure_of(failed("missing-system", missing=missing, known=known)).todo_text == todo

    def test_whatever_a_condition_says_stays(self) -> None:
        condition = 'two\nlines, "quotes", {braces} %s'
        assert failure_of(failed("load", condition=condition)).why_text == condition


class TestBothSides:
    """What driver.lisp tells is what is understood here."""

    def test_every_kind_of_failure(self) -> None:
        assert sent().keys() == events._FAILURES.keys()

    @pytest.mark.parametrize("kind", sorted(events._FAILURES))
    def test_every_field_that_is_asked_for_is_sent(self, kind: str) -> None:
        asked: set[str] = set()

        class Spy(dict[str, Any]):
            def get(self, name: str, default: Any = None) -> Any:
                asked.add(name)
                return super().get(name, default)

        failure_of(Event("failed", Spy(kind=kind)))
        assert asked - {"kind"} <= sent()[kind]
        assert asked > {"kind"}

    def test_every_event_that_is_waited_for_is_told(self) -> None:
        told = set(re.findall(r'\(tell "([a-z]+)"', DRIVER)) | (
            {"failed"} if '(apply #\'tell "failed"' in DRIVER else set()
        )
        source = Path(session.__file__).read_text(encoding="utf-8")
        waited = set(re.findall(r'\.name == "(\w+)"', source)) | set(re.findall(r'_told\("(\w+)"', source))
        assert waited
        assert waited <= told

    def test_the_forms_are_found(self) -> None:
        assert len(forms("(fail ")) > len(sent()) > 8
        assert all(text.count("(") >= 1 and text.endswith(")") for text in forms("(fail "))


class TestPipe:
    """Events come one a line through a pipe that the other side may close at any moment."""

    def heard(self, content: bytes) -> list[Event]:
        ear = Ear(Silent())
        other = os.dup(ear.writing)
        ear.listen()
        os.write(other, content)
        os.close(other)
        ear.close()
        return ear.events

    def test_in_order(self) -> None:
        content = b"".join(json.dumps({"event": "file", "file": str(n)}).encode() + b"\n" for n in range(100))
        assert [event.text("file") for event in self.heard(content)] == [str(n) for n in range(100)]

    def test_any_text(self) -> None:
        text = "größe \x85\u2028 \n end"
        line = json.dumps({"event": "file", "file": text}, ensure_ascii=False).encode()
        assert [event.text("file") for event in self.heard(line + b"\n")] == [text]

    def test_nothing(self) -> None:
        assert self.heard(b"") == []

    def test_nobody_listened(self) -> None:
        ear = Ear(Silent())
        ear.close()
        with pytest.raises(OSError):
            os.fstat(ear.writing)

    @pytest.mark.parametrize("damaged", [b'{"event":"fi', b"\n", b"null\n", b'{"file":"x"}\n'])
    def test_damaged_lines(self, damaged: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        died: list[Any] = []
        monkeypatch.setattr(threading, "excepthook", died.append)
        good = b'{"event":"file","file":"a"}\n'
        assert [event.text("file") for event in self.heard(good + damaged)] == ["a"]
        assert died == []


class TestDeath:
    """A Lisp that ended without a word of why."""

    loading = parsed('{"event": "file", "file": "/a.lisp"}')
    saving = parsed('{"event": "save"}')

    @pytest.mark.parametrize(
        ("told", "place"),
        [
            ([], "ended unexpectedly before anything was loaded"),
            ([loading], "ended unexpectedly while loading /a.lisp"),
            ([loading, saving], "ended unexpectedly while saving the core"),
        ],
    )
    def test_says_where(self, told: list[Event], place: str) -> None:
        assert place in str(death_of(told, 1, ""))

    @pytest.mark.parametrize(
        ("code", "phrase"), [(0, "does the program call EXIT"), (3, "exit code 3"), (-11, "killed by signal 11")]
    )
    def test_says_how_and_shows_the_last_lines(self, code: int, phrase: str) -> None:
        error = death_of([self.loading], code, "\n".join(f"line {number}" for number in range(100)))
        assert isinstance(error, errors.LispDied)
        assert phrase in error.why_text.splitlines()[0]
        assert error.why_text.splitlines()[1:] == [f"line {number}" for number in range(88, 100)]

    @pytest.mark.parametrize(("told", "place"), [([saving], "saving the core"), ([loading], "loading /a.lisp")])
    def test_the_collector_found_no_room(self, told: list[Event], place: str) -> None:
        first = "Heap exhausted during garbage collection: 0 bytes available, 16 requested."
        error = death_of(told, 1, f"; compiling\n{first}\n  Gen layout\nfatal error\nHeap exhausted, game over.\n")
        assert isinstance(error, errors.LispHeapExhausted)
        assert (error.what_text, error.why_text) == (f"{place}: no memory left", first)
