"""What of a system's directory goes into a bundle: the files that its definition names, and what lies around them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from monolisp.archive.systems import Definition

_ELF = b"\x7fELF"


def bundled_trees(definitions: Mapping[str, Definition], home: Path) -> dict[str, Path]:
    """Name in the bundle, below systems/ → file.

    Definitions read files that they do not name (a version, a README), and licences are files beside them: so the whole
    directory goes along. Systems of one directory are one tree. Of a directory that is nobody's own (`home`, the root)
    only what definitions name.
    """
    bases: dict[Path, list[str]] = {}
    for name in sorted(definitions):
        bases.setdefault(_base(definitions[name]), []).append(name)
    found: dict[str, Path] = {}
    for base, names in bases.items():
        own = {path for name in names for files in definitions[name].files.values() for path in files if path.is_file()}
        around = _around(base, own) if base not in (home, Path(base.anchor)) else ()
        for path in (*own, *around):
            found[f"{names[0]}/{path.relative_to(base).as_posix()}"] = path
    return dict(sorted(found.items()))


def _base(definition: Definition) -> Path:
    """The directory that holds a definition and all files that it names."""
    folders = [path.parent for files in definition.files.values() for path in files]
    return Path(os.path.commonpath([definition.path.parent, *folders]))


def _around(base: Path, own: Iterable[Path]) -> Iterator[Path]:
    """Everything in a directory but what is hidden, compiled or linked, and the projects of others below it."""
    mine = {path.parent for path in own}
    for folder, names, files in os.walk(base):
        names[:] = [name for name in sorted(names) if name[0] != "." and not _of_others(Path(folder, name), mine)]
        yield from (path for name in sorted(files) if _is_source(path := Path(folder, name), base))


def _of_others(folder: Path, mine: set[Path]) -> bool:
    return folder not in mine and any(path.suffix == ".asd" for path in _listed(folder))


def _listed(folder: Path) -> Sequence[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()


def _is_source(path: Path, base: Path) -> bool:
    """A file whose content is below the directory, too, and that nobody compiled."""
    try:
        if path.suffix == ".fasl" or not path.is_file() or not path.resolve().is_relative_to(base.resolve()):
            return False
        with path.open("rb") as stream:
            return stream.read(len(_ELF)) != _ELF
    except OSError:
        return False
