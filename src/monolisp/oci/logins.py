"""Logins to registries, as docker, podman and skopeo keep them.

oras reads such files, but several in no certain order, and only the last one's credsStore counts; so they are put
together here. Source: docker's config.json (docs.docker.com/reference/cli/docker/login); containers-auth.json(5).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

_TABLES = ("auths", "credHelpers")


def logins_in(files: Sequence[Path]) -> dict[str, object]:
    """What those files say that are there, in the form of one; what is said first counts.

    Raises ValueError for a file that is not of this kind, OSError for one that cannot be read.
    """
    store: object = None
    tables: dict[str, dict[str, object]] = {name: {} for name in _TABLES}
    for path in files:
        if not path.exists():
            continue
        told = _object(json.loads(path.read_bytes()), path)
        store = store or told.get("credsStore")
        for name, table in tables.items():
            tables[name] = {**_object(told.get(name) or {}, path), **table}
    return {**tables, "credsStore": store}


def _object(value: object, path: Path) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not of the form that docker gives it")
    return value
