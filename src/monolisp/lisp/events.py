"""What the Lisp side tells, and which error each failure is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from monolisp.errors import (
    BadEntry,
    LispCompileError,
    LispDied,
    LispHeapExhausted,
    LispLoadError,
    LispReadError,
    LispSaveError,
    MissingDependency,
    MonolispError,
    NoEntry,
    NoSuchPackage,
    NoSuchSystem,
    TwoEntries,
)

Value = str | int | list[str] | None
_SHOWN = 12


@dataclass(frozen=True)
class Event:
    """One line of the Lisp side: `name` is file, warning, system, compiles, compiled, sources, image, entry,
    exports, save or failed."""

    name: str
    fields: Mapping[str, Value]

    def text(self, field: str) -> str:
        """A field as text; lists are joined, what is not there is empty."""
        value = self.fields.get(field)
        if isinstance(value, list):
            return ", ".join(value)
        return "" if value is None else str(value)

    def listed(self, field: str) -> list[str]:
        """A field that is a list; empty when it is not there."""
        value = self.fields.get(field)
        return value if isinstance(value, list) else []

    @property
    def place(self) -> str:
        """file:line, as compilers say it."""
        file, line = self.text("file") or "the program", self.text("line")
        return f"{file}:{line}" if line else file


def parse_event(line: str) -> Event | None:
    """The event of a line; none for what a Lisp that died in the middle of one left."""
    try:
        fields = json.loads(line)
        return Event(fields.pop("event"), fields)
    except (ValueError, AttributeError, KeyError):
        return None


def failure_of(event: Event, places: Sequence[str] = ()) -> MonolispError:
    """The error that a `failed` event tells of; `places` are where systems were looked for."""
    return _FAILURES[event.text("kind")](event, places)


def death_of(events: Sequence[Event], code: int, said: str) -> MonolispError:
    """The error for a Lisp that ended with this exit code (negative: by that signal) and told of no failure; `said` is
    what it printed."""
    last = next((event for event in reversed(events) if event.name in ("file", "save")), None)
    doing = "starting" if last is None else f"loading {last.text('file')}" if last.name == "file" else "saving the core"
    # The collector cannot raise a condition: where it finds no room, the process ends.
    full = re.search("^Heap exhausted during .*", said, re.MULTILINE)
    if full:
        return LispHeapExhausted(place=doing, condition=full[0])
    place = "before anything was loaded" if last is None else f"while {doing}"
    return LispDied(place=place, reason="\n".join([_ending(code), *said.splitlines()[-_SHOWN:]]))


def _ending(code: int) -> str:
    if code == 0:
        return "it exited, as if all were well, before its core was saved: does the program call EXIT while it loads?"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _missing_system(event: Event, places: Sequence[str]) -> MonolispError:
    from difflib import get_close_matches

    known = event.fields.get("known")
    near = get_close_matches(event.text("missing"), known if isinstance(known, list) else [], n=3)
    suggestion = f"did you mean {' or '.join(near)}?" if near else "name its directory with --registry DIR"
    reason = "it is in none of the places where ASDF looks: " + ", ".join(places)
    return NoSuchSystem(system=event.text("missing"), reason=reason, suggestion=suggestion)


def _missing_dependency(event: Event, places: Sequence[str]) -> MonolispError:
    return MissingDependency(system=event.text("system"), missing=event.text("missing"), places=", ".join(places))


def _at_place(error: type[MonolispError]) -> Callable[[Event, Sequence[str]], MonolispError]:
    return lambda event, _: error(place=event.place, condition=event.text("condition"))


_FAILURES: Mapping[str, Callable[[Event, Sequence[str]], MonolispError]] = {
    "read": _at_place(LispReadError),
    "compile": _at_place(LispCompileError),
    "load": _at_place(LispLoadError),
    "heap": _at_place(LispHeapExhausted),
    "save": lambda event, _: LispSaveError(condition=event.text("condition")),
    "missing-system": _missing_system,
    "missing-dependency": _missing_dependency,
    "no-package": lambda event, _: NoSuchPackage(
        package=event.text("package"), entry=event.text("entry"), known=event.text("known")
    ),
    "no-entry": lambda event, _: NoEntry(entry=event.text("entry"), reason=event.text("condition")),
    "two-entries": lambda event, _: TwoEntries(entries=event.text("entries")),
    "bad-entry": lambda event, _: BadEntry(entry=event.text("entry"), lambda_list=event.text("lambda_list")),
}
