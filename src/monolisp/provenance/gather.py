"""From what a build knows to what its executable says of itself. Files are read to be hashed; nothing else is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from monolisp import __version__
from monolisp.libraries.recipe import Cookbook, Recipe
from monolisp.libraries.supply import Supply
from monolisp.lisp.events import Event
from monolisp.lisp.session import Loaded
from monolisp.project import Project, embedded_files
from monolisp.provenance.git import revision_of
from monolisp.provenance.options import options_of
from monolisp.provenance.own import is_recipe
from monolisp.provenance.record import (
    SCRIPT,
    SYSTEM,
    Archive,
    Compiler,
    File,
    Library,
    Maker,
    Program,
    Provenance,
    Sbcl,
    System,
)
from monolisp.sources.pin import Pin
from monolisp.store import sha256_file
from monolisp.store.manifest import read_manifest
from monolisp.toolchain.toolchain import Toolchain
from monolisp.toolchain.version import find_version
from monolisp.toolchain.zig import pin

# Files that pin a project's Lisp systems: qlot's, ocicl's, CLPM's.
_LOCKS = ("qlfile.lock", "ocicl.csv", "systems.csv", "clpmfile.lock")
_LONGEST = 200


Asked = Sequence[tuple[Supply, Sequence[str]]]


def maker(ours: Sequence[str]) -> Maker:
    """monolisp itself; `ours` are the texts of its files that go into programs."""
    return Maker(__version__, hashlib.sha256("\0".join(ours).encode()).hexdigest())


def made_with(ours: Sequence[str], toolchain: Toolchain, libraries: Asked, book: Cookbook) -> Provenance:
    """What every executable says: of monolisp, SBCL, C compiler, and the foreign libraries in it, each with the names
    by which it was asked for. `ours` as for maker()."""
    version = find_version(toolchain.version)
    zig = pin()
    libc, _, libc_version = zig["libc"].partition(" ")
    _, *features = toolchain.version.split()
    return Provenance(
        monolisp=maker(ours),
        target=toolchain.target.triple,
        sbcl=Sbcl(
            version.version,
            tuple(features),
            version.source.licence,
            _archives(version.source),
            toolchain.digest,
            _core_of(toolchain),
        ),
        compiler=Compiler("zig", zig["version"], libc, libc_version, zig["libc_licence"]),
        libraries=tuple(_library(supply, names, book) for supply, names in libraries),
    )


def _core_of(toolchain: Toolchain) -> str:
    """The sha256 of a toolchain's core: its manifest has it, and reading the core would take longer than a link."""
    told = {one.path: one.content for one in read_manifest(toolchain.path)}
    return told[toolchain.core.name]


def _archives(source: Pin) -> tuple[Archive, ...]:
    return tuple(Archive(str(place), place.sha256) for place in source.places)


def _library(supply: Supply, names: Sequence[str], book: Cookbook) -> Library:
    # What was compiled along with the program is asked for by its path.
    plain = tuple(name for name in names if "/" not in name)
    if supply.recipe is None:
        return Library(Path(supply.label).name, names=plain, archive=sha256_file(supply.archives[0]))
    recipe = book.find(supply.recipe)
    licence = recipe.source.licence if recipe.source else ""
    archives = _archives(recipe.source) if recipe.source else ()
    return Library(recipe.name, recipe.version, licence, recipe_hash(recipe), archives, plain)


def recipe_hash(recipe: Recipe) -> str:
    """sha256 of a recipe and of the C files of ours that belong to it."""
    ours = [(recipe.folder / name).read_bytes() for name in recipe.ours]
    return hashlib.sha256(b"\0".join([recipe.text.encode(), *ours])).hexdigest()


