"""The bundle: one file with everything that an executable was made from, the same bytes for the same things."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monolisp.archive.gathering import Gathered, find_files, gather, pins_of
from monolisp.archive.project import project_of, require_rebuildable
from monolisp.archive.readme import readme
from monolisp.archive.rebuild import Original, Search, lay_out
from monolisp.archive.systems import Asker, Definition
from monolisp.archive.trees import bundled_trees
from monolisp.archive.wheels import needed, write_wheel
from monolisp.errors import SourcesGone
from monolisp.libraries.recipe import Cookbook
from monolisp.libraries.wishes import RECIPES
from monolisp.provenance.record import Provenance, as_json
from monolisp.publish import candidate, check_output
from monolisp.stages import Needs, expected
from monolisp.store import sha256_file
from monolisp.store.manifest import NAME as STORE_MANIFEST
from monolisp.store.manifest import paths_in
from monolisp.target import find_target
from monolisp.toolchain.machine import Machine, jobs
from monolisp.toolchain.toolchain import Toolchain, ensure_toolchain, find_toolchain
from monolisp.toolchain.version import find_version, own_pins
from monolisp.trust.checksums import checksums_text

# MANIFEST is what `sha256sum -c` reads.
MANIFEST = "MANIFEST"
RECORD, SUM, README = "record.json", "executable.sha256", "README.txt"
TOOLCHAINS = "toolchains"
_LEVEL = 10
# What takes time, and how many seconds, on two cores.
_STAGES: Needs = {"wheels": (), "compression": ("wheels",)}
_SECONDS = {"wheels": 5.0, "compression": 15.0}
_HOST = """\
#!/bin/sh
# A static SBCL with its core. Its contribs are found, too.
home=$(cd "$(dirname "$0")/../../{}" && pwd) || exit
export SBCL_HOME="$home"
exec "$home/sbcl" --core "$home/sbcl.core" "$@"
"""

Content = bytes | Path
Members = Mapping[str, Content]


@dataclass(frozen=True)
class Bundled:
    """A bundle that was written: `size` in bytes, `parts` is what each directory in it takes before compression, and
    `missing` what could not be put in, with the reason."""

    size: int
    parts: Mapping[str, int]
    missing: tuple[str, ...]


def bundle(
    original: Original,
    search: Search,
    machine: Machine,
    output: Path,
    tell: Callable[[str], None],
    recipes: Sequence[str] = (),
    with_executable: bool = True,
) -> Bundled:
    """Collect everything that `original` was made from, and the sources of `recipes`, in the file `output`.

    Raises NotRebuildable, SourcesGone with all that is missing, OutputUnwritable and its like, and what building a
    toolchain raises.
    """
    record = original.record
    require_rebuildable(record)
    check_output(output, [original.file] if original.file else [])
    search.places.check()
    with machine.store.workspace() as root, candidate(output, "bundle") as beside:
        project = project_of(record, root, root / "built" / record.program.name)
        files = find_files(record, search.places)
        lay_out(files, project, root, record.epoch)
        pins = pins_of(record, recipes, Cookbook((RECIPES, *project.recipes)))
        gathered = gather(record, files, pins, search.places, search.trees, machine)
        toolchain, _ = find_toolchain(project.sbcl or "", find_target(record.target), machine.store)
        ensure_toolchain(toolchain, machine)
        definitions = _definitions(record, gathered, toolchain, machine, root)
        machine.progress.plan("a bundle", expected(_STAGES, _SECONDS))
        with _stage("wheels", machine):
            wheels, missing = _wheels(root, tell)
        found: dict[str, Content] = {
            **{wanted.path: path for wanted, path in gathered.files.items()},
            **{f"systems/{name}": path for name, path in _trees(definitions, machine).items()},
            **{f"sources/{path.name}": path for path in gathered.archives.values()},
            **{f"wheels/{path.name}": path for path in wheels},
            **_toolchains(toolchain, project.sbcl or "", machine),
            **_pins(record),
            **_about(original, project.recipes, missing),
        }
        if with_executable and original.file:
            found[f"executable/{record.program.name}"] = original.file
        with _stage("compression", machine):
            write_archive(found, f"{record.program.name}-bundle", record.epoch, root / "bundle.tar", beside)
        parts = _parts(found)
        beside.rename(output)
    return Bundled(output.stat().st_size, parts, missing)


@contextmanager
def _stage(name: str, machine: Machine) -> Iterator[None]:
    machine.progress.begin(name)
    try:
        yield
    finally:
        machine.progress.end(name)


def _definitions(
    record: Provenance, gathered: Gathered, toolchain: Toolchain, machine: Machine, root: Path
) -> dict[str, Definition]:
    """The systems, whose files must be what they were. Raises SourcesGone."""
    found = Asker(toolchain, machine, root).chosen(record.systems, gathered.definitions)
    differing = [f"the files of {name}, as {one.path} has others" for one in found.values() for name in one.differing]
    if differing:
        seen = ", ".join(dict.fromkeys(str(path) for paths in gathered.definitions.values() for path in paths))
        raise SourcesGone(
            name=record.program.name, count=len(differing), missing="\n       ".join(differing), places=seen
        )
    return found


def _trees(definitions: Mapping[str, Definition], machine: Machine) -> dict[str, Path]:
    return bundled_trees(definitions, Path(machine.environ.get("HOME") or "/"))


def _wheels(root: Path, tell: Callable[[str], None]) -> tuple[list[Path], tuple[str, ...]]:
    """Wheels of monolisp and of what it needs; why some cannot be had."""
    folder = root / "wheels"
    folder.mkdir()
    made, missing = [], []
    for name in needed():
        try:
            made.append(write_wheel(name, folder))
        except (OSError, ValueError) as error:
            missing.append(f"the Python package {name} ({error})")
            tell(f"note: {missing[-1]} cannot be put into the bundle")
    return made, tuple(missing)


def _toolchains(wanted: Toolchain, sbcl: str, machine: Machine) -> dict[str, Content]:
    """The toolchain, and the one for this machine, whose SBCL is a static program: it will run wherever its processor
    does, and can compile SBCL's source."""
    native = ensure_toolchain(find_toolchain(sbcl, find_target(None), machine.store)[0], machine)
    found: dict[str, Content] = {}
    for one in {wanted.digest: wanted, native.digest: native}.values():
        paths = (path for path in paths_in(one.path) if path != STORE_MANIFEST)
        found |= {f"{TOOLCHAINS}/{one.digest}/{path}": one.path / path for path in paths}
    found["host-lisp/bin/sbcl"] = _HOST.format(f"{TOOLCHAINS}/{native.digest}").encode()
    return found


