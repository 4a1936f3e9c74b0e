"""Settings: what monolisp.toml and .sbcl-version may say. Pure values and their text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from monolisp.errors import BadProjectFile, UnknownKey

FILE = "monolisp.toml"
VERSION_FILE = ".sbcl-version"


@dataclass(frozen=True)
class Settings:
    """Everything monolisp.toml may say; its field names are the legal keys (with - for _). None: not said.

    `sbcl_features` are features of SBCL itself, with a sign; `features` are added to *features*.

    `heap`, `stack`, `build_heap` are sizes such as "4GiB"; `embed` are file patterns relative to the project file.
    `libraries` are recipes, `archives` archives ("libfoo.a" or "libfoo.a as libfoo.so.1"), `absent` libraries to do
    without, `recipes` directories of further recipes, `export` C symbols that the program looks up by name.
    """

    system: str | None = None
    files: tuple[str, ...] | None = None
    entry: str | None = None
    output: str | None = None
    sbcl: str | None = None
    sbcl_features: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    heap: str | None = None
    stack: str | None = None
    build_heap: str | None = None
    embed: tuple[str, ...] | None = None
    registries: tuple[str, ...] | None = None
    quicklisp: str | None = None
    debugger: bool | None = None
    libraries: tuple[str, ...] | None = None
    archives: tuple[str, ...] | None = None
    include: tuple[str, ...] | None = None
    recipes: tuple[str, ...] | None = None
    absent: tuple[str, ...] | None = None
    export: tuple[str, ...] | None = None
    embed_ca: bool | None = None
    store_remote: tuple[str, ...] | None = None
    store_keys: tuple[str, ...] | None = None
    store_shared: tuple[str, ...] | None = None


# Tables of monolisp.toml: store.remote is the setting store_remote.
_TABLES = ("store",)


def read_settings(path: Path) -> Settings:
    """The settings of a project file. Raises BadProjectFile, UnknownKey."""
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadProjectFile(file=path, reason=error) from error
    return parse_settings(table, str(path))


def parse_settings(table: Mapping[str, Any], file: str) -> Settings:
    known = {_key(field.name): field for field in fields(Settings)}
    said: dict[str, Any] = {}
    for key, value in _flat(table):
        if key not in known:
            near = get_close_matches(key, known, n=1)
            suggestion = f"did you mean {near[0]}?" if near else "remove it"
            raise UnknownKey(file=file, key=key, known=", ".join(known), suggestion=suggestion)
        said[known[key].name] = _checked(key, value, str(known[key].type), file)
    return Settings(**said)


def _key(name: str) -> str:
    """How a setting is called in the file."""
    first, _, rest = name.partition("_")
    return f"{first}.{rest}" if first in _TABLES else name.replace("_", "-")


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if key == "matrix":
            continue  # it is another command's: matrix/plan.py
        if key in _TABLES and isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _checked(key: str, value: Any, wanted: str, file: str) -> Any:
    """`wanted` is the annotation of the field: str, bool or a tuple of str."""
    if wanted.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise BadProjectFile(file=file, reason=f'{key} must be a list of strings, such as ["…"]')
    expected = bool if wanted.startswith("bool") else str
    if not isinstance(value, expected):
        raise BadProjectFile(file=file, reason=f"{key} must be a {'true or false' if expected is bool else 'string'}")
    return value


def merged(stronger: Settings, weaker: Settings) -> Settings:
    """What the command line says, else what the file says."""
    said = {field.name: getattr(stronger, field.name) for field in fields(Settings)}
    return replace(weaker, **{name: value for name, value in said.items() if value is not None})


def version_file(here: Path) -> str | None:
    """The SBCL version that the nearest file .sbcl-version says, in the directory `here` or above it."""
    for folder in (here, *here.parents):
        path = folder / VERSION_FILE
        if path.is_file():
            words = path.read_text(encoding="utf-8").split()
            return words[0] if words else None
    return None
