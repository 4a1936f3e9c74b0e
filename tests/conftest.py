"""Unit tests may not touch the world: processes and the network raise there."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

UNIT = Path(__file__).parent / "unit"


@pytest.fixture(autouse=True)
def no_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests/unit, starting a process or opening a connection is a failure."""
    if not request.path.is_relative_to(UNIT):
        return

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"a unit test touched the world: {arguments} {options}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
