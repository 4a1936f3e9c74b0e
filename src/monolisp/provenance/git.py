"""Which git revision a file is of, read from the checkout's own files: git need not be there.

Source: gitrepository-layout(5), gitformat-index(5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def revision_of(file: Path) -> str:
    """The commit that is checked out around `file`, where git keeps that file; else nothing."""
    try:
        for folder in file.resolve().parents:
            if (folder / ".git").exists():
                return _revision(folder / ".git", file.resolve().relative_to(folder))
    except (OSError, UnicodeDecodeError):
        pass
    return ""


def _revision(place: Path, file: Path) -> str:
    """`place` is a directory, or, in a worktree or submodule, a file that names it."""
    if place.is_file():
        place = place.parent / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    # A path in the index has its length before it, in an octet at least, and a null byte behind it.
    path = os.fsencode(file)
    length = bytes([min(len(path), 0xFFF) & 0xFF])
    kept = (place / "index").read_bytes()
    if length + path + b"\0" not in kept and b"\0" + path + b"\0" not in kept:
        return ""
    head = (place / "HEAD").read_text(encoding="utf-8").strip()
    found = _ref(place, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
    return found if _REVISION.fullmatch(found) else ""


def _ref(place: Path, name: str) -> str:
    link = place / "commondir"
    common = place / link.read_text(encoding="utf-8").strip() if link.is_file() else place
    for folder in (place, common):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    packed = common / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")
