"""Having a source: from the store, from a directory of the user's, or from one of the places of its pin."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from monolisp.errors import MonolispError, NoSuchFile, SourceOffline, SourceUnavailable, Truncated, WrongChecksum
from monolisp.process import Runner
from monolisp.progress import Progress
from monolisp.sources import debian
from monolisp.sources.download import Downloader, download
from monolisp.sources.pin import DebianPlace, LocalPlace, Pin, Place, PlaceFailed
from monolisp.store import Store, sha256_file

KIND = "sources"
_FAILURES = (PlaceFailed, Truncated, WrongChecksum)


@dataclass(frozen=True)
class FetchOptions:
    """What the user allows: `offline` forbids the network, `source_dir` is looked into before it.

    `environ` is the environment that apt takes PATH and proxies from; nothing else of it is passed on.
    """

    offline: bool = False
    source_dir: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


def obtain(
    pin: Pin, store: Store, options: FetchOptions, runner: Runner, progress: Progress, download: Downloader = download
) -> Path:
    """The archive of `pin`: a file in the store with the sha256 of one of its places.

    Raises SourceUnavailable, SourceOffline, WrongChecksum, NoSuchFile (--source-dir), DiskFull, StoreUnusable.
    """
    found = from_store(pin, store, progress)
    if found is None and options.source_dir is not None:
        found = _from_directory(pin, store, options.source_dir)
    if found is None:
        found = _from_places(pin, store, options, _Means(runner, options.environ, progress, download))
    return found


@dataclass(frozen=True)
class _Means:
    """What it takes to reach a place."""

    runner: Runner
    environ: Mapping[str, str]
    progress: Progress
    download: Downloader

    def fetch(self, place: Place, into: Path) -> None:
        if isinstance(place, DebianPlace):
            self.progress.note(f"fetching {place.file} ({place.size / 1e6:.1f} MB) with apt-get")
            debian.fetch_source(place, into, self.runner, self.environ)
            _verify(into / place.file, place, f"{place.file} of {place}")
        elif isinstance(place, LocalPlace):
            raise PlaceFailed("it is neither in the store nor in a directory that --source-dir names")
        else:
            self.download(place, into, self.progress)


def _verify(path: Path, place: Place, name: str | None = None) -> None:
    """Check the sha256 of a file, called `name` before a person. Raises WrongChecksum."""
    found = sha256_file(path)
    if found != place.sha256:
        raise WrongChecksum(file=name or path, found=found, expected=place.sha256)


def keep_file(path: Path, place: Place, store: Store) -> Path:
    """Put a file that somebody has, the archive of `place`, into the store. Raises WrongChecksum."""
    return _keep(place, store, partial(_copy, path, place))


def from_store(pin: Pin, store: Store, progress: Progress) -> Path | None:
    """The archive of `pin`, if the store has it; one that is damaged goes."""
    for place in pin.places:
        path = store.path(KIND, place.sha256) / place.file
        try:
            _verify(path, place)
            store.note_use(path.parent)
            return path
        except FileNotFoundError:
            continue
        except WrongChecksum:
            progress.note(f"{path} was damaged, and is fetched again")
            _forget(place, store)
    return None


def _forget(place: Place, store: Store) -> None:
    for entry in store.entries(KIND):
        if entry.digest == place.sha256:
            store.remove(entry)


def _from_directory(pin: Pin, store: Store, directory: Path) -> Path | None:
    """A file of the directory with a pinned checksum, whatever its name. A wrong file of the right name is an error."""
    try:
        found = _match(pin, directory)
    except OSError as error:
        raise NoSuchFile(file=error.filename or directory, reason=f"--source-dir: {error.strerror}") from error
    return None if found is None else _keep(found[1], store, partial(_copy, *found))


def _match(pin: Pin, directory: Path) -> tuple[Path, Place] | None:
    names, sizes = {place.file for place in pin.places}, {place.size for place in pin.places}
    present = [path for path in sorted(directory.iterdir()) if path.is_file()]
    candidates = [path for path in present if path.name in names or path.stat().st_size in sizes]
    for candidate in candidates:
        found = sha256_file(candidate)
        for place in pin.places:
            if place.sha256 == found:
                return candidate, place
    for place in pin.places:
        if (directory / place.file).is_file():
            _verify(directory / place.file, place)
    return None


def _copy(source: Path, place: Place, into: Path) -> None:
    shutil.copyfile(source, into / place.file)
    _verify(into / place.file, place)


def _keep(place: Place, store: Store, make: Callable[[Path], None]) -> Path:
    return store.entry(KIND, place.sha256, make) / place.file


def _from_places(pin: Pin, store: Store, options: FetchOptions, means: _Means) -> Path:
    if options.offline:
        raise SourceOffline(source=pin, places=" or ".join(map(str, pin.places)), file=pin.files)
    failures: list[tuple[Place, Exception]] = []
    for place in pin.places:
        try:
            return _keep(place, store, partial(means.fetch, place))
        except _FAILURES as error:
            failures.append((place, error))
            means.progress.note(f"{place}: {_reason(error)}")
    for _, failure in failures:
        if isinstance(failure, WrongChecksum):
            raise failure
    attempts = "\n       ".join(f"{place}: {_reason(failure)}" for place, failure in failures)
    raise SourceUnavailable(source=pin, attempts=attempts, file=pin.files)


def _reason(failure: Exception) -> str:
    """Why a place gave nothing, on one line."""
    if isinstance(failure, MonolispError):
        return f"{failure.what_text} ({failure.why_text})"
    return str(failure)
