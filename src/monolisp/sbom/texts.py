"""Finding the texts of licences: in the archives that programs are built of, in directories, in installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, PathDistribution, distribution
from pathlib import Path, PurePosixPath

from monolisp.sources.unpack import read_members

_NAMES = re.compile(r"(copying|licen[cs]es?|copyright|notice|unlicense|patents)(v?[0-9]+)?([._-].*)?", re.IGNORECASE)
# Programs, and what is no text, may be called so as well.
_ENDINGS = "c|cc|cpp|h|hpp|lisp|py|sh|pl|js|png|svg|gif|html|texi|in|am|m4|sig|asc|rb|go|rs|el|pm"
_NOT = re.compile(rf"\.({_ENDINGS})", re.IGNORECASE)
_MOST = 1 << 20
_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
# Libraries that say their licence at the beginning of a C file, and have no file for it.
IN_COMMENTS = ("sqlite3.h", "zlib.h", "ev.h")


@dataclass(frozen=True)
class Text:
    """The text of a licence, and the name of the file that it is from, below the source's directory."""

    name: str
    text: str


def is_licence(path: str) -> bool:
    """Whether a file is called as licences are: COPYING, LICENSE.txt, or anything in LICENSES/."""
    parts = PurePosixPath(path).parts
    if not parts or _NOT.fullmatch(PurePosixPath(path).suffix):
        return False
    return bool(_NAMES.fullmatch(parts[-1])) or any(part.upper() == "LICENSES" for part in parts[:-1])


def texts_in_archive(archive: Path) -> list[Text]:
    """The licences in a source archive, each text once; where there is no file for it, what the library's header says
    first. Raises BadArchive, ToolMissing, Unreadable."""
    in_comments: list[Text] = []
    found: list[Text] = []
    for name, content in read_members(archive, lambda name: is_licence(name) or _is_header(name), _MOST):
        text = Text(_below_top(name), _decoded(content))
        if is_licence(name):
            found.append(text)
        elif comment := _COMMENT.search(text.text):
            in_comments.append(Text(text.name, _plain(comment[1])))
    return _each_once(found or in_comments[:1])


def texts_in_directory(directory: Path) -> list[Text]:
    """The licences that lie in a directory, or in LICENSES/ there. Raises OSError."""
    every = [*directory.iterdir(), *(directory / "LICENSES").glob("*")]
    paths = [path for path in every if path.is_file() and is_licence(path.relative_to(directory).as_posix())]
    return _each_once(
        Text(path.relative_to(directory).as_posix(), _decoded(path.read_bytes()))
        for path in paths
        if path.stat().st_size <= _MOST
    )


def texts_in_package(package: str, version: str, names: Sequence[str]) -> list[Text]:
    """The licences that an installed Python package has: its files `names`, or those of its metadata. None if the
    package is not installed, or has another version (any will do for "")."""
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return []
    if version and found.version != version:
        return []
    assert isinstance(found, PathDistribution)
    wanted = [f"{package}/{name}" for name in names]
    files = found.files or ()
    paths = [path for path in files if str(path) in wanted or (not wanted and is_licence(str(path)))]
    read = [
        Text(path.as_posix().removeprefix(f"{package}/"), _decoded(Path(path.locate()).read_bytes())) for path in paths
    ]
    return _each_once(Text(text.name.rpartition("licenses/")[2], text.text) for text in read)


def _is_header(name: str) -> bool:
    return PurePosixPath(name).name in IN_COMMENTS and len(PurePosixPath(name).parts) <= 2


def _below_top(name: str) -> str:
    """Archives have one directory at the top, mostly."""
    return name.removeprefix("./").partition("/")[2] or name


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\f", "\n").strip("\n")


def _plain(comment: str) -> str:
    """A C comment without what is in front of its lines."""
    return "\n".join(line.lstrip("* ").rstrip() for line in comment.splitlines()).strip("\n")


def _each_once(texts: Iterable[Text]) -> list[Text]:
    """Those nearest to the top first, then by name; what says the same again is left out, and what says nothing."""
    found: dict[str, Text] = {}
    for text in sorted(texts, key=lambda text: (text.name.count("/"), text.name)):
        if text.text.strip():
            found.setdefault(" ".join(text.text.split()), text)
    return list(found.values())
