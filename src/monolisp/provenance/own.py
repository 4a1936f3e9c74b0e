"""Our own files that go into programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def is_recipe(path: Path) -> bool:
    """Whether a file in a directory of recipes belongs to one."""
    return path.suffix in (".toml", ".c", ".h")


def own_texts(recipes: Sequence[Path] = ()) -> list[str]:
    """What they say, and what the recipes in these directories say: with other ones it would be another program."""
    folder = Path(__file__).parents[1]
    named = [*(folder / "lisp").glob("*.lisp"), *(folder / "linkage").glob("*.[ch]"), *(folder / "link").glob("*.py")]
    named += (folder / "provenance").glob("*.py")
    for place in (folder / "libraries" / "recipes", folder / "libraries" / "fixes", *recipes):
        named += [path for path in place.glob("*") if is_recipe(path)]
    return [path.read_text(encoding="utf-8") for path in sorted(named)]
