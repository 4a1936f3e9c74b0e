"""An executable built again from what it says of itself: record ─ sources ─ project ─ build ─ compare."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from monolisp import __version__
from monolisp.archive.compare import record_differences
from monolisp.archive.gathering import Files, Gathered, find_files, gather, missing_pins
from monolisp.archive.places import Places
from monolisp.archive.project import project_of, require_rebuildable
from monolisp.archive.systems import Asker, Definition, link_definitions, registry_form
from monolisp.build import build, plan_build
from monolisp.compare import Difference, differences, section_differences, shape_for
from monolisp.errors import BadCore, LispDied, NoSuchRecipe
from monolisp.libraries.recipe import Cookbook
from monolisp.libraries.wishes import RECIPES
from monolisp.lisp.session import project_fasls
from monolisp.project import Project
from monolisp.provenance.gather import maker, recipe_hash
from monolisp.provenance.note import inspect, intact
from monolisp.provenance.own import own_texts
from monolisp.provenance.record import Provenance
from monolisp.publish import check_output
from monolisp.store import remove_tree, sha256_file
from monolisp.target import find_target
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain, ensure_toolchain, find_toolchain

# What a user's environment says of places: only what was laid out is to be found.
_FORGOTTEN = ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "SBCL_HOME")


@dataclass(frozen=True)
class Original:
    """What is built again: its record and the sha256 of the file; the file itself, if it is at hand."""

    record: Provenance
    sha256: str
    file: Path | None = None


@dataclass(frozen=True)
class Search:
    """Where sources are looked for: `trees` hold Lisp systems only."""

    places: Places
    trees: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """`differences` say what is not as it was; there are none where `sha256` is the original's."""

    identical: bool
    sha256: str
    differences: tuple[Difference, ...] = ()


def original_of(file: Path) -> Original:
    """Raises ForgedProvenance, and what inspect() raises."""
    return Original(intact(file), sha256_file(file), file)


def rebuild(
    original: Original,
    search: Search,
    machine: Machine,
    root: Path,
    tell: Callable[[str], None],
    output: Path | None = None,
) -> Outcome:
    """Build `original` again in the directory `root`, and compare. The result goes to `output`, or stays there.

    Raises NotRebuildable, SourcesGone, and what building raises.
    """
    record = original.record
    require_rebuildable(record)
    if output is not None:
        check_output(output, [original.file] if original.file else [])
    search.places.check()
    for note in warnings(record):
        tell(note)
    return compared(
        original, _built(record, search, machine, tell, root, output), partial(objects, record, machine, tell)
    )


def _built(
    record: Provenance, search: Search, machine: Machine, tell: Callable[[str], None], root: Path, output: Path | None
) -> Path:
    project = project_of(record, root, output or root / "built" / record.program.name)
    files = find_files(record, search.places)
    lay_out(files, project, root, record.epoch)
    target = find_target(record.target)
    toolchain, there = find_toolchain(project.sbcl or "", target, machine.store)
    lacking = missing_pins(record, Cookbook((RECIPES, *project.recipes)), target, there, machine)
    gathered = gather(record, files, lacking, search.places, search.trees, machine)
    ensure_toolchain(toolchain, machine)
    definitions = _definitions(record, gathered, toolchain, machine, root)
    for name, definition in definitions.items():
        if definition.differing:
            tell(f"the files of {name} at {definition.path.parent} are not what they were")
    registry = root / "registry"
    link_definitions({name: one.path for name, one in definitions.items()}, registry)
    alone = replace(machine, environ=surroundings(machine.environ, record.epoch, registry, root))
    with _forgotten_fasls(machine, toolchain, project, root):
        plan = replace(plan_build(project, target, alone, always=True), record=root / "build.json", earlier=None)
        return build(plan, alone, again=record).output


