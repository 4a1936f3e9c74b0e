"""Recipes: how one foreign library becomes headers and static archives. One TOML file each in recipes/, read here.

docs/adding-a-recipe.md explains every key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from monolisp.errors import BadRecipe, NoSuchRecipe, RecipeCycle
from monolisp.libraries.wishes import RECIPES

if TYPE_CHECKING:
    from monolisp.sources.pin import Pin

FOLDER = RECIPES
System = Literal["autotools", "compile", "steps", "libcxx"]


@dataclass(frozen=True)
class Step:
    """One command: `run` is its argument vector, `directory` where it runs, below the source."""

    run: tuple[str, ...]
    directory: str = "."


@dataclass(frozen=True)
class Build:
    """How the archives are made.

    autotools: ./configure with `configure`, make with `make`, make install with `install`.
    compile: every file that a pattern of `sources` matches (but none of `without`) is compiled into the one archive;
    `headers` are patterns of what is installed; files for pkg-config that no step has made are written for it.
    steps: nothing but the commands of `step`, which install below {destdir}{prefix}.
    libcxx: the C++ run-time library that zig brings along.

    The commands of `step` come first in each of them but libcxx.

    `cflags` and `environment` reach every command. In all of them {prefix}, {destdir}, {jobs}, {host} (the target's
    GNU name), {arch}, {work} and {NAME} (where the recipe NAME, a dependency, is installed) are filled in.
    """

    system: System
    directory: str = "."
    configure: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    install: tuple[str, ...] = ("install",)
    cflags: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    sources: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    step: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One foreign library.

    `sonames` are what loaders call it, without ending and version ("libssl"); `headers` and `packages` (pkg-config
    names) are what C asks for; `archives` are the files in lib/ that must come out, in link order; `depends` are other
    recipes; `tools` are programs that its build needs beside C compiler, sh and make; `ours` are C files beside the
    recipe that are compiled into the last archive, in the place of the members `replaced`; `before_libc` are
    those of the archives whose functions take the place of libc's, in programs that ask for this very library.
    """

    name: str
    summary: str
    sonames: tuple[str, ...]
    headers: tuple[str, ...]
    packages: tuple[str, ...]
    archives: tuple[str, ...]
    depends: tuple[str, ...]
    tools: tuple[str, ...]
    ours: tuple[str, ...]
    replaced: tuple[str, ...]
    before_libc: tuple[str, ...]
    seconds: float
    source: Pin | None
    build: Build
    text: str
    folder: Path

    @property
    def version(self) -> str:
        return self.source.version if self.source else "of zig"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Cookbook:
    """Every recipe there is: those of `folders`, which are directories of TOML files; a later one goes before."""

    folders: tuple[Path, ...] = (FOLDER,)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({path.stem for folder in self.folders for path in folder.glob("*.toml")}))

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """All recipes, by name. Raises BadRecipe, BadPin."""
        return {name: self.find(name) for name in self.names}

    def find(self, name: str) -> Recipe:
        """The recipe called `name`. Raises NoSuchRecipe, BadRecipe, BadPin."""
        for folder in reversed(self.folders):
            if (folder / f"{name}.toml").is_file():
                return read_recipe(folder / f"{name}.toml")
        near = get_close_matches(name.removeprefix("lib"), self.names, n=2)
        suggestion = f"did you mean {' or '.join(near)}?" if near else "`monolisp library list` shows every recipe"
        raise NoSuchRecipe(name=name, suggestion=suggestion)

    def ordered(self, names: Sequence[str]) -> list[Recipe]:
        """`names` and everything they depend on: whatever needs another comes before it, as linkers want archives.

        Raises NoSuchRecipe, RecipeCycle.
        """
        return ordered(names, self.find)


