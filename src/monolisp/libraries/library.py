"""A built library as a value: where it is in the store, what it holds, who defines which name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from monolisp.errors import BadRecipe
from monolisp.libraries.recipe import Cookbook, Recipe
from monolisp.store import Store, digest_of
from monolisp.target import Target
from monolisp.toolchain.zig import pin_text

KIND = "libraries"
FACTS = "library.json"
# Our own code that decides what a library holds: another content is another library.
_BUILDERS = ("flags.py", "workshop.py", "systems.py", "../linkage/names.py")


@dataclass(frozen=True)
class Library:
    """Headers in include/, archives in lib/, of the recipe called `name`."""

    name: str
    version: str
    digest: str
    path: Path
    archives: tuple[Path, ...]
    before_libc: tuple[Path, ...] = ()

    @property
    def include(self) -> Path:
        return self.path / "include"

    @property
    def packages(self) -> Path:
        """Where its files for pkg-config are."""
        return self.path / "lib" / "pkgconfig"

    @cached_property
    def names(self) -> Mapping[str, str]:
        """What it defines: name → function or data."""
        found: Mapping[str, str] = json.loads((self.path / FACTS).read_bytes())["names"]
        return found

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def library_digest(recipe: Recipe, book: Cookbook, target: Target) -> str:
    """The address of a library: a hash over everything that goes into it. SBCL is none of that."""
    builders = {name: (Path(__file__).parent / name).read_text(encoding="utf-8") for name in _BUILDERS}
    ours = {name: _text(recipe.folder / name, recipe) for name in recipe.ours}
    depends = {name: library_digest(book.find(name), book, target) for name in recipe.depends}
    return digest_of(["library", recipe.text, ours, depends, pin_text(), target.triple, builders])


def _text(path: Path, recipe: Recipe) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecipe(file=f"recipes/{recipe.name}.toml", reason=f"ours: {path.name}: {error}") from error


def library_at(recipe: Recipe, book: Cookbook, target: Target, store: Store) -> Library:
    """The library of `recipe` in the store, whether it is there or not."""
    digest = library_digest(recipe, book, target)
    path = store.path(KIND, digest)
    archives, first = (tuple(path / "lib" / name for name in names) for names in (recipe.archives, recipe.before_libc))
    return Library(recipe.name, recipe.version, digest, path, archives, first)
