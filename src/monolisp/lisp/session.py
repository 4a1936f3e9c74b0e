"""One run of the build runtime: it loads the program and saves its core, and tells what it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from monolisp.emulator import emulator
from monolisp.errors import BadOption, DiskFull, LispDied, NoHeader, NoRecipeFor
from monolisp.libraries.compilers import compilers
from monolisp.libraries.desk import Desk
from monolisp.libraries.wishes import FIXES, RECIPES
from monolisp.lisp.events import Event, death_of, failure_of
from monolisp.lisp.job import Pass, job_text, output_translations, sexp, source_registry
from monolisp.lisp.turns import Ended, Process, Turns, interrupted
from monolisp.process import STANDARD_ERROR, Command, Finished
from monolisp.project import Project, embedded_files
from monolisp.store import Store, digest_of, has_no_room
from monolisp.toolchain.build import EPOCH
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain

FOLDER = Path(__file__).parent
# Systems of ours that definitions may depend on.
ASDF = FOLDER.parent / "asdf"
_SAME = ("symbols", "types", "places", "seal")
_NAMES = (*_SAME, "program", "random", "watch", "names", "events", "temporary", "asdf", "sources", "driver")
_DRIVER = tuple(FOLDER / f"{name}.lisp" for name in _NAMES)


@dataclass(frozen=True)
class Saved:
    """Where Lisp is to save a core, or did: a file of its own, or, with `code`, behind a copy of that file."""

    path: Path
    code: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """A program that was loaded and saved: what it told, every file that it read, every directory that it listed, with
    the types of files that it looked for there (see inputs.Listing), and the C symbols that were looked up."""

    events: Sequence[Event]
    files: frozenset[str]
    directories: Mapping[str, frozenset[str]]
    looked_up: frozenset[str]

    @property
    def entry(self) -> str | None:
        return self._told("entry", "entry")

    @property
    def build_pathname(self) -> str | None:
        """The output that the system asks for, as its definition says it."""
        return self._told("system", "build_pathname")

    @property
    def exports(self) -> tuple[str, ...]:
        """The C symbols that the program's code looks up by name while it runs."""
        event = next((event for event in self.events if event.name == "exports"), None)
        return tuple(event.listed("names")) if event else ()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(f"{event.place}: {event.text('condition')}" for event in self.events if event.name == "warning")

    def _told(self, name: str, field: str) -> str | None:
        event = next((event for event in reversed(self.events) if event.name == name), None)
        return (event.text(field) or None) if event else None


@dataclass(frozen=True)
class _Wanted:
    """What is to be loaded and saved. `work` is a directory for passing things; `meanwhile` is called once Lisp is at
    work."""

    project: Project
    toolchain: Toolchain
    machine: Machine
    work: Path
    saved: Saved
    environment: dict[str, str]
    meanwhile: Callable[[], None]

    def record(self, turn: Pass) -> Path:
        """What a process reads. Two may be there at once, and what one lists says nothing of the other's lists."""
        return self.work / f"record-{turn.value}"

    @property
    def log(self) -> Path:
        return self.work / "log"


# The name that debuggers see is not the place where it is compiled.
_COMPILE = """(load (or (with-compilation-unit (:source-namestring "monolisp/{0}") (compile-file "{0}"))
                        (sb-ext:exit :code 1 :abort t)))"""


