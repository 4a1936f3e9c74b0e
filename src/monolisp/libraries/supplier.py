"""What supplies a build with foreign libraries: it finds the recipe or archive that answers, has it built, links it as
an image for the running build runtime, and remembers it for the link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from monolisp.libraries.ensure import ensure_libraries
from monolisp.libraries.fixes import cflags_for
from monolisp.libraries.image import addresses, end_of, link_image
from monolisp.libraries.recipe import Cookbook, Recipe
from monolisp.libraries.resolve import (
    by_header,
    by_package,
    by_soname,
    is_foreign_to_linux,
    is_libc,
    is_spelling,
    nearest,
)
from monolisp.libraries.supply import Foreign, Supply, archive_supply, library_supply
from monolisp.libraries.wishes import Wishes
from monolisp.linkage.archive import MAGIC
from monolisp.store import digest_of
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain
from monolisp.toolchain.zig import find_zig

Where = Callable[[], tuple[str, str]]


class Supplier:
    """Supplies one run of the build runtime; `where` tells (system, file) being loaded when something is asked.

    An answer is a line: "+" and paths with tabs between them, or "-" and the reason.
    """

    def __init__(self, wishes: Wishes, toolchain: Toolchain, machine: Machine, where: Where) -> None:
        self.book = Cookbook(wishes.folders)
        self.where = where
        self._wishes = wishes
        self._toolchain = toolchain
        self._machine = machine
        self._supplies: dict[str, Supply] = {}
        # Key of a supply → its image, in the order of their addresses.
        self._images: dict[str, Path] = {}
        self._asked: dict[str, str] = {}
        # Recipes that the program or its builder asked for; a lock only has them at hand.
        self._wanted: set[str] = set(wishes.recipes)
        self._missed: dict[str, tuple[str, str]] = {}
        self._headers: dict[str, tuple[str, str]] = {}

    def foreign(self, exports: Sequence[str], looked_up: Sequence[str]) -> Foreign:
        """What the program turned out to need. Recipes come in link order, behind what may need them."""
        own = [supply for supply in self._supplies.values() if supply.recipe is None]
        # An archive that a build made earlier may need what only its own compilation asked for.
        wanted = self._wanted if not own else set(self._supplies)
        recipes = [name for name in self._supplies if name in wanted and self._supplies[name].recipe is not None]
        supplies = [self._supplies[recipe.name] for recipe in self.book.ordered(recipes)]
        libraries = [
            supply.behind_libc() if supply.before_libc and supply.recipe not in self._wanted else supply
            for supply in supplies
        ]
        names = tuple(sorted(set(exports))), tuple(sorted(set(looked_up)))
        return Foreign((*own, *libraries), dict(self._asked), *names)

    def answer(self, what: str, name: str, folder: str = "") -> str:
        """The answer to a question: `what` is library, header, package or flags; it was asked in `folder`."""
        if what == "library":
            return self.library(name, folder)
        questions = {"header": self.header, "package": self.package, "flags": self.flags}
        return questions[what](name)

    def missed_header(self, file: str) -> tuple[str, str, str] | None:
        """A header that C of the Lisp file `file` lacked: its name, and the system and file."""
        found = [(name, *place) for name, place in self._headers.items() if place[1] == file]
        return found[-1] if found else None

    def nearest(self, name: str) -> Sequence[str]:
        """Recipes whose names look like the library `name`."""
        return nearest(name, self.book)

    def missed(self, text: str) -> tuple[str, str, str] | None:
        """The library that a failure with the message `text` is about: its name, and the system and file that asked."""
        named = [name for name in self._missed if name in text]
        name = named[0] if named else None
        return (name, *self._missed[name]) if name is not None else None

    def library(self, name: str, folder: str = "") -> str:
        if is_libc(name) or self._is_absent(name):
            self._asked[name] = ""
            return "+"
        key = self._find(name, folder)
        if key is None:
            if not is_foreign_to_linux(name):
                self._missed[name] = self.where()
            return "-it is not inside this static program, and no recipe answers to it"
        self._asked[name] = self._supplies[key].label
        # An image may refer to any that came before it, whatever those were asked for.
        images = list(self._images.values())
        return "+" + "\t".join(map(str, images[: images.index(self._images[key]) + 1]))

    def header(self, name: str) -> str:
        recipe = by_header(name, self.book)
        if recipe is None:
            self._headers[name] = self.where()
        return self._supplied_recipe(recipe, lambda supply: supply.include)

    def package(self, name: str) -> str:
        recipe = by_package(name, self.book)
        return self._supplied_recipe(recipe, lambda supply: [path.parent / "pkgconfig" for path in supply.archives[:1]])

    def _supplied_recipe(self, recipe: Recipe | None, paths: Callable[[Supply], Sequence[Path]]) -> str:
        if recipe is None:
            return "-no recipe answers to it"
        self._wanted.add(recipe.name)
        self._supply(recipe)
        needed = [self._supplies[other.name] for other in self.book.ordered([recipe.name])]
        return "+" + "\t".join(str(path) for supply in needed for path in paths(supply))

    def flags(self, _: str) -> str:
        """What every compilation gets: where headers are, and what the system being loaded needs."""
        system, _ = self.where()
        include = [*self._wishes.include, *(path for supply in self._supplies.values() for path in supply.include)]
        flags = [*(f"-I{path}" for path in dict.fromkeys(include)), *cflags_for(system)]
        return "+" + "\t".join(flags)

    def prepare(self, recipes: Sequence[str]) -> None:
        """Have what is known beforehand: built side by side, and its headers in reach. Raises what building raises."""
        wanted = list(dict.fromkeys([*recipes, *self._wishes.recipes]))
        if wanted:
            ensure_libraries(wanted, self.book, self._toolchain.target, self._machine)
        for name in wanted:
            self._supply(self.book.ordered([name])[0])

    def _is_absent(self, name: str) -> bool:
        return any(is_spelling(name, entry) for entry in self._wishes.absent)

    def _find(self, name: str, folder: str) -> str | None:
        """The key of the supply that answers to the library `name`, said in `folder`; it is supplied now."""
        for path, soname in self._wishes.archives:
            if name == str(path) or is_spelling(name, soname):
                return self._supply_archive(path, soname)
        path = Path(folder, name).absolute()
        if "/" in name and _is_archive(path):
            for needed in _needed_by(path):
                self.library(needed)
            return self._supply_archive(path, self._label(path))
        recipe = by_soname(name, self.book)
        if recipe is None:
            return None
        self._wanted.add(recipe.name)
        return self._supply(recipe)

    def _supply(self, recipe: Recipe) -> str:
        if recipe.name not in self._supplies:
            libraries = ensure_libraries([recipe.name], self.book, self._toolchain.target, self._machine)
            for library in reversed(libraries):
                if library.name not in self._supplies:
                    self._supplies[library.name] = library_supply(library)
                    self._map(library.name)
        return recipe.name

    def _label(self, path: Path) -> str:
        """What an archive that the build itself made is called: its file's name, where that tells it apart."""
        taken = {supply.label for key, supply in self._supplies.items() if key != str(path)}
        return path.name if path.name not in taken else str(path)

    def _supply_archive(self, path: Path, label: str) -> str:
        key = str(path)
        if key not in self._supplies:
            self._supplies[key] = archive_supply(path, label, self._wishes.include, self._toolchain.target)
            self._map(key)
        return key

    def _map(self, key: str) -> None:
        """Link the image of a supply behind the last one, unless the store has it."""
        supply = self._supplies[key]
        mapped = list(self._images.values())
        base = end_of(mapped[-1]) if mapped else self._toolchain.target.images
        before = [path.parent.name for path in mapped]
        digest = digest_of(["image", _maker(), self._toolchain.digest, supply.digest, base, before])
        zig = find_zig(self._machine.store, self._machine.path)
        target = self._toolchain.target

        def make(directory: Path) -> None:
            known: dict[str, int] = {}
            for image in reversed(mapped):
                known |= addresses(image)
            # libc's own names are libc's: memory that it gives must not be freed by another malloc.
            known |= addresses(self._toolchain.build_runtime)
            helpers = [self._toolchain.path / "lib" / "libcompiler_rt.a"]
            output = directory / "image"
            link_image(supply.archives, base, known, helpers, output, target, zig, self._machine.runner)

        self._images[key] = self._machine.store.entry("images", digest, make) / "image"


@cache
def _maker() -> str:
    """Our own code that decides what an image holds."""
    return (Path(__file__).parent / "image.py").read_text(encoding="utf-8")


def _is_archive(path: Path) -> bool:
    """Whether there is an archive; what cannot be looked at is none, as for any loader."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _needed_by(archive: Path) -> list[str]:
    """The libraries that the C compiler was told to link with this one: cc.py keeps them beside it."""
    try:
        return Path(f"{archive}.libraries").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
