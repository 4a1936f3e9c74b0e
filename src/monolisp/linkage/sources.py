"""Our C files, as text."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def c_source(name: str) -> str:
    """The content of one of the C files beside this one."""
    return (_FOLDER / name).read_text(encoding="utf-8")