def compiled(files: Sequence[Path], toolchain: Toolchain, machine: Machine) -> Path:
    """Lisp files of ours, compiled by this toolchain once, as one file to load."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in files}
    digest = digest_of(["driver", toolchain.digest, sources, _COMPILE, EPOCH])

    def make(directory: Path) -> None:
        for name, text in sources.items():
            (directory / name).write_text(text, encoding="utf-8")
        forms = [part for name in sources for part in ("--eval", _COMPILE.format(name))]
        # Whatever time the user's own sources shall have: the entry is shared with builds that say nothing of it.
        env = {"SOURCE_DATE_EPOCH": str(EPOCH)}
        fasls = [directory / name.replace(".lisp", ".fasl") for name in sources]
        asked(forms, toolchain, machine, "while compiling monolisp's own Lisp files", directory, env, fasls)
        (directory / "driver.fasl").write_bytes(b"".join(fasl.read_bytes() for fasl in fasls))

    return machine.store.entry("drivers", digest, make) / "driver.fasl"


def lisp(toolchain: Toolchain, machine: Machine, heap: str = "1GiB") -> list[str | Path]:
    """How the build runtime is started on this machine. Raises QemuMissing."""
    options = ("--noinform", "--disable-ldb", "--lose-on-corruption", "--dynamic-space-size", heap)
    start: list[str | Path] = [*emulator(toolchain.target, machine.path), toolchain.build_runtime]
    return [*start, "--core", toolchain.core, *options, "--no-sysinit", "--no-userinit"]


def asked(
    options: Sequence[str | Path],
    toolchain: Toolchain,
    machine: Machine,
    place: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    made: Sequence[Path] = (),
) -> str:
    """What the build runtime prints when it is started with `options`, which is to make the files `made`; `place` says
    what it was at, for people.

    Raises LispDied.
    """
    argv = [*lisp(toolchain, machine), "--non-interactive", *options]
    done = machine.runner(Command(argv, environment(toolchain, machine) | {**(env or {})}, cwd=cwd))
    if done.returncode != 0 or not all(path.exists() for path in made):
        raise LispDied(place=place, reason=done.text[-2000:])
    return done.text


def environment(toolchain: Toolchain, machine: Machine) -> dict[str, str]:
    """SBCL writes the time of a source into what it compiles, unless SOURCE_DATE_EPOCH says another."""
    return {"SOURCE_DATE_EPOCH": str(EPOCH), **machine.environ, "SBCL_HOME": str(toolchain.path)}


def epoch_of(environ: Mapping[str, str]) -> int:
    """The moment that a build is stamped with, in seconds since 1970. Raises BadOption."""
    told = environ.get("SOURCE_DATE_EPOCH", str(EPOCH))
    if not (told.isascii() and told.isdigit() and len(told) < 12):
        reason = "it is a number of seconds since 1970"
        raise BadOption(option="SOURCE_DATE_EPOCH", value=told or '""', reason=reason, command="build")
    return int(told)


def _surroundings(project: Project, saved: Saved, toolchain: Toolchain, machine: Machine, desk: Desk) -> dict[str, str]:
    """The environment of a build: where systems are found, where compiled files and the core go, our C compiler."""
    # ASDF asks for compiled files by their truenames.
    fasls = project_fasls(project, toolchain, machine.store).resolve()
    registry = source_registry((*project.registries, ASDF), machine.environ.get("CL_SOURCE_REGISTRY", ""))
    return {
        **environment(toolchain, machine),
        "MONOLISP_CORE": str(saved.path),
        "MONOLISP_DESK": str(desk.address),
        "PATH": f"{compilers(toolchain.target, machine)}:{machine.path}",
        "CC": "cc",
        "CXX": "c++",
        "CL_SOURCE_REGISTRY": registry,
        "MONOLISP_FASLS": f"{fasls}/",
        # For what our driver does not reach (asdf.lisp): a Lisp that the program starts.
        "ASDF_OUTPUT_TRANSLATIONS": output_translations(fasls / "others"),
    }


def load_program(
    project: Project,
    toolchain: Toolchain,
    machine: Machine,
    work: Path,
    saved: Saved,
    desk: Desk,
    meanwhile: Callable[[], None] = lambda: None,
) -> Loaded:
    """Load `project` in the build runtime and save its core as `saved` says. `work` is a directory for passing things;
    `desk` answers what it asks for in C; `meanwhile` is called once Lisp is at work.

    Raises what events.failure_of names, LispDied, LispFileInterrupted, and what went wrong at the desk.
    """
    fasls = project_fasls(project, toolchain, machine.store)
    env = _surroundings(project, saved, toolchain, machine, desk)
    wanted = _Wanted(project, toolchain, machine, work, saved, env, meanwhile)
    turns = Turns(lambda process: _run(wanted, process), machine, desk)
    done, events = turns.saved(machine.store, f"compiled-files-{fasls.parent.name}-{fasls.name}")
    if desk.failure is not None:
        raise desk.failure
    _require_libraries(events, desk)
    found = _outcome(project, saved.path, done, events, [wanted.record(turn) for turn in Pass], wanted.log)
    if project.directory.is_relative_to(machine.store.root):
        return found  # a copy that is built again
    # What the store holds is ours, even where the store is in the project's directory.
    ours = f"{machine.store.root}/"
    return replace(found, files=frozenset(name for name in found.files if not name.startswith(ours)))


def _run(wanted: _Wanted, process: Process) -> Ended:
    """One Lisp process."""
    project, toolchain, machine = wanted.project, wanted.toolchain, wanted.machine
    job = wanted.work / f"{process.turn.value}.lisp-expr"
    embedded = embedded_files(project)
    job.write_text(job_text(project, wanted.saved.code, embedded, process.turn, process.wait), encoding="utf-8")
    driver = compiled(_DRIVER, toolchain, machine)
    argv = [*lisp(toolchain, machine, project.build_heap), "--non-interactive", "--load", driver]

    def started(_: int) -> None:
        process.ear.listen()
        if process.wait is None:
            wanted.meanwhile()

    with wanted.record(process.turn).open("ab") as recorder:
        told = {"MONOLISP_EVENTS_FD": str(process.ear.writing), "MONOLISP_RECORD_FD": str(recorder.fileno())}
        command = Command(
            [*argv, "--eval", f"(monolisp-build:run {sexp(job)})"],
            wanted.environment | told,
            cwd=project.directory,
            log=STANDARD_ERROR if machine.verbose else wanted.log,
            pass_fds=(process.ear.writing, recorder.fileno(), *([] if process.wait is None else [process.wait])),
        )
        try:
            return process.runner(command, started), process.ear.events
        except KeyboardInterrupt as interrupt:
            raise interrupted(process.ear) from interrupt
        finally:
            process.ear.close()


def _outcome(
    project: Project, core: Path, done: Finished, events: Sequence[Event], records: Sequence[Path], log: Path
) -> Loaded:
    failed = next((event for event in events if event.name == "failed"), None)
    if failed is not None:
        raise failure_of(failed, [*map(str, project.registries), "the places that ASDF searches itself"])
    if done.returncode != 0 or not core.exists() or core.stat().st_size == 0:
        if events and events[-1].name == "save" and has_no_room(core.parent):
            raise DiskFull(path=core.parent)
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        raise death_of(events, done.returncode, said)
    files, directories, looked_up = read_records([path.read_bytes() for path in records if path.exists()])
    told = {str(file) for event in events if event.name == "sources" for file in event.listed("files")}
    return Loaded(events, frozenset(files | told), directories, frozenset(looked_up))


def _require_libraries(events: Sequence[Event], desk: Desk) -> None:
    """A program that failed because a foreign library or header is not to be had: say which, and the ways out.

    Raises NoRecipeFor, NoHeader.
    """
    failed = next((event for event in events if event.name == "failed"), None)
    if failed is None:
        return
    condition = failed.text("condition")
    header = desk.supplier.missed_header(failed.text("file"))
    if header is not None:
        raise NoHeader(header=header[0], place=_asker(*header[1:]), condition=condition)
    library = desk.supplier.missed(condition)
    if library is not None:
        near = desk.supplier.nearest(library[0])
        suggestion = f"is it {' or '.join(near)}? (--with NAME); or " if near else ""
        place = _asker(*library[1:])
        raise NoRecipeFor(library=library[0], place=place, condition=condition, suggestion=suggestion)


def _asker(system: str, file: str) -> str:
    return f"{file} of the system {system}" if system else file or "the program"


def read_records(contents: Sequence[bytes]) -> tuple[set[str], dict[str, frozenset[str]], set[str]]:
    """What several processes reported, each as read_record tells it."""
    files: set[str] = set()
    directories: dict[str, frozenset[str]] = {}
    symbols: set[str] = set()
    for found, listed, looked_up in map(read_record, contents):
        files |= found
        symbols |= looked_up
        for path, types in listed.items():
            directories[path] = directories.get(path, frozenset()) | types
    return files, directories, symbols


def read_record(content: bytes) -> tuple[set[str], dict[str, frozenset[str]], set[str]]:
    """Files read, directories listed with the types that were looked for there, and C symbols looked up.

    The record is what linkage/record.c, dump.c and watch.lisp report, each a letter, a text and a null byte: F a file,
    D a directory; T and E, files of this type are looked for from here to there; S a symbol.
    """
    files: set[str] = set()
    symbols: set[str] = set()
    directories: dict[str, frozenset[str]] = {}
    types: list[str] = []
    for line in content.split(b"\0"):
        text = os.fsdecode(line[1:])
        match line[:1]:
            case b"F":
                files.add(text)
            case b"D":
                path = text.rstrip("/") or "/"
                directories[path] = directories.get(path, frozenset()).union(types)
            case b"S":
                symbols.add(text)
            case b"T":
                types.append(text)
            case b"E" if text in types:
                types.remove(text)
    return files, directories, symbols


def headers_digest(recipes: Sequence[Path], include: Sequence[Path]) -> str:
    """What C headers say depends on recipes, fixes and the user's own: with other ones groveled files are compiled
    anew."""
    folders = (RECIPES, FIXES, *recipes)
    paths = [path for folder in folders for path in sorted(folder.glob("*")) if path.suffix in (".toml", ".h")]
    paths += [path for folder in include for path in sorted(folder.rglob("*")) if path.is_file()]
    texts = [path.read_bytes().decode("utf-8", "surrogateescape") for path in paths]
    return digest_of(["headers", texts, list(map(str, include))])


def project_fasls(project: Project, toolchain: Toolchain, store: Store) -> Path:
    """Where builds of `project` keep compiled files. The driver decides what is in them: what `monolisp sbcl` or
    another monolisp compiled is not theirs."""
    driver = digest_of([path.read_text(encoding="utf-8") for path in _DRIVER])
    return fasl_area(store, toolchain, digest_of([headers_digest(project.recipes, project.include), driver]))


def fasl_area(store: Store, toolchain: Toolchain, recipes: str) -> Path:
    """Where ASDF keeps the files that this toolchain compiles with the headers of these recipes."""
    return store.area("fasls", toolchain.digest, recipes)
