"""The spine: from what the user named to a verified executable.

project ─ toolchain ─ load ⇄ Lisp ─ core ─ link ─ compose ─ verify ─ publish
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp import __version__
from monolisp.errors import BadLock, OutputUnwritable
from monolisp.inputs import Record, changes, read_record, record_of, write_record
from monolisp.linkage.sizes import Sizes
from monolisp.lock import FILE as LOCK
from monolisp.lock import Lock, read_lock
from monolisp.project import Project, embedded_files
from monolisp.provenance.own import own_texts
from monolisp.publish import candidate, check_output, require_static
from monolisp.store import digest_of
from monolisp.target import Target
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain, ensure_toolchain, find_toolchain
from monolisp.toolchain.version import DEFAULT

if TYPE_CHECKING:
    from monolisp.libraries.recipe import Cookbook
    from monolisp.libraries.supply import Foreign
    from monolisp.libraries.wishes import Wishes
    from monolisp.link.link import Notes
    from monolisp.link.program import Program
    from monolisp.lisp.session import Loaded, Saved
    from monolisp.provenance.record import Provenance


@dataclass(frozen=True)
class Step:
    """One step of a plan and why it runs; `seconds` is what it is expected to take."""

    name: str
    why: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a build will do, before anything is done. No steps: everything is up to date."""

    project: Project
    toolchain: Toolchain
    output: Path
    settings: str
    record: Path
    lock: Path
    steps: tuple[Step, ...]
    earlier: Record | None


@dataclass(frozen=True)
class Result:
    """What a build made. `fresh` is false when there was nothing to do; `libraries` are those linked in, each with the
    names by which the program asks for it; `undefined` are C functions that nothing defines; `seconds` is what each
    step took."""

    output: Path
    fresh: bool
    size: int
    entry: str | None
    toolchain: str
    libraries: Mapping[str, list[str]] = field(default_factory=dict)
    undefined: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def plan_build(project: Project, target: Target, machine: Machine, always: bool = False) -> Plan:
    """Say what has to be done for `project`, and why. Looks at files, changes nothing."""
    toolchain, there = find_toolchain(project.sbcl or DEFAULT, target, machine.store)
    made_of = [__version__, own_texts(project.recipes), toolchain.digest]
    settings = digest_of([*made_of, _settings(project), environment_of(machine)])
    record_path = machine.store.area("builds") / f"{digest_of([_settings(project), str(project.output)])}.json"
    earlier = read_record(record_path)
    # What the system's :build-pathname says, as the last build learned it.
    output = project.output_named(earlier.result.get("build_pathname") if earlier else None)
    if not there:
        stale = ["the toolchain is new"]
    elif earlier is None:
        stale = ["it was not built before"]
    else:
        stale = changes(earlier, settings, output)
    if always and not stale:
        stale = ["--always was given"]
    lock = project.directory / LOCK
    work = _program_steps(stale)
    steps = (
        *_toolchain_step(toolchain, there),
        *(_libraries_step(lock, project, target, machine) if work else ()),
        *work,
    )
    return Plan(project, toolchain, output, settings, record_path, lock, steps, earlier)


def _settings(project: Project) -> dict[str, object]:
    """What a build is known by: options, and which files it embeds."""
    embedded = [name for name, _ in embedded_files(project)]
    return {**{name: repr(value) for name, value in asdict(project).items()}, "embedded": embedded}


