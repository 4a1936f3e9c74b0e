"""The door to remote stores: s3://, https://, file:// and whatever else fsspec knows.

Every call ends within a time that depends on how much it moves: a server that stalls costs seconds, not a build.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from monolisp.errors import BadOption, RemoteExtraMissing

_MOST_RECORD = 1 << 16
_PIECE = 1 << 20
T = TypeVar("T")


class Unreachable(Exception):
    """A remote store that does not answer as it should; says why on one line."""


@dataclass(frozen=True)
class Patience:
    """Seconds for any answer, and the least bytes a second that an archive may come with."""

    answer: float = 10.0
    slowest: int = 500_000

    def limit(self, size: int) -> float:
        return self.answer + size / self.slowest


# Nothing is kept from an earlier look. S3 asks no more than twice: whoever stalls is left alone.
_S3 = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 1}}}
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {**_S3, "skip_instance_cache": True, "use_listings_cache": False},
    "http": {"skip_instance_cache": True},
    "https": {"skip_instance_cache": True},
}


class Place:
    """One remote store, by its address."""

    def __init__(self, url: str, patience: Patience = Patience()) -> None:
        self.url = url.rstrip("/")
        self._patience = patience

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            fsspec = import_module("fsspec")
        except ImportError as error:
            raise RemoteExtraMissing(module="fsspec") from error
        try:
            protocol = fsspec.core.split_protocol(self.url)[0] or "file"
            system, root = fsspec.core.url_to_fs(self.url, **_OPTIONS.get(protocol, {}))
            return system, root
        except ImportError as error:
            raise RemoteExtraMissing(module=str(error)) from error
        except ValueError as error:
            raise BadOption(option="--remote", value=self.url, reason=error, command="build") from error

    def read(self, name: str) -> bytes | None:
        """A small file; None if there is none. Raises Unreachable."""
        system, root = self._opened
        return _bounded(self._patience.answer, lambda: _read(system, f"{root}/{name}"))

    def download(self, name: str, size: int, into: Path) -> None:
        """A file that should have `size` bytes. Raises Unreachable."""
        system, root = self._opened
        _bounded(self._patience.limit(size), lambda: _download(system, f"{root}/{name}", size, into))

    def upload(self, file: Path, name: str) -> None:
        """Raises Unreachable."""
        system, root = self._opened
        path = f"{root}/{name}"

        def put() -> None:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            # A file system shows a file before it is whole; elsewhere it appears when it is.
            beside = f"{path}.part" if system.protocol in ("file", ("file", "local")) else path
            system.put_file(str(file), beside)
            if beside != path:
                system.mv(beside, path)

        _bounded(self._patience.limit(file.stat().st_size), put)


def _bounded(seconds: float, action: Callable[[], T]) -> T:
    """The result of `action`, which is left behind when it takes longer. Raises Unreachable."""
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(action())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if not failures:
        raise Unreachable(f"no answer within {seconds:.0f} seconds")
    said = str(failures[0]).strip().splitlines()
    raise Unreachable(said[0] if said else type(failures[0]).__name__) from failures[0]


def _read(system: Any, path: str) -> bytes | None:
    try:
        with system.open(path, "rb") as stream:
            content: bytes = stream.read(_MOST_RECORD + 1)
    except FileNotFoundError as error:
        if error.__cause__ is not None and _is_gone(error.__cause__):
            raise error.__cause__ from error
        return None
    if len(content) > _MOST_RECORD:
        raise ValueError("a record of it is absurdly long")
    return content


def _is_gone(cause: BaseException) -> bool:
    """Over HTTP fsspec says that a file is not there also of a server that is gone, breaks off, or has a fault."""
    status = getattr(cause, "status", None)
    if isinstance(status, int) and status > 0:
        return status >= 500
    broken_off = type(cause).__module__.startswith("aiohttp")
    return broken_off or (isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError))


def _download(system: Any, path: str, size: int, into: Path) -> None:
    received = 0
    with system.open(path, "rb", block_size=0) as source, into.open("wb") as target:
        while piece := source.read(_PIECE):
            received += len(piece)
            if received > size:
                raise ValueError("an archive of it is longer than its record says")
            target.write(piece)
