"""What the user says of foreign libraries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wishes:
    """Names of recipes, own archives (path, name that it answers to), directories of headers, and libraries to do
    without."""

    recipes: tuple[str, ...] = ()
    archives: tuple[tuple[Path, str], ...] = ()
    include: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()
