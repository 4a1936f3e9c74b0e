"""Fixes: what the C parts of a Lisp system need to compile against musl, as data. One TOML file a system in fixes/."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from monolisp.libraries.wishes import FIXES


@dataclass(frozen=True)
class Fix:
    """`systems` are ASDF systems; their C files are compiled with `cflags` besides, in which {fixes} is the directory
    of these files."""

    systems: tuple[str, ...]
    why: str
    cflags: tuple[str, ...]


@cache
def fixes() -> tuple[Fix, ...]:
    found = []
    for path in sorted(FIXES.glob("*.toml")):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        cflags = tuple(flag.replace("{fixes}", str(FIXES)) for flag in table["cflags"])
        found.append(Fix(tuple(table["systems"]), table["why"], cflags))
    return tuple(found)


def cflags_for(system: str) -> list[str]:
    """The flags that C files of an ASDF system need besides."""
    return [flag for fix in fixes() if system in fix.systems for flag in fix.cflags]
