"""What an executable says of itself, as values and as JSON. No path, user or host is in it.

The JSON has a schema, schemas/monolisp-provenance-1.schema.json. Keys that are not known are passed over, and those
that are missing take their defaults, so that records of other versions of monolisp can be read.
"""

from __future__ import annotations

import collections.abc
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

SCHEMA = "monolisp-provenance-1"

# What kinds of programs there are: Lisp files, an ASDF system, or a core that a program saved itself.
SCRIPT, SYSTEM, DUMP = "script", "system", "dump"


@dataclass(frozen=True)
class Archive:
    """Where a source can be had, and the sha256 of the archive there. Any of several will do."""

    place: str
    sha256: str


@dataclass(frozen=True)
class File:
    """A file that was read, by its path below the project's directory, or one that is embedded, by its name there. Of
    those in directories that were named by options, `name` begins with the directory's number: "0/foo.h"."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Maker:
    """monolisp itself: `source` is the sha256 of what of it goes into programs."""

    version: str = ""
    source: str = ""


@dataclass(frozen=True)
class Sbcl:
    """`features` are those that it was built with (+) or without (-), `toolchain` the digest of what its toolchain is
    made from, `core` the sha256 of the core in it, which programs begin from."""

    version: str = ""
    features: tuple[str, ...] = ()
    licence: str = ""
    sources: tuple[Archive, ...] = ()
    toolchain: str = ""
    core: str = ""

    @property
    def spec(self) -> str:
        """Version and features, as `--sbcl` and pins know them."""
        return " ".join([self.version, *self.features])


@dataclass(frozen=True)
class Compiler:
    """The C compiler, and the libc that it brings."""

    name: str = ""
    version: str = ""
    libc: str = ""
    libc_version: str = ""
    libc_licence: str = ""


@dataclass(frozen=True)
class Library:
    """A foreign library: `recipe` is the sha256 of its recipe, `names` are those by which the program asks for it. An
    archive of the user's has neither recipe nor sources; its sha256 is `archive`."""

    name: str
    version: str = ""
    licence: str = ""
    recipe: str = ""
    sources: tuple[Archive, ...] = ()
    names: tuple[str, ...] = ()
    archive: str = ""


@dataclass(frozen=True)
class System:
    """An ASDF system: `source` is the hash of its definition and of all files that the definition names (see
    gather.tree_hash), `revision` git's, where the definition is in a git checkout."""

    name: str
    version: str = ""
    licence: str = ""
    author: str = ""
    source: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Program:
    """What was built and how: `inputs` are scripts, or one system, as `kind` says; `options` those that change the
    result, by their names in monolisp.toml, `before` what --eval and --load say; `features` is *features* as saved,
    `modules` SBCL's contribs; `files` what was read below the project's directory, `embedded` what was put inside,
    `locks` the files that pin dependencies; `archives`, `headers` and `recipes` what --with-archive, --include and
    --recipes brought in; `certificates` the sha256 of the certificates inside."""

    name: str = ""
    kind: str = ""
    inputs: tuple[str, ...] = ()
    entry: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    embedded: tuple[File, ...] = ()
    locks: tuple[File, ...] = ()
    revision: str = ""
    archives: tuple[File, ...] = ()
    headers: tuple[File, ...] = ()
    recipes: tuple[File, ...] = ()
    certificates: str = ""


@dataclass(frozen=True)
class Provenance:
    """Everything: `target` is the triple, `epoch` SOURCE_DATE_EPOCH of the build in seconds since 1970."""

    monolisp: Maker = field(default_factory=Maker)
    program: Program = field(default_factory=Program)
    target: str = ""
    sbcl: Sbcl = field(default_factory=Sbcl)
    compiler: Compiler = field(default_factory=Compiler)
    libraries: tuple[Library, ...] = ()
    systems: tuple[System, ...] = ()
    epoch: int = 0


def as_json(provenance: Provenance) -> dict[str, Any]:
    """What `inspect --json` prints and the executable holds."""
    return {"schema": SCHEMA, **asdict(provenance)}


def encode(provenance: Provenance) -> bytes:
    """The same values are the same bytes. Not compressed: compressors differ from one machine to the next."""
    return json.dumps(as_json(provenance), ensure_ascii=False, separators=(",", ":")).encode()


def decode(text: bytes) -> Provenance:
    """Raises ValueError, saying what is wrong."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from error
    if not isinstance(told, dict) or not str(told.get("schema", "")).startswith("monolisp-provenance-"):
        raise ValueError("it is no record of monolisp's")
    found: Provenance = _read(Provenance, told, "the record")
    return found


@cache
def _types(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value`, from JSON, as `kind`: a dataclass, str, int, tuple or Mapping. Raises ValueError."""
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is no object")
        told = {item.name: item for item in fields(kind) if item.name in value}
        given = {name: _read(_types(kind)[name], value[name], f"{where}: {name}") for name in told}  # type: ignore[arg-type]
        try:
            return kind(**given)  # type: ignore[operator]
        except TypeError as error:
            raise ValueError(f"{where} lacks a name") from error
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_read(get_args(kind)[0], item, where) for item in value)
    if get_origin(kind) is collections.abc.Mapping and isinstance(value, dict):
        return {name: _read(str, item, f"{where}: {name}") for name, item in value.items()}
    if kind in (str, int) and type(value) is kind:
        return value
    raise ValueError(f"{where} is of the wrong type")
