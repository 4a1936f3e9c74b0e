"""What a lock means: the recipes it names, checked against those that this monolisp has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monolisp.errors import LockMismatch, NoSuchRecipe
from monolisp.libraries.recipe import Cookbook, Recipe
from monolisp.libraries.supply import Supply
from monolisp.lock import Lock, Locked, lock_text


def locked_recipes(lock: Lock, book: Cookbook, file: Path) -> list[str]:
    """The recipes that a lock names. Raises LockMismatch when one of them is another here."""
    for locked in lock.values():
        wanted = f"{locked.name} {locked.version}"
        try:
            recipe = book.find(locked.name)
        except NoSuchRecipe as error:
            reason = "this monolisp has no such recipe"
            raise LockMismatch(file=file, wanted=wanted, reason=reason) from error
        if _locked(recipe) != locked:
            reason = f"this monolisp has {recipe}"
            if recipe.version == locked.version:
                reason += " from a source with another checksum"
            raise LockMismatch(file=file, wanted=wanted, reason=reason)
    return list(lock)


def _locked(recipe: Recipe) -> Locked:
    sums = tuple(place.sha256 for place in recipe.source.places) if recipe.source else ()
    return Locked(recipe.name, recipe.version, sums)


def keep_lock(path: Path, lock: Lock, book: Cookbook, supplies: Sequence[Supply]) -> None:
    """Add what a build used to the lock at `path`; the file is replaced as a whole, and only when it changes."""
    used = {supply.recipe: _locked(book.find(supply.recipe)) for supply in supplies if supply.recipe}
    if not used or {**lock, **used} == lock:
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(lock_text(list({**lock, **used}.values())), encoding="utf-8")
    beside.rename(path)
