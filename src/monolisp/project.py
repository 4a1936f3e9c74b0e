"""The project: what is to be built and how, from the command line and the settings. Pure values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from monolisp.errors import (
    BadOption,
    MixedInputs,
    NoSuchFile,
    NothingToBuild,
    NotUtf8,
    TwoSystems,
    Unreadable,
)
from monolisp.settings import Settings

# Between an archive and the library's name that it answers to.
AS = " as "
# Measured with SBCL 2.6.4: with less a program, or the building Lisp when it saves, dies before it can say why; a heap
# of 3 TiB is refused.
_LEAST = {"--heap": "64MiB", "--build-heap": "64MiB", "--stack": "128KiB"}
_MOST = "2TiB"
Before = tuple[Literal["eval", "load"], str]


@dataclass(frozen=True)
class Project:
    """What is to be built. `directory` is the project's, all paths are absolute; either `files` or `system` is set;
    `suffix` ends the executable's name where the same program is built several times."""

    directory: Path
    files: tuple[Path, ...] = ()
    system: str | None = None
    entry: str | None = None
    output: Path | None = None
    sbcl: str | None = None
    features: tuple[str, ...] = ()
    heap: str = "1GiB"
    stack: str = "2MiB"
    build_heap: str = "1GiB"
    embed: tuple[str, ...] = ()
    registries: tuple[Path, ...] = ()
    before: tuple[Before, ...] = ()
    debugger: bool = False
    libraries: tuple[str, ...] = ()
    archives: tuple[tuple[Path, str], ...] = ()
    include: tuple[Path, ...] = ()
    recipes: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    embed_ca: bool = False
    suffix: str = ""

    @property
    def default_name(self) -> str:
        """What the executable is called when nobody says."""
        return self.files[0].stem if self.files else (self.system or "program").rsplit("/", 1)[-1]

    def output_named(self, told: str | None) -> Path:
        """Where the executable goes: where the user says, else where the program says (`told`), else by its name."""
        path = self.output or Path.cwd() / (told or self.default_name)
        return path.with_name(path.name + self.suffix)


def checked_size(option: str, text: str) -> str:
    """A size that the runtime takes and can live with: digits and KiB, MiB, GiB or TiB; without a unit MiB. `option`
    is its name on the command line, which decides how small it may be. Raises BadOption."""
    size, least = size_in_bytes(text), _LEAST[option]
    reason = None
    if size is None:
        reason = "a size is a number with KiB, MiB or GiB, such as 4GiB; a bare number means MiB"
    elif not (size_in_bytes(least) or 0) <= size <= (size_in_bytes(_MOST) or 0):
        reason = f"Lisp runs with {least} at least and {_MOST} at most"
    if reason is not None:
        raise BadOption(option=option, value=text or '""', reason=reason, command="build")
    return text


def size_in_bytes(text: str) -> int | None:
    """What SBCL's runtime makes of a size; None: it is none, or could be read in two ways."""
    # No leading zero: the runtime would read octal.
    match = re.fullmatch(r"([1-9][0-9]{0,11})(?:([KMGT])i?B)?", text, re.I | re.A)
    return int(match[1]) << 10 * ("KMGT".index((match[2] or "M").upper()) + 1) if match else None


@contextmanager
def _looking() -> Iterator[None]:
    """Where a person may not look it cannot be told what is there. Raises Unreadable."""
    try:
        yield
    except PermissionError as error:
        raise Unreadable(file=error.filename, reason=error.strerror) from error


