"""SBCL versions: one TOML file each in sbcl/, read here and nowhere else."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from monolisp.errors import NoSuchSbcl
from monolisp.sources.pin import Pin, parse_pin

DEFAULT = "2.6.4"


@dataclass(frozen=True)
class SbclVersion:
    """What is particular to one SBCL version.

    `options` go to make-config.sh, `cflags` to every C compilation, `weaken` are functions of its runtime that
    linkage/program.c replaces, `without` the contribs that are not built, `stages` stage → seconds it takes (measured
    on two cores), `digest` the hash of the whole file.
    """

    version: str
    source: Pin
    options: Sequence[str]
    cflags: Sequence[str]
    weaken: Sequence[str]
    without: Mapping[str, str]
    stages: Mapping[str, float]
    text: str


def known_versions() -> list[str]:
    names = (entry.name for entry in files("monolisp.toolchain").joinpath("sbcl").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def find_version(version: str) -> SbclVersion:
    """The pin of an SBCL version. Raises NoSuchSbcl."""
    if version not in known_versions():
        raise NoSuchSbcl(version=version, known=", ".join(known_versions()))
    text = files("monolisp.toolchain").joinpath("sbcl").joinpath(f"{version}.toml").read_text()
    facts = tomllib.loads(text)
    return SbclVersion(
        version=facts["version"],
        source=parse_pin(facts["source"], f"sbcl/{version}.toml"),
        options=facts["options"],
        cflags=facts["cflags"],
        weaken=facts["weaken"],
        without=facts["without"],
        stages=facts["stages"],
        text=text,
    )
