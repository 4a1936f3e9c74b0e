"""The only door to the network: one file from one address, verified before it gets its name."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from monolisp import __version__
from monolisp.errors import Truncated, WrongChecksum
from monolisp.progress import Progress
from monolisp.sources.pin import PlaceFailed, UpstreamPlace

_CHUNK = 1 << 16
# The longest archive whose pin does not say how long it is, in bytes.
_MOST = 256 << 20
_SECONDS_BETWEEN_NOTES = 5.0


@dataclass(frozen=True)
class Patience:
    """When a connection counts as dead: `silence` in seconds without a byte, `slowest` in bytes a second on average."""

    silence: float = 30.0
    slowest: int = 2000

    def limit(self, size: int) -> float:
        """Seconds that `size` bytes may take in all: a server that drips must not hold a build for ever."""
        return self.silence + size / self.slowest


class Downloader(Protocol):
    def __call__(self, place: UpstreamPlace, into: Path, progress: Progress) -> None: ...


def download(place: UpstreamPlace, into: Path, progress: Progress, patience: Patience = Patience()) -> None:
    """Fetch `place` into the directory `into`; a proxy is taken from http_proxy and https_proxy, as urllib does.

    The file has a temporary name until its size and sha256 are the pinned ones. Raises PlaceFailed, Truncated,
    WrongChecksum, and OSError when the disk will not take it.
    """
    host = urlsplit(place.url).hostname
    size = f" ({_megabytes(place.size)})" if place.size else ""
    progress.note(f"fetching {place.file}{size} from {host}")
    response = _open(place, patience)
    partial = into / f"{place.file}.part"
    with response, partial.open("wb") as stream:
        found = _receive(response, stream.write, place, progress, patience)
    if found != place.sha256:
        raise WrongChecksum(file=place.url, found=found, expected=place.sha256)
    partial.rename(into / place.file)


def download_unpinned(url: str, into: Path, progress: Progress, patience: Patience = Patience()) -> UpstreamPlace:
    """Fetch `url` into the directory `into`, and say what a pin of what came would be. Raises PlaceFailed."""
    file = url.rpartition("/")[2]
    progress.note(f"fetching {file} from {urlsplit(url).hostname}")
    place = UpstreamPlace(url, file, "", 0)
    digest = hashlib.sha256()
    size = 0
    with _open(place, patience) as response, (into / file).open("wb") as stream:
        while chunk := _read(response, place, size, patience):
            stream.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return UpstreamPlace(url, file, digest.hexdigest(), size)


def _open(place: UpstreamPlace, patience: Patience) -> HTTPResponse:
    request = urllib.request.Request(place.url, headers={"User-Agent": f"monolisp/{__version__}"})
    try:
        response: HTTPResponse = _opener().open(request, timeout=patience.silence)
    except urllib.error.HTTPError as error:
        error.close()
        raise PlaceFailed(f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise PlaceFailed(_reason(error, patience)) from error
    return response


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS and nothing else: urllib's own opener would also follow a redirection to FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _receive(
    response: HTTPResponse,
    write: Callable[[bytes], object],
    place: UpstreamPlace,
    progress: Progress,
    patience: Patience,
) -> str:
    """Pass the body on, and say its sha256. What is longer than the pin says is not read to its end."""
    promised, most = response.length, place.size or _MOST
    digest = hashlib.sha256()
    received = 0
    begin = noted = time.monotonic()
    while chunk := _read(response, place, received, patience):
        write(chunk)
        digest.update(chunk)
        received += len(chunk)
        now = time.monotonic()
        if received > most:
            return f"that of a longer file (more than {most} bytes)"
        if now - begin > patience.limit(most):
            raise PlaceFailed(f"too slow: {received} bytes arrived in {now - begin:.0f} seconds")
        if now - noted > _SECONDS_BETWEEN_NOTES:
            noted = now
            total = f" of {_megabytes(place.size)}" if place.size else ""
            progress.note(f"{place.file}: {_megabytes(received)}{total}")
    # Without Content-Length a connection that was cut looks like one that ended: then the pinned size decides.
    expected = place.size if promised is None else promised
    if received < expected:
        raise Truncated(url=place.url, found=received, expected=expected)
    return digest.hexdigest()


def _read(response: HTTPResponse, place: UpstreamPlace, received: int, patience: Patience) -> bytes:
    try:
        return response.read1(_CHUNK)
    except HTTPException as error:
        raise Truncated(url=place.url, found=received, expected=place.size) from error
    except (OSError, ValueError) as error:
        raise PlaceFailed(f"{_reason(error, patience)} after {received} bytes") from error


def _reason(error: Exception, patience: Patience) -> str:
    """What went wrong with a connection, in few words."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {patience.silence:g} seconds"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
