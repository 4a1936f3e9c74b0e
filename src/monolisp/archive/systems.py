"""Where the Lisp systems of a record are: definitions that could be theirs, and whose files are as they were."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monolisp.archive.places import files_below
from monolisp.lisp.job import output_translations, sexp
from monolisp.lisp.session import asked, fasl_area, headers_digest
from monolisp.provenance.gather import tree_hash
from monolisp.provenance.record import System
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain

_QUERY = Path(__file__).parent / "definitions.lisp"
# One Lisp is started for each of as many definitions of one name.
_MOST = 8


@dataclass(frozen=True)
class Definition:
    """A file that defines systems: `files` are those of each system, as ASDF names them; `differing` are the systems
    whose files are not what they were. Both are empty until ASDF was asked."""

    path: Path
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    differing: tuple[str, ...] = ()


def primary(name: str) -> str:
    """The system whose name a definition's file has. Source: ASDF manual, "The defsystem grammar", system names."""
    return name.partition("/")[0]


def candidates(systems: Sequence[System], trees: Iterable[Path]) -> dict[str, list[Path]]:
    """Primary name → the definitions of that name below `trees`, each once, in the order of the trees."""
    found: dict[str, dict[Path, None]] = {primary(system.name): {} for system in systems}
    names = {f"{name}.asd": name for name in found}
    for tree in trees if names else ():
        for path in files_below(tree, names):
            found[names[path.name]][path.resolve()] = None
    return {name: list(paths) for name, paths in found.items()}


@dataclass(frozen=True)
class Asker:
    """Asks ASDF, in the build runtime, what definitions name; `work` is a directory for it."""

    toolchain: Toolchain
    machine: Machine
    work: Path

    def chosen(self, systems: Sequence[System], found: Mapping[str, Sequence[Path]]) -> dict[str, Definition]:
        """Primary name → the definition whose systems have the files that they had, or else the first one."""
        wanted: dict[str, list[System]] = {}
        for system in systems:
            wanted.setdefault(primary(system.name), []).append(system)
        kept: dict[str, Definition] = {}
        for number in range(min(_MOST, max(map(len, found.values()), default=0))):
            tried = {name: paths[min(number, len(paths) - 1)] for name, paths in found.items() if paths}
            links = {**tried, **{name: one.path for name, one in kept.items() if not one.differing}}
            told = self._files([system.name for system in systems], links)
            for name, path in links.items():
                seen = _compared(path, wanted[name], told)
                if name not in kept or (kept[name].differing and not seen.differing):
                    kept[name] = seen
            if all(not one.differing for one in kept.values()):
                break
        return kept

    def _files(self, names: Sequence[str], links: Mapping[str, Path]) -> dict[str, tuple[Path, ...]]:
        """System → its definition and its files. Raises LispDied."""
        registry, output = self.work / "registry", self.work / "definitions"
        link_definitions(links, registry)
        output.unlink(missing_ok=True)
        form = f"(monolisp-definitions:write-files '{sexp(list(names))} {sexp(output)})"
        fasls = fasl_area(self.machine.store, self.toolchain, headers_digest((), ()))
        env = {
            "CL_SOURCE_REGISTRY": registry_form(registry),
            "ASDF_OUTPUT_TRANSLATIONS": output_translations(fasls),
        }
        options: list[str | Path] = ["--load", _QUERY, "--eval", form]
        place = "while asking ASDF for the files of systems"
        asked(options, self.toolchain, self.machine, place, self.work, env, [output])
        return dict(_parsed(output.read_bytes()))


def _parsed(content: bytes) -> Iterable[tuple[str, tuple[Path, ...]]]:
    """What definitions.lisp writes."""
    for row in content.removesuffix(b"\0\0").split(b"\0\0"):
        name, *paths = map(os.fsdecode, row.split(b"\0"))
        yield name, tuple(map(Path, paths))


def _compared(path: Path, systems: Sequence[System], told: Mapping[str, tuple[Path, ...]]) -> Definition:
    files = {system.name: told.get(system.name, ()) for system in systems}
    differing = tuple(
        system.name
        for system in systems
        if not files[system.name] or tree_hash(files[system.name][0], files[system.name][1:]) != system.source
    )
    return Definition(path, files, differing)


def link_definitions(links: Mapping[str, Path], registry: Path) -> None:
    """Make the directory `registry`, where ASDF finds these definitions and no other: it follows links."""
    registry.mkdir(exist_ok=True)
    for path in registry.iterdir():
        path.unlink()
    for name, path in links.items():
        (registry / f"{name}.asd").symlink_to(path)


def registry_form(registry: Path) -> str:
    """CL_SOURCE_REGISTRY for that directory alone."""
    return f"(:source-registry (:directory {sexp(f'{registry}/')}) :ignore-inherited-configuration)"
