"""Options of a project as an executable's record has them, and back: only what changes the result and was said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from monolisp.project import AS, Project

# Name in monolisp.toml → field of a project. A list has commas between its items; those in them have a backslash.
_SIZES = {"heap": "heap", "stack": "stack", "build-heap": "build_heap"}
_LISTS = {
    "features": "features",
    "embed": "embed",
    "export": "exports",
    "libraries": "libraries",
    "absent": "absent",
}
_ARCHIVES = "archives"
_FLAGS = {"embed-ca": "embed_ca", "debugger": "debugger"}


def options_of(project: Project) -> dict[str, str]:
    """What changes the result and is not as it is without being said, by its name in monolisp.toml."""
    plain = Project(project.directory)
    sizes = {name: getattr(project, field) for name, field in _SIZES.items()}
    found = {name: size for name, size in sizes.items() if size != getattr(plain, _SIZES[name])}
    found |= {name: _joined(getattr(project, field)) for name, field in _LISTS.items()}
    found[_ARCHIVES] = _joined([f"{path.name}{AS}{soname}" for path, soname in project.archives])
    found |= {name: "true" if getattr(project, field) else "" for name, field in _FLAGS.items()}
    return {name: value for name, value in found.items() if value}


def fields_of(options: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a project that its options mean, but for its archives. What is not known is passed over."""
    found: dict[str, Any] = {field: options[name] for name, field in _SIZES.items() if name in options}
    found |= {field: split(options[name]) for name, field in _LISTS.items() if name in options}
    return found | {field: True for name, field in _FLAGS.items() if options.get(name) == "true"}


def archives_of(options: Mapping[str, str]) -> list[tuple[str, str]]:
    """File name and soname of each archive, in their order."""
    pairs = [item.partition(AS) for item in split(options.get(_ARCHIVES, ""))]
    return [(file, soname) for file, _, soname in pairs]


def _joined(items: Sequence[str]) -> str:
    return ",".join(re.sub(r"([\\,])", r"\\\1", item) for item in items)


def split(text: str) -> tuple[str, ...]:
    """The items of a list."""
    if not text:
        return ()
    return tuple(re.sub(r"\\(.)", r"\1", item) for item in re.findall(r"(?:^|,)((?:\\.|[^\\,])*)", text, re.DOTALL))
