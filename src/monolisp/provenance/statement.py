"""What an executable is made of, for others: an in-toto statement with SLSA's provenance of a build as its predicate.

It says what the record says (record.py), and nothing of when and where: the same executable, the same statement.
Source: in-toto attestation framework 1.1, spec/v1; SLSA 1.0, provenance (https://slsa.dev/provenance/v1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monolisp.inputs import BESIDE
from monolisp.provenance.note import intact
from monolisp.provenance.record import Archive, Compiler, File, Library, Provenance, System
from monolisp.publish import write_beside
from monolisp.store import sha256_file

# docs/provenance.md describes them.
BUILD_TYPE = "urn:monolisp:build:1"
BUILDER = "urn:monolisp:builder:unspecified"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

Json = dict[str, Any]


def statement_about(path: Path, builder: str = BUILDER) -> bytes:
    """The statement about an executable. Raises as provenance.note.intact."""
    return statement(path.name, sha256_file(path), intact(path), builder)


def write_statement(path: Path, content: bytes, output: Path | None = None) -> Path:
    """Write a statement about the executable `path`, or its envelope, beside it or to `output`; returns where."""
    return write_beside(content, output or path.with_name(path.name + BESIDE["attestation"]), "attest", path)


def statement(name: str, sha256: str, told: Provenance, builder: str = BUILDER) -> bytes:
    """The statement about the file `name` with that sha256, which says `told` of itself; `builder` is the URI of
    whatever ran the build. The same values are the same bytes."""
    program, version = told.program, told.monolisp.version
    external = {
        "kind": program.kind,
        "inputs": list(program.inputs),
        "entry": program.entry,
        "before": list(program.before),
        "options": dict(program.options),
        "target": told.target,
    }
    internal = {
        "sourceDateEpoch": told.epoch,
        "toolchain": told.sbcl.toolchain,
        "sbclFeatures": list(told.sbcl.features),
        "features": list(program.features),
        "modules": list(program.modules),
    }
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": external,
        "internalParameters": internal,
        "resolvedDependencies": list(_dependencies(told)),
    }
    predicate = {
        "buildDefinition": definition,
        "runDetails": {"builder": {"id": builder, "version": {"monolisp": version} if version else {}}},
    }
    whole = {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=True).encode("ascii") + b"\n"


def _dependencies(told: Provenance) -> Iterator[Json]:
    """Everything that went in, in the order of the record."""
    yield _resource("monolisp", {"sha256": told.monolisp.source}, role="build tool", version=told.monolisp.version)
    yield from _sources("SBCL", told.sbcl.version, told.sbcl.licence, told.sbcl.sources, "compiler")
    yield from _compiler(told.compiler)
    for library in told.libraries:
        yield from _library(library)
    yield from map(_system, told.systems)
    program = told.program
    yield from _files(program.files, "file", program.revision)
    yield from _files(program.embedded, "embedded file")
    yield from _files(program.locks, "lock")
    yield from _files(program.headers, "header")
    yield from _files(program.recipes, "recipe")


def _compiler(told: Compiler) -> Iterator[Json]:
    """zig comes as a Python package, which pip compares with its index: the record has no digest of it."""
    yield _resource(told.name, {}, role="C compiler", version=told.version)
    yield _resource(told.libc, {}, role="libc", version=told.libc_version, licence=told.libc_licence)


def _resource(name: str, digest: Mapping[str, str], uri: str = "", **annotations: str) -> Json:
    """A resource descriptor, without what is empty."""
    told: Json = {"name": name}
    if uri:
        told["uri"] = uri
    digests = {algorithm: value for algorithm, value in digest.items() if value}
    if digests:
        told["digest"] = digests
    notes = {key: value for key, value in annotations.items() if value}
    if notes:
        told["annotations"] = notes
    return told


def _sources(name: str, version: str, licence: str, archives: Sequence[Archive], role: str) -> Iterator[Json]:
    """One for each place that a source may have come from: which of them it was, the record does not say."""
    choice = f"one of {len(archives)}" if len(archives) > 1 else ""
    for archive in archives:
        uri, place = (archive.place, "") if "://" in archive.place else ("", archive.place)
        digest = {"sha256": archive.sha256}
        yield _resource(name, digest, uri, role=role, version=version, licence=licence, place=place, choice=choice)


def _library(library: Library) -> Iterator[Json]:
    if library.archive:
        yield _resource(library.name, {"sha256": library.archive}, role="static library", version=library.version)
    yield from _sources(library.name, library.version, library.licence, library.sources, "library")
    if library.recipe:
        yield _resource(library.name, {"sha256": library.recipe}, role="recipe")


def _system(system: System) -> Json:
    """The hash of a system is the one that in-toto calls dirHash (Go's Hash1)."""
    digest = {"dirHash": system.source, "gitCommit": system.revision}
    return _resource(system.name, digest, role="system", version=system.version, licence=system.licence)


def _files(files: Iterable[File], role: str, revision: str = "") -> Iterator[Json]:
    for file in files:
        yield _resource(file.name, {"sha256": file.sha256}, role=role, revision=revision)