def program_of(project: Project, loaded: Loaded, certificates: bytes | None = None) -> Program:
    """What was built, and how; `certificates` are those inside."""
    told = {event.name: event for event in loaded.events}
    image = told.get("image")
    features, modules = (tuple(image.listed(name)) if image else () for name in ("features", "modules"))
    inputs = tuple(_below(path, project.directory) for path in project.files) or (project.system or "",)
    return Program(
        name=project.default_name,
        kind=SCRIPT if project.files else SYSTEM,
        inputs=inputs,
        entry=loaded.entry or "",
        options=options_of(project),
        before=tuple(f"{kind} {_name_in(text, project) if kind == 'load' else text}" for kind, text in project.before),
        features=features,
        modules=modules,
        files=_hashed(_files(project, loaded), project.directory),
        embedded=tuple(File(name, sha256_file(path)) for name, path in embedded_files(project)),
        locks=_hashed([project.directory / name for name in _LOCKS], project.directory),
        revision=revision_of(project.files[0]) if project.files else "",
        archives=tuple(File(path.name, sha256_file(path)) for path, _ in project.archives),
        headers=_numbered(project.include, lambda path: True),
        recipes=_numbered(project.recipes, is_recipe),
        certificates=hashlib.sha256(certificates).hexdigest() if certificates is not None else "",
    )


def _numbered(folders: Sequence[Path], wanted: Callable[[Path], bool]) -> tuple[File, ...]:
    """The files in directories that options name."""
    found = [
        File(f"{number}/{path.relative_to(folder).as_posix()}", sha256_file(path))
        for number, folder in enumerate(folders)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and wanted(path)
    ]
    return tuple(found)


def _name_in(file: str, project: Project) -> str:
    return _below(Path(file), project.directory)


def _below(path: Path, directory: Path) -> str:
    """Its path below the directory, or else only its name: where a directory is says nothing."""
    return path.relative_to(directory).as_posix() if path.is_relative_to(directory) else path.name


def _files(project: Project, loaded: Loaded) -> list[Path]:
    """Scripts, and what they read below the project's directory. What lies beside a system's definition belongs to the
    system, which may have been compiled long ago and was not read now."""
    explicit = [*project.files, *(Path(text) for kind, text in project.before if kind == "load")]
    systems = [str(Path(event.listed("files")[0]).parent) + "/" for event in loaded.events if event.name == "sources"]
    read = [project.directory / name for name in loaded.files] if project.files else []
    plain = [path for path in read if path.is_relative_to(project.directory) and path.suffix != ".fasl"]
    embedded = {path for _, path in embedded_files(project)}
    return [*explicit, *(path for path in plain if path not in embedded and not str(path).startswith(tuple(systems)))]


def _hashed(paths: Iterable[Path], directory: Path) -> tuple[File, ...]:
    found = {_below(path, directory): sha256_file(path) for path in paths if path.is_file()}
    return tuple(File(name, found[name]) for name in sorted(found))


def same_revisions(told: Provenance, earlier: Provenance) -> Provenance:
    """`told`, with the git revisions that `earlier` says of the same files: a copy of a checkout has none."""
    known = {(system.name, system.source): system.revision for system in earlier.systems}
    systems = [replace(one, revision=known.get((one.name, one.source), one.revision)) for one in told.systems]
    program = told.program
    if program.files == earlier.program.files:
        program = replace(program, revision=earlier.program.revision)
    return replace(told, program=program, systems=tuple(systems))


def systems_of(events: Sequence[Event]) -> tuple[System, ...]:
    """Every ASDF system that was loaded from a file, by name."""
    found = [_system(event) for event in events if event.name == "sources"]
    return tuple(sorted(found, key=lambda system: system.name))


def _system(event: Event) -> System:
    definition, *sources = map(Path, event.listed("files"))
    version, licence, author = (
        " ".join(event.text(name).split())[:_LONGEST] for name in ("version", "licence", "author")
    )
    return System(
        event.text("system"), version, licence, author, tree_hash(definition, sources), revision_of(definition)
    )


def tree_hash(definition: Path, sources: Iterable[Path]) -> str:
    """sha256 of the lines that sha256sum prints for a definition and its files, sorted by path, from where it is."""
    names = {os.path.relpath(path, definition.parent): path for path in (definition, *sources) if path.is_file()}
    lines = [f"{sha256_file(names[name])}  {name}\n" for name in sorted(names)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