def ordered(names: Sequence[str], find: Callable[[str], Recipe]) -> list[Recipe]:
    """The recipes that `find` gives for `names` and all that they depend on, dependents first. Raises RecipeCycle."""
    found: dict[str, Recipe] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            raise RecipeCycle(cycle=" → ".join([*path[path.index(name) :], name]))
        if name in found:
            return
        recipe = find(name)
        path.append(name)
        for other in recipe.depends:
            visit(other)
        path.pop()
        found[name] = recipe

    for name in names:
        visit(name)
    return list(reversed(found.values()))


@cache
def read_recipe(path: Path) -> Recipe:
    return parse_recipe(path.stem, path.read_text(encoding="utf-8"), path.parent)


_LISTS = ("sonames", "headers", "packages", "archives", "depends", "tools", "ours", "replaced", "before_libc")
_KEYS = {
    "summary": str,
    "seconds": (int, float),
    "source": dict,
    "build": dict,
    **dict.fromkeys(_LISTS, list),
}
_BUILD_KEYS = {
    "system": str,
    "directory": str,
    "environment": dict,
    "step": list,
    **dict.fromkeys(("configure", "make", "install", "cflags", "sources", "without", "headers"), list),
}
_STEP_KEYS = {"run": list, "directory": str}
_SYSTEMS = ("autotools", "compile", "steps", "libcxx")
_NEEDED = ("summary", "archives", "build")


def parse_recipe(name: str, text: str, folder: Path = FOLDER) -> Recipe:
    """The recipe that a TOML text says; `folder` is where files beside it are.

    Raises BadRecipe with every fault, BadPin.
    """
    import tomllib

    from monolisp.sources.pin import parse_pin

    file = f"recipes/{name}.toml"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRecipe(file=file, reason=error) from error
    faults = _faults(table, _KEYS, "") + [f"{key} is missing" for key in _NEEDED if key not in table]
    said = table.get("build")
    build = said if isinstance(said, dict) else {}
    faults += _faults(build, _BUILD_KEYS, "build.")
    steps = build.get("step", [])
    for number, step in enumerate(steps if isinstance(steps, list) else [], 1):
        label = f"build.step {number}: "
        faults += _faults(step, _STEP_KEYS, label) if isinstance(step, dict) else [f"{label}is no table"]
        if isinstance(step, dict) and not step.get("run"):
            faults.append(f"{label}run is missing")
    if build.get("system") not in _SYSTEMS:
        faults.append(f"build.system must be one of {', '.join(_SYSTEMS)}")
    if "source" not in table and build.get("system") != "libcxx":
        faults.append("source is missing")
    if not faults:
        strange = set(table.get("before_libc", ())) - set(table["archives"])
        faults += [f"before_libc: {name} is not among the archives" for name in sorted(strange)]
    if faults:
        raise BadRecipe(file=file, reason="; ".join(faults))
    return Recipe(
        name=name,
        summary=table["summary"],
        **{key: tuple(table.get(key, ())) for key in _LISTS},
        seconds=float(table.get("seconds", 10)),
        source=parse_pin(table["source"], file) if "source" in table else None,
        build=_build(build),
        text=text,
        folder=folder,
    )


def _build(table: Mapping[str, object]) -> Build:
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items() if key != "step"}
    told = table.get("step", [])
    assert isinstance(told, list)
    steps = tuple(Step(tuple(step["run"]), step.get("directory", ".")) for step in told)
    return Build(**plain, step=steps)  # type: ignore[arg-type]


def _faults(table: Mapping[str, object], known: Mapping[str, object], label: str) -> list[str]:
    """What is wrong with the keys of `table`, and with the types of its values."""
    found = []
    for key, value in table.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            found.append(f"unknown key {label}{key}" + (f" (did you mean {near[0]}?)" if near else ""))
        elif not isinstance(value, known[key]):  # type: ignore[arg-type]
            found.append(f"{label}{key} has the wrong type")
        elif isinstance(value, list) and key != "step" and not all(isinstance(item, str) for item in value):
            found.append(f"{label}{key} must be a list of strings")
        elif (
            isinstance(value, dict)
            and key == "environment"
            and not all(isinstance(item, str) for item in value.values())
        ):
            found.append(f"{label}{key} must be a table of strings")
    return found
