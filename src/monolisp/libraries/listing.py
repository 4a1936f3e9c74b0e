"""`monolisp library list` and `show`: what recipes there are, as rows, then as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from monolisp.libraries.library import KIND, library_at
from monolisp.libraries.recipe import Cookbook
from monolisp.libraries.workshop import licence_of
from monolisp.store import Store
from monolisp.target import Target


@dataclass(frozen=True)
class Row:
    """One recipe; `built` is where the library is in the store, `sources` are the places it can be had from."""

    name: str
    version: str
    licence: str
    summary: str
    sonames: tuple[str, ...]
    headers: tuple[str, ...]
    packages: tuple[str, ...]
    archives: tuple[str, ...]
    depends: tuple[str, ...]
    tools: tuple[str, ...]
    sources: tuple[str, ...]
    built: str | None


def rows(book: Cookbook, target: Target, store: Store, names: Sequence[str] | None = None) -> list[Row]:
    """A row for each of `names`, or for every recipe. Raises NoSuchRecipe, BadRecipe."""
    found = []
    for name in book.names if names is None else names:
        recipe = book.find(name)
        library = library_at(recipe, book, target, store)
        built = str(library.path) if store.has(KIND, library.digest) else None
        sources = tuple(map(str, recipe.source.places)) if recipe.source else ("comes with zig",)
        lists = (recipe.sonames, recipe.headers, recipe.packages, recipe.archives, recipe.depends, recipe.tools)
        found.append(Row(name, recipe.version, licence_of(recipe), recipe.summary, *lists, sources, built))
    return found


def as_table(found: Sequence[Row]) -> str:
    columns = [(row.name, row.version, row.licence, "built" if row.built else "-", row.summary) for row in found]
    widths = [max(len(column[place]) for column in columns) for place in range(4)]
    lines = [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]) for row in columns
    ]
    return "\n".join(lines)


def as_text(row: Row) -> str:
    lines = [f"{row.name} {row.version}: {row.summary}"]
    lines += [
        f"  {name:<9} {', '.join(value)}" for name, value in asdict(row).items() if isinstance(value, tuple) and value
    ]
    return "\n".join([*lines, f"  licence   {row.licence}", f"  built     {row.built or 'not yet'}"])


def as_json(found: Sequence[Row]) -> dict[str, object]:
    return {"schema": "monolisp-libraries-1", "libraries": [asdict(row) for row in found]}
