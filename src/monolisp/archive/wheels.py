"""Installed Python packages as wheels again: monolisp itself, what it needs, zig among it, which brings musl.

Source: PyPA specifications, "Recording installed projects" and "Binary distribution format". What is installed is
compared with the sums that its RECORD says. Nothing is compressed: the bundle is.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import monolisp

OWN = "monolisp"
# What an installer wrote, or Python; a wheel has none of it.
_NOT_IN_WHEELS = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json"})
_TIME = (1980, 1, 1, 0, 0, 0)
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Entry:
    """A file of a wheel: its name there, and where it is; `sum` is its sha256 as RECORD writes it, if it does."""

    name: str
    path: Path
    sum: str = ""


def needed(name: str = OWN) -> list[str]:
    """A package and all that it requires and that is installed, by name; extras are left out."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop(0)
        key = _normal(one)
        if key in found:
            continue
        try:
            requires = distribution(one).requires or []
        except PackageNotFoundError:
            continue  # for another system, by its marker
        found[key] = None
        plain = [text for text in requires if not re.search(r";.*\bextra\s*==", text)]
        waiting += [match[0] for text in plain if (match := _REQUIREMENT.match(text))]
    return list(found)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def write_wheel(name: str, folder: Path) -> Path:
    """Write the wheel of an installed package into `folder`. Raises ValueError, saying why it cannot be had."""
    package = distribution(name)
    stem, files = _entries(package)
    wheel = folder / f"{stem}-{_tag(package)}.whl"
    rows = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for entry in sorted(files, key=lambda entry: (".dist-info/" in entry.name, entry.name)):
            content = entry.path.read_bytes()
            found = _sum(content)
            if entry.sum and entry.sum != found:
                raise ValueError(f"{entry.path} is not what was installed")
            executable = bool(entry.path.stat().st_mode & 0o111)
            archive.writestr(_info(entry.name, executable), content)
            rows.append(f"{_field(entry.name)},sha256={found},{len(content)}\n")
        record = f"{stem}.dist-info/RECORD"
        archive.writestr(_info(record, False), "".join([*rows, f"{record},,\n"]))
    return wheel


def _info(name: str, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    return info


def _field(name: str) -> str:
    """A field of CSV."""
    return '"' + name.replace('"', '""') + '"' if re.search(r'[",]', name) else name


def _sum(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _entries(package: Distribution) -> tuple[str, list[Entry]]:
    """The wheel's name and version, and its files."""
    if package.files is None:
        raise ValueError("it has no list of its files")
    scripts = {point.name for point in package.entry_points if point.group in ("console_scripts", "gui_scripts")}
    stem, found = "", []
    for file in package.files:
        path = Path(str(file.locate()))
        if file.parts[0].endswith(".dist-info"):
            stem = file.parts[0].removesuffix(".dist-info")
        if file.name in _NOT_IN_WHEELS or "__pycache__" in file.parts or file.suffix == ".pth":
            continue
        known = file.hash.value if file.hash and file.hash.mode == "sha256" else ""
        if file.parts[0] != "..":
            found.append(Entry(file.as_posix(), path, known))
        elif file.name not in scripts:
            found.append(Entry(f"*/scripts/{file.name}", path, known))
    if not stem:
        raise ValueError("it has no .dist-info directory")
    found = [Entry(entry.name.replace("*", f"{stem}.data", 1), entry.path, entry.sum) for entry in found]
    if _normal(package.name) == OWN and not any(entry.name.startswith(f"{OWN}/") for entry in found):
        found += _own()
    return stem, found


def _own() -> Iterator[Entry]:
    """monolisp's own files, where it is installed from a directory that is still worked on."""
    folder = Path(monolisp.__file__).parent
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield Entry(f"{OWN}/{path.relative_to(folder).as_posix()}", path)


def _tag(package: Distribution) -> str:
    """The end of a wheel's file name: Python, ABI and platform tags."""
    told = re.findall(r"^Tag: *(\S+)-(\S+)-(\S+) *$", package.read_text("WHEEL") or "", re.MULTILINE)
    if not told:
        raise ValueError("it does not say which Python it is for")
    return "-".join(".".join(_parts(column)) for column in zip(*told, strict=True))


def _parts(column: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(part for tags in column for part in tags.split(".")))