def _pins(record: Provenance) -> dict[str, Content]:
    """The pin of an SBCL that the user pinned: it goes to where `monolisp toolchain new` puts pins."""
    path = own_pins() / f"{record.sbcl.version}.toml"
    return {f"pins/{path.name}": path} if path.is_file() else {}


def _about(original: Original, folders: Sequence[Path], missing: Sequence[str]) -> dict[str, Content]:
    record = original.record
    version = find_version(record.sbcl.spec)
    book = Cookbook((RECIPES, *folders))
    recipes = book.ordered([library.name for library in record.libraries if library.recipe])
    tools = sorted({tool for recipe in recipes for tool in recipe.tools})
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = readme(record, original.sha256, version, os.uname().machine, python, tools, "; ".join(missing))
    told = json.dumps(as_json(record), indent=1, ensure_ascii=False) + "\n"
    return {
        README: text.encode(),
        RECORD: told.encode(),
        SUM: f"{original.sha256}  executable/{record.program.name}\n".encode(),
    }


def _parts(members: Members) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, content in members.items():
        part = name.partition("/")[0]
        sizes[part] = sizes.get(part, 0) + (len(content) if isinstance(content, bytes) else content.stat().st_size)
    return dict(sorted(sizes.items()))


def write_archive(members: Members, top: str, epoch: int, plain: Path, output: Path) -> None:
    """A tar, sorted by name, everything dated `epoch` and root's, compressed with zstd."""
    import zstandard

    sums = {os.fsencode(name): _sum(content) for name, content in members.items()}
    whole = {**members, MANIFEST: checksums_text(sums)}
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(whole):
            _add(tar, f"{top}/{name}", whole[name], epoch)
    # As many threads as there are: how many there are changes nothing, that there are some does.
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=max(1, jobs()), write_content_size=True)
    with plain.open("rb") as source, output.open("wb") as target:
        compressor.copy_stream(source, target, size=plain.stat().st_size)
    plain.unlink()


def _sum(content: Content) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_file(content)


def _add(tar: tarfile.TarFile, name: str, content: Content, epoch: int) -> None:
    info = tarfile.TarInfo(name)
    info.mtime, info.mode = epoch, 0o644
    if isinstance(content, bytes):
        info.size, info.mode = len(content), 0o755 if content.startswith(b"#!") else 0o644
        tar.addfile(info, io.BytesIO(content))
        return
    status = content.stat()
    info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o111 else 0o644
    with content.open("rb") as stream:
        tar.addfile(info, stream)
