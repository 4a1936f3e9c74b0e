"""Unit tests may not touch the world: processes and the network raise there."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

SLOW = "slow"
UNIT = Path(__file__).parent / "unit"


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "of the slow tests only the Nth of M parts: the gate takes turns through them"
    parser.addoption("--turn", metavar="N/M", help=text)


def pytest_configure() -> None:
    """A shell starts what it runs in the background with Ctrl-C ignored, and programs hand that down; tests do not."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out that are another turn's."""
    turn = config.getoption("--turn")
    if turn is None:
        return
    number, parts = map(int, turn.split("/"))
    slow = [item for item in items if item.get_closest_marker(SLOW)]
    left_out = {id(item) for place, item in enumerate(slow) if place % parts != number % parts}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


@pytest.fixture(autouse=True)
def no_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests/unit, starting a process or opening a connection is a failure."""
    if not request.path.is_relative_to(UNIT):
        return

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"a unit test touched the world: {arguments} {options}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
