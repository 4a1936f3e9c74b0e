"""Having everything that a record names, or saying at once what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monolisp.archive.places import Places
from monolisp.archive.project import Wanted, wanted_files
from monolisp.archive.systems import candidates, primary
from monolisp.errors import MonolispError, NoSuchRecipe, SourceOffline, SourcesGone, SourceUnavailable, WrongChecksum
from monolisp.libraries.library import KIND as LIBRARIES
from monolisp.libraries.library import library_at
from monolisp.libraries.recipe import Cookbook
from monolisp.provenance.record import Provenance
from monolisp.sources.fetch import FetchOptions, from_store, keep_file, obtain
from monolisp.sources.pin import Pin
from monolisp.target import Target
from monolisp.toolchain.compression import zstd_pin
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.version import find_version

_LEAST = 12


Files = Mapping[Wanted, Path | None]


@dataclass(frozen=True)
class Gathered:
    """What was found: files by what wants them, the definitions that could be each system's, archives by pin."""

    files: Mapping[Wanted, Path]
    definitions: Mapping[str, Sequence[Path]]
    archives: Mapping[str, Path] = field(default_factory=dict)


def find_files(record: Provenance, places: Places) -> Files:
    """Every file of a record but those of its systems, and where it is."""
    return {wanted: places.find(wanted.file) for wanted in wanted_files(record.program)}


def gather(
    record: Provenance, files: Files, pins: Sequence[Pin], places: Places, trees: Sequence[Path], machine: Machine
) -> Gathered:
    """Find the systems of a record in `places` and below `trees`, and have the archives of `pins` in the store.

    Raises SourcesGone with everything that is missing, `files` included.
    """
    definitions = candidates(record.systems, [*places.folders, *trees])
    archives: dict[str, Path] = {}
    missing = [_file_line(wanted, places) for wanted, path in files.items() if path is None]
    missing += [_system_line(name, record) for name, paths in definitions.items() if not paths]
    for pin in pins:
        try:
            archives[str(pin)] = _archive(pin, places, machine)
        except (SourceUnavailable, SourceOffline, WrongChecksum) as error:
            missing.append(_archive_line(pin, error))
    if missing:
        looked = [*map(str, places.folders), *([str(places.beside)] if places.beside else []), *map(str, trees)]
        raise SourcesGone(
            name=record.program.name,
            count=len(missing),
            missing="\n       ".join(missing),
            places=", ".join(dict.fromkeys(looked)) or "no directory",
        )
    return Gathered({wanted: path for wanted, path in files.items() if path}, definitions, archives)


def _archive(pin: Pin, places: Places, machine: Machine) -> Path:
    there = from_store(pin, machine.store, machine.progress)
    if there is not None:
        return there
    found = places.find_archive(pin.places)
    if found is not None:
        return keep_file(*found, machine.store)
    options = FetchOptions(machine.offline, None, machine.environ)
    return obtain(pin, machine.store, options, machine.runner, machine.progress)


def _file_line(wanted: Wanted, places: Places) -> str:
    other = places.changed(wanted.file)
    changed = f"; {other} was changed since" if other else ""
    return f"the file {wanted.file.name} (sha256 {wanted.file.sha256}){changed}"


def _system_line(name: str, record: Provenance) -> str:
    of_it = [system for system in record.systems if primary(system.name) == name]
    version = next((f" {system.version}" for system in of_it if system.version), "")
    hashes = ", ".join(f"{system.name} has tree {system.source[:_LEAST]}…" for system in of_it)
    revision = next((f"; git revision {system.revision}" for system in of_it if system.revision), "")
    return f"the system {name}{version}: a directory with {name}.asd ({hashes}{revision})"


def _archive_line(pin: Pin, error: MonolispError) -> str:
    sums = " or ".join(f"{place.file} (sha256 {place.sha256})" for place in pin.places)
    return f"the archive of {pin}: {sums}; {error.why_text}"


def toolchain_pins(record: Provenance) -> list[Pin]:
    """What a toolchain is built from: SBCL's archive, and zstd's. Raises NoSuchSbcl."""
    return [find_version(record.sbcl.spec).source, zstd_pin()]


def pins_of(record: Provenance, recipes: Sequence[str], book: Cookbook) -> list[Pin]:
    """Every archive that a record needs, and those of `recipes`. Raises NoSuchSbcl, NoSuchRecipe."""
    named = [library.name for library in record.libraries if library.recipe]
    needed = book.ordered(list(dict.fromkeys([*named, *recipes])))
    pins = [*toolchain_pins(record), *(recipe.source for recipe in needed if recipe.source)]
    return list({str(pin): pin for pin in pins}.values())


def missing_pins(
    record: Provenance, book: Cookbook, target: Target, has_toolchain: bool, machine: Machine
) -> list[Pin]:
    """Those whose result the store does not have; a library of which there is no recipe here is passed over."""
    needed = {} if has_toolchain else {str(pin): pin for pin in toolchain_pins(record)}
    for name in _known(record, book):
        for recipe in book.ordered([name]):
            built = machine.store.has(LIBRARIES, library_at(recipe, book, target, machine.store).digest)
            if recipe.source and not built:
                needed[str(recipe.source)] = recipe.source
    return list(needed.values())


def _known(record: Provenance, book: Cookbook) -> Iterator[str]:
    """The libraries of a record that this monolisp has a recipe for, or one that --recipes brought, must have."""
    for library in record.libraries:
        if library.recipe:
            try:
                book.find(library.name)
            except NoSuchRecipe:
                continue
            yield library.name
