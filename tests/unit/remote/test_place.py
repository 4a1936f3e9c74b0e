"""What fsspec says of files over HTTP that it cannot have."""

from __future__ import annotations

import pytest

from monolisp.remote.place import _is_gone


class Answer(Exception):
    """As aiohttp's ClientResponseError: an answer with a status."""

    def __init__(self, status: int) -> None:
        self.status = status


class BrokenOff(Exception):
    """As aiohttp's ServerDisconnectedError, which is no OSError."""

    __module__ = "aiohttp.client_exceptions"


@pytest.mark.parametrize(
    ("cause", "gone"),
    [
        (Answer(404), False),
        (Answer(403), False),
        (Answer(500), True),
        (Answer(503), True),
        (BrokenOff(), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (FileNotFoundError(), False),
        (KeyError("another library's"), False),
    ],
)
def test_whether_a_server_is_gone_or_a_file_is_not_there(cause: BaseException, gone: bool) -> None:
    assert _is_gone(cause) is gone
