"""Which archives hold the source of a part: pins again, of what a record says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from monolisp.errors import NoSuchRecipe, NoSuchSbcl, SourceOffline
from monolisp.libraries.recipe import Cookbook
from monolisp.provenance.record import Archive
from monolisp.sources.fetch import KIND, FetchOptions, obtain
from monolisp.sources.pin import LocalPlace, Pin, Place, UpstreamPlace
from monolisp.store import Store
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.version import find_version

_FILE = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def pin_of(name: str, version: str, archives: Sequence[Archive], store: Store, book: Cookbook) -> Pin | None:
    """A pin with these archives, by the places that this monolisp knows for them; None if none can be had."""
    known = _known(name, version, book)
    places = [_place(archive, known, store) for archive in archives]
    found = tuple(place for place in places if place is not None)
    return Pin(name, version, "-", found) if found else None


def archive_of(pin: Pin, machine: Machine, directories: Sequence[Path]) -> Path:
    """The archive of a pin: from the store, one of `directories`, or its places. Raises what obtain does."""
    for directory in directories:
        with suppress(SourceOffline):
            here = FetchOptions(True, directory, machine.environ)
            return obtain(pin, machine.store, here, machine.runner, machine.progress)
    options = FetchOptions(machine.offline, None, machine.environ)
    return obtain(pin, machine.store, options, machine.runner, machine.progress)


def _known(name: str, version: str, book: Cookbook) -> Mapping[str, Place]:
    """The places of this monolisp's own pin of that name, by sha256."""
    pin = None
    with suppress(NoSuchSbcl, NoSuchRecipe):
        pin = find_version(version).source if name == "sbcl" else book.find(name).source
    return {place.sha256: place for place in pin.places} if pin else {}


def _place(archive: Archive, known: Mapping[str, Place], store: Store) -> Place | None:
    """A record comes from a file that anybody may have made: what it says is checked as a pin's words are."""
    if not _SHA256.fullmatch(archive.sha256):
        return None
    if archive.sha256 in known:
        return known[archive.sha256]
    folder = store.path(KIND, archive.sha256)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _FILE.fullmatch(path.name):
            return LocalPlace(path.name, archive.sha256, path.stat().st_size)
    file = archive.place.rpartition("/")[2]
    if re.fullmatch(r"https?://[^/\s]+/\S*", archive.place) and _FILE.fullmatch(file):
        return UpstreamPlace(archive.place, file, archive.sha256, 0)
    return None