def environment_of(machine: Machine) -> dict[str, str]:
    """The variables that decide where systems are found, and the time: another value may mean another program."""
    places = ("HOME", "CL_SOURCE_REGISTRY", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS")
    names = (*places, "SOURCE_DATE_EPOCH")
    return {name: machine.environ[name] for name in names if name in machine.environ}


def _toolchain_step(toolchain: Toolchain, there: bool) -> tuple[Step, ...]:
    if there:
        return ()
    from monolisp.stages import expected
    from monolisp.toolchain.build import STAGES
    from monolisp.toolchain.version import find_version

    seconds = max(stage.end for stage in expected(STAGES, find_version(toolchain.version).stages))
    why = f"SBCL {toolchain.version} for {toolchain.target.triple} is not in the store"
    return (Step("toolchain", why, seconds),)


def _libraries_step(lock: Path, project: Project, target: Target, machine: Machine) -> tuple[Step, ...]:
    """Libraries that are known to be needed, from the lock and the command line, and are not in the store."""
    program = project.default_name
    try:
        names = [name for name, locked in read_lock(lock).items() if program in locked.programs]
    except BadLock:
        return ()  # told when the build begins
    names += project.libraries
    if not names:
        return ()
    from monolisp.libraries.library import KIND, library_at

    book = _cookbook(project)
    recipes = book.ordered([name for name in dict.fromkeys(names) if name in book.names])
    digests = {recipe: library_at(recipe, book, target, machine.store).digest for recipe in recipes}
    missing = [recipe for recipe, digest in digests.items() if not machine.store.has(KIND, digest)]
    if not missing:
        return ()
    why = f"{', '.join(map(str, missing))} are not in the store"
    return (Step("libraries", why, sum(recipe.seconds for recipe in missing)),)


def _program_steps(stale: list[str]) -> tuple[Step, ...]:
    if not stale:
        return ()
    why = "; ".join(stale[:5]) + (f"; and {len(stale) - 5} more" if len(stale) > 5 else "")
    return (
        Step("load", why, 1),
        Step("link", "the core is new", 0.1),
        Step("verify", "every executable is verified before it gets its name", 0.1),
    )


def build(plan: Plan, machine: Machine, update: bool = False, again: Provenance | None = None) -> Result:
    """Carry out a plan: the executable gets its name only when it is complete and verified. `update` takes no heed of
    the versions in monolisp.lock; `again` is the record of what is built again (archive/rebuild.py)."""
    if not plan.steps and plan.earlier is not None:
        entry = plan.earlier.result.get("entry")
        return Result(plan.output, False, plan.earlier.output.size, entry, plan.toolchain.digest)
    check_output(plan.output, plan.project.files)
    from monolisp.libraries.desk import Desk
    from monolisp.lisp.session import Saved, epoch_of, load_program

    epoch = epoch_of(machine.environ)

    watch = Stopwatch({})
    with watch.step("toolchain"):
        toolchain = ensure_toolchain(plan.toolchain, machine)
    lock = _lock(plan, update)
    with (
        machine.store.workspace() as folder,
        candidate(plan.output, "core") as beside,
        Desk(_wishes(plan.project), toolchain, machine) as desk,
    ):
        with watch.step("libraries"):
            desk.prepare([] if update else _locked(lock, plan))
        code = _earlier_code(plan)
        saved = Saved(beside if code else folder / "core", code)
        with watch.step("load"):
            loaded = load_program(plan.project, toolchain, machine, folder, saved, desk, _get_ready)
        certificates = _certificates() if plan.project.embed_ca else None
        foreign = replace(
            desk.foreign([*plan.project.exports, *loaded.exports], sorted(loaded.looked_up)), certificates=certificates
        )
        output = _final_output(plan, loaded)
        described = _describing(plan, loaded, foreign, epoch, again)
        linked = _publish(saved, foreign, output, plan, machine, watch, described)
    result = _finish(plan, machine, output, loaded, linked, foreign, watch)
    _keep_lock(plan, lock, foreign)
    return result


def _lock(plan: Plan, update: bool) -> Lock:
    """The lock; one that cannot be read is made anew when that is asked for. Raises BadLock."""
    try:
        return read_lock(plan.lock)
    except BadLock:
        if update:
            return {}
        raise


def _certificates() -> bytes:
    """The certificates of the authorities that Mozilla trusts, as the Python package certifi has them."""
    from importlib.resources import files

    return files("certifi").joinpath("cacert.pem").read_bytes()


def _wishes(project: Project) -> Wishes:
    from monolisp.libraries.wishes import RECIPES, Wishes

    folders = (RECIPES, *project.recipes)
    return Wishes(project.libraries, project.archives, project.include, project.absent, folders)


def _cookbook(project: Project) -> Cookbook:
    from monolisp.libraries.recipe import Cookbook

    return Cookbook(_wishes(project).folders)


def _locked(lock: Lock, plan: Plan) -> list[str]:
    if not lock:
        return []
    from monolisp.libraries.locking import locked_recipes

    return locked_recipes(lock, plan.project.default_name, _cookbook(plan.project), plan.lock)


def _keep_lock(plan: Plan, lock: Lock, foreign: Foreign) -> None:
    if lock or any(supply.recipe for supply in foreign.supplies):
        from monolisp.libraries.locking import keep_lock

        try:
            keep_lock(plan.lock, lock, plan.project.default_name, _cookbook(plan.project), foreign.supplies)
        except OSError as error:
            raise OutputUnwritable(path=plan.lock, reason=error.strerror or error) from error


def _earlier_code(plan: Plan) -> Path | None:
    """The linked code of the last build: most likely this one's too, so that Lisp may write its core behind it."""
    if plan.earlier is None or plan.earlier.result.get("toolchain") != plan.toolchain.digest:
        return None
    told = plan.earlier.result.get("code")
    return Path(told) if told and Path(told).is_file() else None


def _describing(plan: Plan, loaded: Loaded, foreign: Foreign, epoch: int, again: Provenance | None) -> Notes:
    """What the executable will say of itself, once its code is linked."""

    def notes(program: Program) -> dict[str, bytes]:
        from monolisp.link.program import linked_libraries
        from monolisp.provenance.gather import made_with, program_of, same_revisions, systems_of
        from monolisp.provenance.note import SECTION, section

        libraries = linked_libraries(program, foreign)
        told = made_with(own_texts(), plan.toolchain, libraries, _cookbook(plan.project))
        program_facts = program_of(plan.project, loaded, foreign.certificates)
        told = replace(told, program=program_facts, systems=systems_of(loaded.events), epoch=epoch)
        return {SECTION: section(same_revisions(told, again) if again else told)}

    return notes


def _publish(
    saved: Saved, foreign: Foreign, output: Path, plan: Plan, machine: Machine, watch: Stopwatch, notes: Notes
) -> Program:
    """Link, verify, and only then give the executable its name. Returns the linked code."""
    from monolisp.link.link import link
    from monolisp.provenance.note import sealing

    with candidate(output, "linked") as path:
        with watch.step("link"):
            sizes = Sizes(plan.project.heap, plan.project.stack)
            linked = link(saved, foreign, sizes, plan.toolchain, machine, path, notes)
        with watch.step("verify"), _meanwhile(lambda: saved.path.unlink(missing_ok=True)), sealing(path):
            require_static(path, plan.toolchain.target, machine.path)
        path.rename(output)
    return linked


@contextmanager
def _meanwhile(action: Callable[[], None]) -> Iterator[None]:
    """Do something that only the kernel is busy with beside what else happens."""
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _get_ready() -> None:
    """Import what comes after Lisp while Lisp works: a tenth of a warm build."""
    import monolisp.elf.trial
    import monolisp.libraries.supplier
    import monolisp.link.link
    import monolisp.provenance.gather
    import monolisp.provenance.note
    import monolisp.sbom.noted  # noqa: F401
    from monolisp.elf.verdict import rules

    rules()


@dataclass(frozen=True)
class Stopwatch:
    """Seconds of each step."""

    seconds: dict[str, float]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begin, 4)


