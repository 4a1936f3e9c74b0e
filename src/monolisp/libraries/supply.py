"""What is linked into a program besides SBCL and libc: libraries from recipes, archives of the user's or of a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from monolisp.errors import BadElf, SymbolClash, UnlinkableArchive
from monolisp.libraries.library import Library
from monolisp.linkage.names import names_in
from monolisp.store import digest_of, sha256_file
from monolisp.target import Target


@dataclass(frozen=True)
class Supply:
    """Archives that answer to one name. `digest` says what is in them, `include` are directories of headers, and
    `before_libc` those archives whose functions go before libc's of the same name."""

    label: str
    archives: tuple[Path, ...]
    names: Mapping[str, str]
    digest: str
    include: tuple[Path, ...] = ()
    recipe: str | None = None
    before_libc: tuple[Path, ...] = ()

    def behind_libc(self) -> Supply:
        """The same for a program that does not ask for it itself: libc's functions stay."""
        archives = tuple(path for path in self.archives if path not in self.before_libc)
        names = {name: kind for path in archives for name, kind in names_in(path).items()}
        return replace(
            self, archives=archives, names=names, before_libc=(), digest=digest_of(["behind libc", self.digest])
        )


@dataclass(frozen=True)
class Foreign:
    """What a loaded program needs of the foreign world: `supplies` in link order, each name by which it asked for a
    library → the label of what answered (empty: libc, or nothing on purpose), the symbols (or patterns) that shall be
    found by name while it runs, those that were looked up when it was built, and certificates (PEM) that go inside."""

    supplies: tuple[Supply, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    exports: tuple[str, ...] = ()
    looked_up: tuple[str, ...] = ()
    certificates: bytes | None = None


def library_supply(library: Library) -> Supply:
    include = (library.include,)
    return Supply(
        str(library), library.archives, library.names, library.digest, include, library.name, library.before_libc
    )


def archive_supply(path: Path, label: str, include: Sequence[Path], target: Target) -> Supply:
    """The user's own archive or object file. Raises UnlinkableArchive."""
    try:
        content = path.open("rb")
    except OSError as error:
        raise UnlinkableArchive(file=path, reason=error.strerror or error, target=target.triple) from error
    with content as stream:
        magic = stream.read(20)
    if magic[:4] == b"\x7fELF" and magic[16:18] != b"\1\0":
        kind = "a shared library" if magic[16:18] == b"\3\0" else "a program"
        raise UnlinkableArchive(file=path, reason=f"it is {kind}, which only a loader can use", target=target.triple)
    try:
        names = names_in(path)
    except BadElf as error:
        raise UnlinkableArchive(file=path, reason=error.why_text, target=target.triple) from error
    if magic[:4] == b"\x7fELF" and int.from_bytes(magic[18:20], "little") != target.elf_machine:
        raise UnlinkableArchive(file=path, reason="it is for another processor", target=target.triple)
    return Supply(label, (path,), names, sha256_file(path), tuple(include))


def require_distinct(names: Sequence[str], supplies: Sequence[Supply]) -> None:
    """Each name that Lisp needs may come from one library only. Raises SymbolClash."""
    for name in names:
        definers = [supply for supply in supplies if name in supply.names]
        if len(definers) > 1:
            raise SymbolClash(name=name, first=definers[0].label, second=definers[1].label)
