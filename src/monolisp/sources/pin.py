"""Pins: which archive a source is, and every place where it can be had, each with the checksum of what it gives.

One source may be a different archive in different places: upstream's own tarball and Debian's repacked one hold the
same program in other bytes. So a checksum belongs to a place, never to a source.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from monolisp.errors import BadPin


@dataclass(frozen=True)
class UpstreamPlace:
    """An archive at an address of its authors: `size` in bytes (0: not known), `sha256` in lower-case hexadecimal."""

    url: str
    file: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class DebianPlace:
    """An archive of a Debian source package; `suite` is where it is looked for when that version is gone.

    `size` is in bytes, `sha256` in lower-case hexadecimal.
    """

    package: str
    version: str
    suite: str
    file: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"Debian source package {self.package} {self.version} ({self.suite})"


@dataclass(frozen=True)
class LocalPlace:
    """An archive that somebody has as a file: in the store, or in the directory that --source-dir names."""

    file: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"the file {self.file}"


Place = UpstreamPlace | DebianPlace | LocalPlace


@dataclass(frozen=True)
class Pin:
    """One pinned source; `places` are tried in their order and are never empty."""

    name: str
    version: str
    licence: str
    places: tuple[Place, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def files(self) -> str:
        """The names that its archive has, for a sentence."""
        return " or ".join(dict.fromkeys(place.file for place in self.places))


class PlaceFailed(Exception):
    """A place that could not be tried, or gave nothing: `reason` is for a person.

    Never seen alone: monolisp.sources.fetch gathers those of all places into SourceUnavailable.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


# What each value must look like: a name that could be read as an option or a path by a program it is given to is none.
_SHAPES = {
    "name": (r"[a-z0-9][a-z0-9+._-]*", "a name in lower case"),
    "version": (r"[0-9A-Za-z][0-9A-Za-z.+~:_-]*", "a version"),
    "licence": (r"\S.*", "a licence"),
    "url": (r"https?://[^/\s]+/\S*", "an http or https address"),
    "file": (r"[0-9A-Za-z][0-9A-Za-z.+~_-]*", "a file name without directories"),
    "sha256": (r"[0-9a-f]{64}", "64 hexadecimal digits in lower case"),
    "debian": (r"[a-z0-9][a-z0-9+.-]+", "the name of a Debian source package"),
    "suite": (r"[a-z][a-z0-9-]*", "the name of a Debian suite"),
}
_PIN_KEYS = ("name", "version", "licence")
_UPSTREAM_KEYS = ("url", "file", "sha256")
_LOCAL_KEYS = ("file", "sha256")
_DEBIAN_KEYS = ("debian", "version", "suite", "file", "sha256")


def parse_pin(table: Mapping[str, object], where: str) -> Pin:
    """The pin that a TOML table says: name, version, licence, and an array `place` of tables.

    A place has either `url` (and `file`, when the address does not end with it) or `debian`, `version`, `suite` and
    `file`, or `file` alone; and always `sha256` and, unless nobody says it of an address, `size`. `where` names the
    table for a person. Raises BadPin with every fault.
    """
    faults = _Faults([])
    values = faults.strings(table, _PIN_KEYS, "", extra=("place",))
    places = table.get("place")
    if not isinstance(places, list) or not places:
        faults.say("place: at least one is needed")
        places = []
    parsed = [_place(place, f"place {number}: ", faults) for number, place in enumerate(places, 1)]
    if faults.found:
        raise BadPin(file=where, reason="; ".join(faults.found))
    return Pin(values["name"], values["version"], values["licence"], tuple(place for place in parsed if place))


def _place(table: object, label: str, faults: _Faults) -> Place | None:
    if not isinstance(table, Mapping):
        faults.say(f"{label}is no table")
        return None
    if ("url" in table and "debian" in table) or not {"url", "debian", "file"} & table.keys():
        faults.say(f"{label}needs either url or debian, or file alone")
        return None
    size = table.get("size", 0 if "url" in table else None)
    if type(size) is not int or (size < 1 and "size" in table):
        faults.say(f"{label}size: {_shown(size)} is not a number of bytes")
        size = 0
    if "url" in table:
        given = {"file": str(table["url"]).rpartition("/")[2], **table}
        values = faults.strings(given, _UPSTREAM_KEYS, label, extra=("size",))
        return UpstreamPlace(values["url"], values["file"], values["sha256"], size)
    if "debian" not in table:
        values = faults.strings(table, _LOCAL_KEYS, label, extra=("size",))
        return LocalPlace(values["file"], values["sha256"], size)
    values = faults.strings(table, _DEBIAN_KEYS, label, extra=("size",))
    return DebianPlace(values["debian"], values["version"], values["suite"], values["file"], values["sha256"], size)


@dataclass(frozen=True)
class _Faults:
    """Gathers what is wrong, so that all of it is reported at once."""

    found: list[str]

    def say(self, fault: str) -> None:
        self.found.append(fault)

    def strings(
        self, table: Mapping[str, object], keys: tuple[str, ...], label: str, extra: tuple[str, ...]
    ) -> dict[str, str]:
        """The values of `keys`, "" for one that is wrong; keys that are neither in `keys` nor `extra` are faults."""
        for key in table.keys() - {*keys, *extra}:
            near = difflib.get_close_matches(key, (*keys, *extra), 1)
            self.say(f"{label}unknown key {key}" + (f" (did you mean {near[0]}?)" if near else ""))
        return {key: self._string(table, key, label) for key in keys}

    def _string(self, table: Mapping[str, object], key: str, label: str) -> str:
        value = table.get(key)
        shape, meaning = _SHAPES[key]
        if isinstance(value, str) and re.fullmatch(shape, value):
            return value
        self.say(f"{label}{key}: {_shown(value)} is not {meaning}")
        return ""


def _shown(value: object) -> str:
    return "(nothing)" if value is None else repr(value)