@_looking()
def resolve_project(
    inputs: list[str], settings: Settings, here: Path, home: Path, before: tuple[Before, ...] = ()
) -> Project:
    """The project that `inputs` and `settings` mean in the directory `here`. Looks at directories, reads no program."""
    files, system, folder = _inputs(inputs, settings, here)
    extra = [here / entry for entry in settings.registries or ()]
    for entry in extra:
        if not entry.is_dir():
            raise NoSuchFile(file=entry, reason="--registry names a directory")
    trees = [*extra, *([folder] if system else []), *local_trees(here, home, settings.quicklisp)]
    for kind, text in before:
        if kind == "load":
            _script(text, here)
    heap = checked_size("--heap", settings.heap or Project.heap)
    project = Project(
        directory=here,
        files=files,
        system=system,
        entry=settings.entry,
        output=here / settings.output if settings.output else None,
        sbcl=sbcl_spec(settings),
        features=settings.features or (),
        heap=heap,
        stack=checked_size("--stack", settings.stack or Project.stack),
        build_heap=checked_size("--build-heap", settings.build_heap or _larger(heap, Project.build_heap)),
        embed=settings.embed or (),
        registries=tuple(trees),
        before=before,
        debugger=bool(settings.debugger),
        **foreign_settings(settings, here),
        exports=_listed(settings.export),
        embed_ca=bool(settings.embed_ca),
    )
    for field in fields(project):
        _require_utf8(getattr(project, field.name))
    return project


def sbcl_spec(settings: Settings) -> str | None:
    """Which SBCL is wanted: a version, features that it is built with (+) or without (-), or both. Raises BadOption."""
    features = _listed(settings.sbcl_features)
    for feature in features:
        if not re.fullmatch(r"[+-][a-z0-9]+(-[a-z0-9]+)*", feature):
            reason = "a feature of SBCL itself is written with a sign, such as +sb-safepoint or -sb-thread"
            raise BadOption(option="--features", value=feature, reason=reason, command="build")
    return " ".join(filter(None, [settings.sbcl, *features])) or None


def foreign_settings(settings: Settings, here: Path) -> dict[str, Any]:
    """What the user says of foreign libraries, as fields of a project. Raises NoSuchFile and its like."""
    return {
        "libraries": _listed(settings.libraries),
        "archives": tuple(_archive(entry, here) for entry in settings.archives or ()),
        "include": tuple(_directory("--include", entry, here) for entry in settings.include or ()),
        "recipes": tuple(_directory("--recipes", entry, here) for entry in settings.recipes or ()),
        "absent": _listed(settings.absent),
    }


def _require_utf8(value: object) -> None:
    """Everything that Lisp will be told must be text: names of files may be any bytes. Raises NotUtf8."""
    if isinstance(value, tuple):
        for item in value:
            _require_utf8(item)
    elif isinstance(value, str | Path):
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise NotUtf8(name=value) from error


def _larger(heap: str, default: str) -> str:
    """The heap to build with: a program that makes do with little may be larger to load. But no larger than needed:
    the card table of the building Lisp is saved with the core, and beyond the default it costs every start-up."""
    return max(heap, default, key=lambda text: size_in_bytes(text) or 0)


