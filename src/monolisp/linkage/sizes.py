"""Heap and stack of a finished program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What the finished program starts with, as SBCL's option parser reads it ("4GiB"; a bare number is MiB)."""

    heap: str
    stack: str
