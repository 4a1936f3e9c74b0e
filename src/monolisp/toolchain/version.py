"""SBCL versions: one TOML file each in sbcl/, read here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import NoSuchSbcl

if TYPE_CHECKING:
    from monolisp.sources.pin import Pin

DEFAULT = "2.6.4"
_FOLDER = Path(__file__).parent / "sbcl"


@dataclass(frozen=True)
class SbclVersion:
    """What is particular to one SBCL version.

    `options` go to make-config.sh, `cflags` to every C compilation, `weaken` are functions of its runtime that
    our C files replace, `without` the contribs that are not built, and `stages` says how many seconds each
    stage takes, measured on two cores.
    """

    version: str
    source: Pin
    options: Sequence[str]
    cflags: Sequence[str]
    weaken: Sequence[str]
    without: Mapping[str, str]
    stages: Mapping[str, float]


def known_versions() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def version_text(version: str) -> str:
    """The file that pins an SBCL version. Raises NoSuchSbcl."""
    try:
        return (_FOLDER / f"{version}.toml").read_text(encoding="utf-8")
    except OSError as error:
        raise NoSuchSbcl(version=version, known=", ".join(known_versions())) from error


def find_version(version: str) -> SbclVersion:
    """The pin of an SBCL version. Raises NoSuchSbcl."""
    import tomllib

    from monolisp.sources.pin import parse_pin

    facts = tomllib.loads(version_text(version))
    return SbclVersion(
        version=facts["version"],
        source=parse_pin(facts["source"], f"sbcl/{version}.toml"),
        options=facts["options"],
        cflags=facts["cflags"],
        weaken=facts["weaken"],
        without=facts["without"],
        stages=facts["stages"],
    )


def build_id(digest: str) -> str:
    """What tells cores of a toolchain from another SBCL's: the same on every machine."""
    return f"monolisp-{digest}"
