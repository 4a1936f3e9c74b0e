"""The toolchain as a value: what it is made from, where it is, who defines which name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from monolisp.emulator import emulator
from monolisp.errors import NoSuchSbcl, ToolMissing
from monolisp.linkage.sources import c_source
from monolisp.store import Entry, Store, digest_of, remove_tree
from monolisp.target import Target, targets
from monolisp.toolchain.compression import ARCHIVE, zstd_pin, zstd_text
from monolisp.toolchain.ingredients import C_FILES, GENERATORS
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.version import Linking, find_version, normal, version_text
from monolisp.toolchain.zig import pin, pin_text

KIND = "toolchains"
# What `monolisp sbcl` starts (face/face.py); each says in face.json which toolchain it is of.
FACES = ("faces", "face-cores")
_MADE_WITH = ("programs", "drivers", "fasls", "images", "libraries", "compilers", "zig", *FACES)


@dataclass(frozen=True)
class Toolchain:
    path: Path
    digest: str
    version: str
    target: Target

    @property
    def build_runtime(self) -> Path:
        return self.path / "sbcl"

    @property
    def core(self) -> Path:
        return self.path / "sbcl.core"

    @property
    def runtime_object(self) -> Path:
        return self.path / "runtime.o"

    @property
    def libc(self) -> tuple[Path, list[Path]]:
        """The start file, and libc's archives in link order."""
        order = ("libc.a", "libzigc.a", "libcompiler_rt.a")
        lib = self.path / "lib"
        return lib / "crt1.o", [lib / name for name in order if (lib / name).exists()]

    @property
    def compression(self) -> Path:
        """The archive that reads and writes compressed cores."""
        return self.path / "lib" / ARCHIVE

    @cached_property
    def linking(self) -> Linking:
        return find_version(self.version).linking

    @cached_property
    def names(self) -> Mapping[str, Mapping[str, str]]:
        """Who defines what, in link order: label → name → function or data."""
        found: Mapping[str, Mapping[str, str]] = json.loads((self.path / "names.json").read_bytes())
        return found


def toolchain_digest(version: str, target: Target) -> str:
    """The address of a toolchain: a hash over everything that goes into it. Raises NoSuchSbcl."""
    ours = {name: (Path(__file__).parents[1] / name).read_text(encoding="utf-8") for name in GENERATORS}
    c_files = {name: c_source(name) for name in C_FILES}
    return digest_of(["toolchain", version_text(version), target.inputs, pin_text(), zstd_text(), ours, c_files])


def find_toolchain(version: str, target: Target, store: Store) -> tuple[Toolchain, bool]:
    """The toolchain for an SBCL version and target, and whether it is in the store already."""
    digest = toolchain_digest(version, target)
    path = store.path(KIND, digest)
    return Toolchain(path, digest, normal(version), target), path.is_dir()


def ensure_toolchain(wanted: Toolchain, machine: Machine) -> Toolchain:
    """Have the toolchain in the store: fetch sources and build (minutes) when it is not there."""

    def make(directory: Path) -> None:
        from monolisp.sources.fetch import FetchOptions, obtain
        from monolisp.toolchain.build import Workshop, build
        from monolisp.toolchain.host import find_host_lisp
        from monolisp.toolchain.zig import find_zig

        require_tools(machine.path)
        emulated = emulator(wanted.target, machine.path)
        version = find_version(wanted.version)
        options = FetchOptions(machine.offline, machine.source_dir, machine.environ)
        archive, zstd = (
            obtain(source, machine.store, options, machine.runner, machine.progress)
            for source in (version.source, zstd_pin())
        )
        host = find_host_lisp(machine.store, options, machine.runner, machine.path)
        logs = machine.store.area("logs", f"toolchain-{wanted.digest}")
        for log in logs.iterdir():
            log.unlink()
        work = directory / "work"
        work.mkdir()
        zig = find_zig(machine.store, machine.path)
        shop = Workshop(work, wanted.digest, version, wanted.target, zig, host, machine.runner, logs, emulated)
        build(shop, archive, zstd, directory, machine.progress)
        remove_tree(work)
        _describe(wanted, directory)

    machine.store.entry(KIND, wanted.digest, make)
    return wanted


def require_tools(path: str) -> None:
    """Miss what SBCL's build needs before the first minute of it, not after. Raises ToolMissing."""
    from shutil import which

    for tool in ("sh", "make"):
        if which(tool, path=path) is None:
            raise ToolMissing(tool=tool, detail="building SBCL needs it")


def _describe(toolchain: Toolchain, directory: Path) -> None:
    """What a person who looks into the store, and `toolchain list`, are told."""
    made_of = {"zig": pin()["version"], "libc": pin()["libc"]}
    facts = {"version": toolchain.version, "target": toolchain.target.triple, **made_of}
    (directory / "toolchain.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def listed(store: Store) -> list[dict[str, str | int]]:
    """Every toolchain of the store: digest, version, target, zig, libc, size in bytes, path."""
    rows = []
    for entry in store.entries(KIND):
        facts: dict[str, str | int] = json.loads((entry.path / "toolchain.json").read_text(encoding="utf-8"))
        rows.append({"digest": entry.digest, **facts, "size": entry.size, "path": str(entry.path)})
    return rows


def _toolchain_of(entry: Entry) -> str:
    """The digest of the toolchain that a face is of; none for what does not say so."""
    facts = entry.path / "face.json"
    return str(json.loads(facts.read_bytes())["toolchain"]) if facts.is_file() else ""


def _is_current(row: Mapping[str, str | int]) -> bool:
    """Whether a toolchain that is listed is the one that this monolisp would build."""
    target = targets().get(str(row["target"]))
    try:
        return target is not None and toolchain_digest(str(row["version"]), target) == row["digest"]
    except NoSuchSbcl:
        return False


def prune(store: Store, everything: bool) -> list[Entry]:
    """Remove toolchains that no pin of this monolisp leads to (all, if `everything`), and what was built with them."""
    kept = set() if everything else {str(row["digest"]) for row in listed(store) if _is_current(row)}
    doomed = [entry for entry in store.entries(KIND) if entry.digest not in kept]
    if everything:
        doomed += [entry for kind in _MADE_WITH for entry in store.entries(kind)]
    else:
        doomed += [entry for entry in store.entries("fasls") if entry.digest not in kept]
        faces = [entry for kind in FACES for entry in store.entries(kind)]
        doomed += [entry for entry in faces if _toolchain_of(entry) not in kept]
    for entry in doomed:
        store.remove(entry)
    return doomed
