"""What a lock means: the recipes it names, checked against those that this monolisp has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monolisp.errors import LockMismatch, NoSuchRecipe
from monolisp.libraries.recipe import Cookbook, Recipe
from monolisp.libraries.supply import Supply
from monolisp.lock import Lock, Locked, lock_text


def locked_recipes(lock: Lock, program: str, book: Cookbook, file: Path) -> list[str]:
    """The recipes that a lock names for `program`. Raises LockMismatch when one of them is another here."""
    rows = [locked for locked in lock.values() if program in locked.programs]
    for locked in rows:
        wanted = f"{locked.name} {locked.version}"
        try:
            recipe = book.find(locked.name)
        except NoSuchRecipe as error:
            reason = "this monolisp has no such recipe"
            raise LockMismatch(file=file, wanted=wanted, reason=reason) from error
        here = _locked(recipe)
        if (here.version, here.sha256) != (locked.version, locked.sha256):
            reason = f"this monolisp has {recipe}"
            if recipe.version == locked.version:
                reason += " from a source with another checksum"
            raise LockMismatch(file=file, wanted=wanted, reason=reason)
    return [locked.name for locked in rows]


def _locked(recipe: Recipe) -> Locked:
    sums = tuple(place.sha256 for place in recipe.source.places) if recipe.source else ()
    return Locked(recipe.name, recipe.version, sums)


def keep_lock(path: Path, lock: Lock, program: str, book: Cookbook, supplies: Sequence[Supply]) -> None:
    """Write into the lock at `path` what `program` uses; the file is replaced as a whole, and only when it changes."""
    used = {supply.recipe: _locked(book.find(supply.recipe)) for supply in supplies if supply.recipe}
    # What another program of this directory uses stays as it is.
    left = {name: _without(program, locked) for name, locked in lock.items() if name not in used}
    kept = {name: locked for name, locked in left.items() if locked.programs}
    for name, locked in used.items():
        others = lock[name].programs if name in lock else ()
        kept[name] = replace(locked, programs=tuple(sorted({*others, program})))
    if kept == lock:
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(lock_text(list(kept.values())), encoding="utf-8")
    beside.rename(path)


def _without(program: str, locked: Locked) -> Locked:
    return replace(locked, programs=tuple(name for name in locked.programs if name != program))
