"""SBCL versions: one TOML file each in sbcl/, or among a person's own pins, read here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import NoSuchSbcl

if TYPE_CHECKING:
    from monolisp.sources.pin import Pin

DEFAULT = "2.6.4"


class Linking(StrEnum):
    """How the foreign names of a core become addresses. PRELINKED: the linker fills SBCL's table, whose names and their
    order the core's header tells (SBCL from 2.6.2). LOOKUP: SBCL looks every name up when the program starts, in a
    table of just those that were looked up while it was built."""

    PRELINKED = "prelinked"
    LOOKUP = "lookup"


_FOLDER = Path(__file__).parent / "sbcl"


@dataclass(frozen=True)
class SbclVersion:
    """What is particular to one SBCL version.

    `options` go to make-config.sh, `cflags` to every C compilation, `weaken` are functions of its runtime that
    our C files replace, `linking` is how its cores are linked, `headers` are those that the runtime's makefile has to
    make first, `without` the contribs that are not built, and `stages` says how many seconds each stage takes,
    measured on two cores.
    """

    version: str
    source: Pin
    options: Sequence[str]
    cflags: Sequence[str]
    weaken: Sequence[str]
    linking: Linking
    headers: Sequence[str]
    without: Mapping[str, str]
    stages: Mapping[str, float]


def own_pins() -> Path:
    """Where a person's own pins are: what `monolisp toolchain new` makes."""
    from platformdirs import user_config_path

    return user_config_path("monolisp") / "sbcl"


def known_versions() -> list[str]:
    """Every pinned version: those that come with monolisp, and a person's own."""
    return _versions(_FOLDER, own_pins())


def shipped_versions() -> list[str]:
    """The versions whose pins come with monolisp."""
    return _versions(_FOLDER)


def _versions(*folders: Path) -> list[str]:
    return sorted({path.stem for folder in folders for path in folder.glob("*.toml")}, key=by_number)


def by_number(version: str) -> list[int]:
    """What versions are ordered by."""
    return [int(part) for part in re.findall(r"[0-9]+", version)]


def nearest_version(version: str) -> str:
    """The shipped version that comes closest before `version`, or else the first: what a new pin begins from. A pin of
    the user's says what one source was seen to have, no more."""
    known = shipped_versions()
    return max((other for other in known if by_number(other) <= by_number(version)), key=by_number, default=known[0])


def normal(spec: str) -> str:
    """A version and the features that its SBCL is built with or without, in one order: "2.5.2 +sb-safepoint
    -sb-thread". Without a version, the default."""
    words = spec.split()
    features = sorted({word for word in words if word[0] in "+-"}, key=lambda word: word[1:])
    return " ".join([*([word for word in words if word[0] not in "+-"] or [DEFAULT]), *features])


def version_text(spec: str) -> str:
    """What pins an SBCL: the file of its version, and the features of this variant. Raises NoSuchSbcl."""
    version, *features = normal(spec).split()
    for folder in (_FOLDER, own_pins()):
        with suppress(OSError):
            text = (folder / f"{version}.toml").read_text(encoding="utf-8")
            return text + (f"# {' '.join(features)}\n" if features else "")
    near = get_close_matches(version, known_versions(), n=2, cutoff=0.4)
    suggestion = f"did you mean {' or '.join(near)}?" if near else "choose one of them"
    raise NoSuchSbcl(version=version, known=", ".join(known_versions()), suggestion=suggestion)


def find_version(spec: str) -> SbclVersion:
    """The pin of an SBCL version, or of a variant of it. Raises NoSuchSbcl."""
    import tomllib

    from monolisp.sources.pin import parse_pin

    facts = tomllib.loads(version_text(spec))
    version, *features = normal(spec).split()
    ways = {"+": "--with", "-": "--without"}
    return SbclVersion(
        version=facts["version"],
        source=parse_pin(facts["source"], f"sbcl/{version}.toml"),
        options=[*facts["options"], *(f"{ways[feature[0]]}-{feature[1:]}" for feature in features)],
        cflags=facts["cflags"],
        weaken=facts["weaken"],
        linking=Linking(facts["linking"]),
        headers=facts.get("headers", ()),
        without=facts["without"],
        stages=facts["stages"],
    )


def build_id(digest: str) -> str:
    """What tells cores of a toolchain from another SBCL's: the same on every machine."""
    return f"monolisp-{digest}"