def _finish(
    plan: Plan, machine: Machine, output: Path, loaded: Loaded, linked: Program, foreign: Foreign, watch: Stopwatch
) -> Result:
    """Keep the record that lets the next build see that nothing changed."""
    # What an earlier build read counts still: compiled files that were good then were not made again now.
    files = loaded.files | (frozenset(plan.earlier.files) if plan.earlier else frozenset())
    directories = {**loaded.directories}
    for name, seen in plan.earlier.directories.items() if plan.earlier else ():
        directories[name] = directories.get(name, frozenset()).union(seen.types)
    files |= frozenset(map(str, foreign_files(plan.project)))
    without = (machine.store.root, plan.toolchain.path)
    told = {"entry": loaded.entry, "build_pathname": loaded.build_pathname}
    told |= {"toolchain": plan.toolchain.digest, "code": str(linked.path)}
    with watch.step("record"):
        record = record_of(plan.settings, files, directories, plan.project.directory, without, output, told)
        write_record(plan.record, record)
        _note_systems(loaded, machine)
    digest = plan.toolchain.digest
    from monolisp.link.program import linked_libraries

    libraries = {supply.label: names for supply, names in linked_libraries(linked, foreign)}
    undefined = undefined_names(linked, plan.toolchain)
    warnings = loaded.warnings
    return Result(output, True, record.output.size, loaded.entry, digest, libraries, undefined, warnings, watch.seconds)


def _note_systems(loaded: Loaded, machine: Machine) -> None:
    from monolisp.sbom.noted import note_systems

    note_systems(loaded.events, machine.store)


def foreign_files(project: Project) -> list[Path]:
    """What the linker and the C compiler read of the user's, and Lisp does not."""
    headers = [path for folder in project.include for path in folder.rglob("*") if path.is_file()]
    return [*headers, *(path for path, _ in project.archives)]


def undefined_names(program: Program, toolchain: Toolchain) -> tuple[str, ...]:
    """What the program refers to and nothing defines, beyond what SBCL itself refers to."""
    from monolisp.lisp.corefile import linkage_of

    lacking = [entry.name for entry in program.linkage if entry.origin is None]
    if not lacking:
        return ()
    own = {entry.name for entry in linkage_of(toolchain.core)}
    return tuple(name for name in lacking if name not in own)


def _final_output(plan: Plan, loaded: Loaded) -> Path:
    output = plan.project.output_named(loaded.build_pathname)
    check_output(output, (plan.project.directory / name for name in loaded.files))
    return output
