"""Having libraries: from the store, or built there, side by side where they do not need each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from monolisp.libraries.library import KIND, Library, library_at
from monolisp.libraries.recipe import Cookbook, Recipe
from monolisp.libraries.systems import SYSTEMS
from monolisp.libraries.workshop import Workshop, keep, prepare, require_tools
from monolisp.process import Runner, Together
from monolisp.stages import expected, run_stages
from monolisp.store import remove_tree
from monolisp.target import Target
from monolisp.toolchain.machine import Machine, jobs
from monolisp.toolchain.zig import find_zig


def ensure_libraries(names: Sequence[str], book: Cookbook, target: Target, machine: Machine) -> list[Library]:
    """The libraries of the recipes `names` and all they depend on, in link order; what is missing is built.

    Raises NoSuchRecipe, RecipeCycle, ToolMissing, LibraryFailed, RecipeYield and what fetching sources raises.
    """
    recipes = book.ordered(names)
    libraries = {recipe.name: library_at(recipe, book, target, machine.store) for recipe in recipes}
    missing = [recipe for recipe in recipes if not machine.store.has(KIND, libraries[recipe.name].digest)]
    if missing:
        require_tools(missing, machine.path)
        archives = {recipe.name: _source(recipe, machine) for recipe in missing}
        _build_all(list(reversed(missing)), book, libraries, archives, target, machine)
    return list(libraries.values())


def _source(recipe: Recipe, machine: Machine) -> Path | None:
    from monolisp.sources.fetch import FetchOptions, obtain

    if recipe.source is None:
        return None
    options = FetchOptions(machine.offline, machine.source_dir, machine.environ)
    return obtain(recipe.source, machine.store, options, machine.runner, machine.progress)


def _build_all(
    missing: Sequence[Recipe],
    book: Cookbook,
    libraries: Mapping[str, Library],
    archives: Mapping[str, Path | None],
    target: Target,
    machine: Machine,
) -> None:
    """Start each library as soon as those it needs are there. One that fails, or Ctrl-C, ends the others."""
    together = Together(machine.runner)
    labels = {recipe.name: str(recipe) for recipe in missing}
    needs = {str(recipe): [labels[name] for name in recipe.depends if name in labels] for recipe in missing}
    seconds = {str(recipe): recipe.seconds for recipe in missing}
    work = {
        str(recipe): partial(_build, recipe, book, libraries, archives[recipe.name], target, machine, together)
        for recipe in missing
    }
    what = "a library, once per machine" if len(missing) == 1 else f"{len(missing)} libraries, once per machine"
    machine.progress.plan(what, expected(needs, seconds))
    run_stages(needs, work, machine.progress, together.stop, jobs())


def _build(
    recipe: Recipe,
    book: Cookbook,
    libraries: Mapping[str, Library],
    archive: Path | None,
    target: Target,
    machine: Machine,
    runner: Runner,
) -> None:
    digest = libraries[recipe.name].digest
    log = machine.store.area("logs") / f"library-{recipe.name}-{digest}.log"
    depends = [libraries[other.name] for other in book.ordered([recipe.name]) if other.name != recipe.name]

    def make(directory: Path) -> None:
        log.unlink(missing_ok=True)
        work = directory / "work"
        work.mkdir()
        zig = find_zig(machine.store, machine.path)
        shop = Workshop(work, recipe, target, zig, depends, runner, log, jobs())
        prepare(shop, archive)
        SYSTEMS[recipe.build.system](shop)
        keep(shop, directory)
        remove_tree(work)

    machine.store.entry(KIND, digest, make)
