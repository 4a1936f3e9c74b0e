"""What the user says of foreign libraries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# The recipes that come with monolisp.
RECIPES = Path(__file__).parent / "recipes"

FIXES = Path(__file__).parent / "fixes"


@dataclass(frozen=True)
class Wishes:
    """Names of recipes, own archives (path, name that it answers to), directories of headers, libraries to do without,
    and the directories that recipes are looked for in."""

    recipes: tuple[str, ...] = ()
    archives: tuple[tuple[Path, str], ...] = ()
    include: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()
    folders: tuple[Path, ...] = (RECIPES,)
