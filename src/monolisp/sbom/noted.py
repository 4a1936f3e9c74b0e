"""A build notes in the store where its systems were, so that the texts of their licences are found later.

Nothing but the standard library is imported here: every build does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from monolisp.lisp.events import Event
from monolisp.provenance.gather import tree_hash
from monolisp.provenance.record import System
from monolisp.store import Store

AREA = "systems"


def note_systems(events: Sequence[Event], store: Store) -> None:
    """Note where the systems of a build were: their definitions and files, by the hash that their records have."""
    folder = store.area(AREA)
    for event in events:
        if event.name == "sources":
            definition, *files = event.listed("files")
            note = folder / f"{tree_hash(Path(definition), map(Path, files))}.json"
            content = json.dumps({"definition": definition, "files": files})
            if not note.is_file() or note.read_text(encoding="utf-8") != content:
                beside = note.with_suffix(f".{os.getpid()}")
                beside.write_text(content, encoding="utf-8")
                beside.rename(note)


def noted_system(system: System, store: Store) -> tuple[Path, list[Path]] | None:
    """The definition and the files of a system, where a build of this store saw it last."""
    note = store.root / AREA / f"{system.source}.json"
    if not system.source or not note.is_file():
        return None
    told = json.loads(note.read_bytes())
    return Path(told["definition"]), [Path(name) for name in told["files"]]
