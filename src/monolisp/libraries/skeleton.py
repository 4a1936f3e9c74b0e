"""`monolisp library new`: a recipe to begin with, from an archive's address, a file, or a Debian source package."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from monolisp.errors import NoSuchFile, SourceUnavailable
from monolisp.sources.debian import find_source
from monolisp.sources.download import download_unpinned
from monolisp.sources.fetch import FetchOptions, obtain
from monolisp.sources.pin import DebianPlace, Pin, PlaceFailed, UpstreamPlace
from monolisp.sources.unpack import unpack
from monolisp.store import sha256_file
from monolisp.toolchain.machine import Machine

_SUITE = "trixie"
_ARCHIVE = re.compile(r"(?P<name>.+?)[-_]v?(?P<version>\d[\w.+~]*?)(\.orig)?\.(tar\.\w+|tgz|tbz2|zip)$")


def skeleton(source: str, machine: Machine) -> str:
    """The text of a recipe for `source`: `https://…`, a file, or `debian:PACKAGE[/SUITE]`.

    Raises NoSuchFile, SourceUnavailable and what unpacking raises.
    """
    with tempfile.TemporaryDirectory(prefix="monolisp-") as folder:
        work = Path(folder)
        place, archive = _found(source, work, machine)
        unpack(archive, work / "source")
        return recipe_text(place, work / "source")


def _found(source: str, work: Path, machine: Machine) -> tuple[UpstreamPlace | DebianPlace, Path]:
    if source.startswith("debian:"):
        package, _, suite = source.removeprefix("debian:").partition("/")
        (work / "apt").mkdir()
        try:
            place: UpstreamPlace | DebianPlace
            place = find_source(package, suite or _SUITE, work / "apt", machine.runner, machine.environ)
        except PlaceFailed as error:
            raise SourceUnavailable(source=source, attempts=error.reason, file=package) from error
        pin = Pin(package, "0", "?", (place,))
        options = FetchOptions(machine.offline, machine.source_dir, machine.environ)
        return place, obtain(pin, machine.store, options, machine.runner, machine.progress)
    if re.match(r"https?://.*/[^/]+$", source):
        try:
            place = download_unpinned(source, work, machine.progress)
        except PlaceFailed as error:
            raise SourceUnavailable(source=source, attempts=error.reason, file="it") from error
        return place, work / place.file
    path = Path(source)
    if not path.is_file():
        raise NoSuchFile(file=source, reason="name an address (https://…), an archive, or debian:PACKAGE")
    return UpstreamPlace(f"https://example.org/{path.name}", path.name, sha256_file(path), path.stat().st_size), path


def recipe_text(place: UpstreamPlace | DebianPlace, tree: Path) -> str:
    """A recipe for the unpacked source `tree` of `place`; what a person must say is marked TODO."""
    found = _ARCHIVE.match(place.file)
    name = (place.package if isinstance(place, DebianPlace) else found["name"] if found else "TODO").lower()
    version = found["version"] if found else "TODO"
    plain = name.removeprefix("lib")
    lines = [
        'summary = "TODO: what it is for"',
        f'sonames = ["lib{plain}"]',
        f"headers = {_quoted(_headers(tree, plain))}",
        f"packages = {_quoted(sorted(path.name.split('.')[0] for path in tree.glob('*.pc.in')))}",
        f'archives = ["lib{plain}.a"]',
        "seconds = 30",
        "",
        "[source]",
        f'name = "{name}"',
        f'version = "{version}"',
        f'licence = "TODO: {", ".join(_licences(tree)) or "its licence"}"',
        "",
        *_place_lines(place),
        "",
        "[build]",
        *_build_lines(tree),
    ]
    return "\n".join(lines)


def _place_lines(place: UpstreamPlace | DebianPlace) -> list[str]:
    if isinstance(place, DebianPlace):
        first = [f'debian = "{place.package}"', f'version = "{place.version}"', f'suite = "{place.suite}"']
        first.append(f'file = "{place.file}"')
    else:
        first = [f'url = "{place.url}"']
    return ["[[source.place]]", *first, f'sha256 = "{place.sha256}"', f"size = {place.size}"]


def _headers(tree: Path, name: str) -> list[str]:
    return sorted({path.name for path in (*tree.glob("*.h"), *tree.glob("include/*.h")) if name in path.name.lower()})


def _licences(tree: Path) -> list[str]:
    return sorted(path.name for path in tree.iterdir() if re.match(r"(LICEN[CS]E|COPYING)", path.name, re.IGNORECASE))


def _build_lines(tree: Path) -> list[str]:
    if (tree / "configure").is_file():
        return ['system = "autotools"', "configure = []"]
    if (tree / "Makefile").is_file():
        step = '[[build.step]]\nrun = ["make", "-j{jobs}", "install", "PREFIX={prefix}", "DESTDIR={destdir}"]'
        return ['system = "steps"', "", step]
    return ['system = "compile"', 'sources = ["*.c"]', 'headers = ["*.h"]']


def _quoted(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
