"""A record read as what it was made from: files to lay out in a directory, and the project that they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from monolisp.errors import NotRebuildable
from monolisp.project import Before, Project
from monolisp.provenance.options import archives_of, fields_of
from monolisp.provenance.record import SCRIPT, SYSTEM, File, Program, Provenance

Folder = Literal["project", "archives", "headers", "recipes"]


@dataclass(frozen=True)
class Wanted:
    """A file that a record names, and where it goes."""

    folder: Folder
    file: File

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.file.name}"


def wanted_files(program: Program) -> list[Wanted]:
    """Every file that a program was made from but for its systems, each path once."""
    groups: dict[Folder, tuple[File, ...]] = {
        "project": (*program.files, *program.locks, *program.embedded),
        "archives": tuple(_numbered_archives(program)),
        "headers": program.headers,
        "recipes": program.recipes,
    }
    found = [Wanted(folder, file) for folder, files in groups.items() for file in files]
    return list({wanted.path: wanted for wanted in found}.values())


def _numbered_archives(program: Program) -> Iterator[File]:
    """Two archives may have one name."""
    yield from (File(f"{number}/{file.name}", file.sha256) for number, file in enumerate(program.archives))


def project_of(record: Provenance, root: Path, output: Path) -> Project:
    """The project whose files are laid out below `root`, built as the record says. Raises NotRebuildable."""
    program, folder = record.program, root / "project"
    names = [name for name, _ in archives_of(program.options)]
    if names != [file.name for file in program.archives]:
        raise NotRebuildable(name=program.name, reason="its record does not say which archives were linked in")
    return Project(
        directory=folder,
        files=tuple(folder / name for name in program.inputs) if program.kind == SCRIPT else (),
        system=program.inputs[0] if program.kind == SYSTEM else None,
        entry=program.entry or None,
        output=output,
        sbcl=record.sbcl.spec,
        before=tuple(_before(text, folder, program) for text in program.before),
        archives=tuple(
            (root / "archives" / file.name, soname)
            for file, (_, soname) in zip(_numbered_archives(program), archives_of(program.options), strict=True)
        ),
        include=_directories("headers", program.headers, root),
        recipes=_directories("recipes", program.recipes, root),
        **fields_of(program.options),
    )


def _before(text: str, folder: Path, program: Program) -> Before:
    kind, _, value = text.partition(" ")
    if kind == "eval":
        return "eval", value
    if kind == "load":
        return "load", str(folder / value)
    raise NotRebuildable(name=program.name, reason=f"its record has a step of a kind that is not known here: {kind}")


def _directories(folder: Folder, files: tuple[File, ...], root: Path) -> tuple[Path, ...]:
    """The numbered directories, also those between them that nothing is in."""
    numbers = [int(number) for number in (file.name.partition("/")[0] for file in files) if number.isdecimal()]
    return tuple(root / folder / str(number) for number in range(max(numbers, default=-1) + 1))


def require_rebuildable(record: Provenance) -> None:
    """What a record must say before anything is looked for. Raises NotRebuildable."""
    program = record.program
    reason = None
    if program.kind not in (SCRIPT, SYSTEM):
        reason = "it was saved by a Lisp that was loaded by hand, and how is not known"
    elif not program.inputs or (program.kind == SYSTEM and len(program.inputs) != 1):
        reason = "its record does not say what was built"
    names = [*program.inputs] if program.kind == SCRIPT else []
    names += [text.removeprefix("load ") for text in program.before if text.startswith("load ")]
    unsafe = [name for name in (*names, *(wanted.file.name for wanted in wanted_files(program))) if not is_safe(name)]
    if unsafe:
        reason = f"its record names a file outside its directory: {unsafe[0]}"
    if reason is not None:
        raise NotRebuildable(name=program.name or "this", reason=reason)


def is_safe(name: str) -> bool:
    """Whether a name, joined to a directory, stays below it."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
