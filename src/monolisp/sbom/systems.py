"""Where the ASDF systems in an executable are on this machine: the same files count, or a directory that is named.

Builds note in the store where their systems were (noted.py). Elsewhere definitions of the right name are looked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monolisp.provenance.gather import tree_hash
from monolisp.provenance.git import revision_of
from monolisp.provenance.record import System
from monolisp.sbom.noted import noted_system
from monolisp.sbom.texts import Text, texts_in_directory
from monolisp.store import Store

_DPKG, _DOC = Path("/var/lib/dpkg/info"), Path("/usr/share/doc")
_DEPTHS = ("", "*/", "*/*/")


@dataclass(frozen=True)
class Found:
    """A system's definition, and whether its files are the same as those in the executable."""

    definition: Path
    same: bool


def find_system(system: System, store: Store, named: Sequence[Path], usual: Sequence[Path]) -> Found | None:
    """Where `system` is: where a build found it, below the directories `named`, or in the usual places. Those of other
    content count only where they were named."""
    noted = noted_system(system, store)
    if noted is not None and tree_hash(*noted) == system.source:
        return Found(noted[0], True)
    files = None if noted is None else [os.path.relpath(path, noted[0].parent) for path in noted[1]]
    candidates = [path for folder in named for path in _below(folder, system)]
    for path in candidates:
        if _same(path, system, files):
            return Found(path, True)
    if candidates:
        return Found(candidates[0], False)
    near = (path for folder in usual for depth in _DEPTHS for path in sorted(folder.glob(depth + _file(system))))
    return next((Found(path, True) for path in near if _same(path, system, files)), None)


def texts_of_system(found: Found) -> list[Text]:
    """The licences beside its definition, or where the definition of what it is part of lies; else what Debian's
    package says. Raises OSError."""
    folder = found.definition.resolve().parent
    for place in (folder, *([folder.parent] if _is_part_of(folder.parent, found.definition) else [])):
        if texts := texts_in_directory(place):
            return texts
    return _debians(found.definition)


def _file(system: System) -> str:
    """The file that defines it: foo.asd for foo/tests as well. A name is no pattern."""
    return re.sub(r"([*?[])", r"[\1]", system.name.partition("/")[0]) + ".asd"


def _below(folder: Path, system: System) -> Iterator[Path]:
    yield from sorted(folder.rglob(_file(system)))


def _same(definition: Path, system: System, files: Sequence[str] | None) -> bool:
    """By git's revision, or by the hash of the same files: those of the build's note, or else all Lisp files there."""
    if system.revision and revision_of(definition) == system.revision:
        return True
    folder = definition.parent
    listed = [folder / name for name in files] if files is not None else sorted(folder.rglob("*.lisp"))
    return tree_hash(definition, listed) == system.source


def _is_part_of(folder: Path, definition: Path) -> bool:
    """Whether a directory holds a definition whose name begins this one's: foo.asd, above test/foo-test.asd."""
    return any(definition.stem.startswith(path.stem) for path in folder.glob("*.asd"))


def _debians(definition: Path) -> list[Text]:
    """What the Debian package that a file is of says of its licence. Source: Debian policy, 12.5; dpkg's file lists."""
    if not definition.is_relative_to("/usr/share") or not _DPKG.is_dir():
        return []
    line = f"\n{definition}\n"
    for listing in sorted(_DPKG.glob("*.list")):
        if line in "\n" + listing.read_text(encoding="utf-8", errors="replace"):
            package = listing.stem.partition(":")[0]
            copyright_file = _DOC / package / "copyright"
            if copyright_file.is_file():
                text = copyright_file.read_text(encoding="utf-8", errors="replace").strip("\n")
                return [Text(f"copyright of Debian's package {package}", text)]
    return []