def lay_out(files: Files, project: Project, root: Path, epoch: int) -> None:
    """Copy every file that was found to where the record has it."""
    for folder in (project.directory, root / "built", root / "home", *project.include, *project.recipes):
        folder.mkdir(parents=True, exist_ok=True)
    for wanted, path in files.items():
        if path is None:
            continue
        copy = root / wanted.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        os.utime(copy, (epoch, epoch))


def _definitions(
    record: Provenance, gathered: Gathered, toolchain: Toolchain, machine: Machine, root: Path
) -> dict[str, Definition]:
    """ASDF is asked only where there is a choice: what was taken is compared after the build in any case."""
    if all(len(paths) == 1 for paths in gathered.definitions.values()):
        return {name: Definition(paths[0]) for name, paths in gathered.definitions.items()}
    return Asker(toolchain, machine, root).chosen(record.systems, gathered.definitions)


def surroundings(environ: Mapping[str, str], epoch: int, registry: Path, root: Path) -> dict[str, str]:
    """The environment of a build that finds what was laid out, and nothing of the user's."""
    left = {name: value for name, value in environ.items() if name not in _FORGOTTEN}
    own = {"HOME": str(root / "home"), "SOURCE_DATE_EPOCH": str(epoch), "CL_SOURCE_REGISTRY": registry_form(registry)}
    return left | own


@contextmanager
def _forgotten_fasls(machine: Machine, toolchain: Toolchain, project: Project, root: Path) -> Iterator[None]:
    """What is compiled of files in the workspace is of no use to anybody later."""
    try:
        yield
    finally:
        area = project_fasls(project, toolchain, machine.store)
        for place in area.glob("*"):
            remove_tree(place / str(root).lstrip("/"))


def warnings(record: Provenance) -> Iterator[str]:
    """Reasons why the result may be another, known before anything is built."""
    ours, made = maker(own_texts()), record.monolisp
    if made.version != ours.version:
        yield (
            f"note: monolisp {made.version} made it, and this is {__version__}: the result may differ "
            f"(pip install monolisp=={made.version})"
        )
    elif made.source != ours.source:
        yield f"note: another monolisp {made.version} made it: the result may differ"
    if not record.program.recipes:
        yield from _recipe_warnings(record)


def _recipe_warnings(record: Provenance) -> Iterator[str]:
    book = Cookbook()
    for library in record.libraries:
        if library.recipe:
            try:
                known = recipe_hash(book.find(library.name)) == library.recipe
            except NoSuchRecipe:
                known = False
            if not known:
                which = f"{library.name} {library.version}"
                yield f"note: this monolisp has another recipe for {which}: the result will differ"


Comparison = Callable[[Path, Path], Sequence[Difference]]


def compared(original: Original, made: Path, content: Comparison = section_differences) -> Outcome:
    """What the result is, beside the original; `content` says where the files differ."""
    found = sha256_file(made)
    if found == original.sha256:
        return Outcome(True, found)
    differing = record_differences(original.record, inspect(made).provenance)
    if original.file is not None:
        # Where the records say why, objects would only hide it.
        differing += (section_differences if differing else content)(original.file, made)
    return Outcome(False, found, tuple(differing or [Difference("sha256 of the file", original.sha256, found)]))


def objects(
    record: Provenance, machine: Machine, tell: Callable[[str], None], before: Path, after: Path
) -> Sequence[Difference]:
    """Object by object, in two files of this record; where heaps of its SBCL cannot be read, that is told, and sections
    have to do."""
    toolchain, _ = find_toolchain(record.sbcl.spec, find_target(record.target), machine.store)
    try:
        return differences(before, after, shape_for(toolchain, machine))
    except (LispDied, BadCore) as error:
        tell(f"note: which objects differ cannot be told of SBCL {record.sbcl.spec}: {error.what_text}")
        return section_differences(before, after)


def keep_directory(root: Path, name: str, machine: Machine) -> Path:
    """Move a workspace to where nobody clears it away."""
    path = machine.store.area("rebuilds") / name
    remove_tree(path)
    return root.rename(path)