def _listed(entries: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names that may also be written with commas between them."""
    return tuple(name.strip() for entry in entries or () for name in entry.split(",") if name.strip())


def _archive(entry: str, here: Path) -> tuple[Path, str]:
    """An archive of the user's and the name it answers to: "lib/libfoo.a", or "lib/libfoo.a as libfoo.so.1"."""
    file, _, soname = entry.partition(AS)
    path = here / file
    if not _is_file(path):
        raise NoSuchFile(file=file, reason="--with-archive names a static archive (.a) or an object file (.o)")
    return path, soname or path.stem


def _directory(option: str, entry: str, here: Path) -> Path:
    if not (here / entry).is_dir():
        raise NoSuchFile(file=entry, reason=f"{option} names a directory")
    return here / entry


def _inputs(inputs: list[str], settings: Settings, here: Path) -> tuple[tuple[Path, ...], str | None, Path]:
    """Scripts or a system, and the directory to look for systems in."""
    if not inputs:
        if settings.files:
            return tuple(_script(name, here) for name in settings.files), None, here
        return (), settings.system or _only_system(here), here
    definitions = [name for name in inputs if name.endswith(".asd")]
    if definitions:
        if len(inputs) > 1:
            raise MixedInputs(inputs=" ".join(inputs))
        definition = _script(definitions[0], here)
        return (), definition.stem, definition.parent
    if all(name.endswith((".lisp", ".lsp", ".cl")) or _is_script(here / name) for name in inputs):
        return tuple(_script(name, here) for name in inputs), None, here
    if len(inputs) > 1:
        raise MixedInputs(inputs=" ".join(inputs))
    if not inputs[0] or inputs[0] in (".", "..") or inputs[0].endswith("/"):
        raise NoSuchFile(file=inputs[0] or '""', reason="it names a directory; name a Lisp file or a system")
    return (), inputs[0], here


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_script(path: Path) -> bool:
    """A file without a Lisp type may be a script, but also what an earlier build made of the system of that name."""
    if not _is_file(path) or _is_file(path.with_name(path.name + ".asd")):
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(4) != b"\x7fELF"
    except OSError:
        return True


def _script(name: str, here: Path) -> Path:
    path = here / name
    if path.is_dir():
        raise NoSuchFile(file=name, reason="it is a directory; name a Lisp file or a system")
    if not _is_file(path):
        near = _near(path.name, [item.name for item in path.parent.glob("*")])
        raise NoSuchFile(file=name, reason=f"did you mean {near[0]}?" if near else "there is nothing of that name")
    return path


def _only_system(here: Path) -> str:
    found = sorted(path for path in here.glob("*.asd"))
    if not found:
        raise NothingToBuild(directory=here)
    if len(found) > 1:
        first = min(found, key=lambda path: ("test" in path.stem, path.name))
        raise TwoSystems(directory=here, files=", ".join(path.name for path in found), first=first.stem)
    return found[0].stem


def local_trees(here: Path, home: Path, quicklisp: str | None) -> list[Path]:
    """Where qlot, ocicl, CLPM and Quicklisp keep systems: a project's own trees before the user's Quicklisp.

    ASDF knows the other places itself (~/common-lisp, ~/.local/share/common-lisp, /usr/share/common-lisp,
    CL_SOURCE_REGISTRY).
    """
    trees = [here / "systems", here / "ocicl", here / ".clpm"]
    named = quicklisp or "~/quicklisp"
    user = home / named[2:] if named.startswith("~/") else here / named
    for root in (here / ".qlot", here / "quicklisp", user):
        trees += [root / "local-projects", *installed_by_quicklisp(root)]
    return [tree for tree in dict.fromkeys(trees) if tree.is_dir()]


def usual_trees(environ: Mapping[str, str], here: Path) -> list[Path]:
    """Where ASDF, Quicklisp, qlot, ocicl and CLPM keep systems, and the directory one is in.

    Source: ASDF manual, "Controlling where ASDF searches for systems".
    """
    home = Path(environ.get("HOME") or "/")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    entries = [entry for entry in environ.get("CL_SOURCE_REGISTRY", "").split(":") if entry.startswith("/")]
    shared = [Path(root, "common-lisp") for root in ("/usr/local/share", "/usr/share")]
    trees = [here, *map(Path, entries), *local_trees(here, home, None)]
    trees += [home / "common-lisp", home / ".sbcl/systems", data / "common-lisp/source"]
    trees += [root / part for root in shared for part in ("source", "systems")]
    return [tree for tree in dict.fromkeys(trees) if tree.is_dir() and tree != Path("/")]


def installed_by_quicklisp(root: Path) -> list[Path]:
    """The release directories in use of every distribution below a Quicklisp root.

    Source: Quicklisp's layout, dists/NAME/installed/releases/*.txt, each naming a directory relative to the root.
    """
    found = []
    for note in sorted(root.glob("dists/*/installed/releases/*.txt")):
        name = note.read_text(encoding="utf-8", errors="replace").strip()
        if name:
            found.append(root / name)
    return found


def embedded_files(project: Project) -> list[tuple[str, Path]]:
    """Name inside → path, for every file that the project's `embed` patterns match. Raises BadOption, NoSuchFile."""
    found: dict[str, Path] = {}
    for pattern in project.embed:
        if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            reason = "a pattern names files below the project's directory, such as static/*"
            raise BadOption(option="--embed", value=pattern or '""', reason=reason, command="build")
        matched = [path for path in sorted(project.directory.glob(pattern)) if path.is_file()]
        if not matched:
            raise NoSuchFile(file=pattern, reason="no file matches this pattern of --embed")
        _require_utf8(tuple(matched))
        found |= {path.relative_to(project.directory).as_posix(): path for path in matched}
    return list(found.items())


def _near(word: str, words: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word, list(words), n=1)
