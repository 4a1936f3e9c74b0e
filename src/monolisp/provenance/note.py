"""The section of an executable that holds its provenance, and the seal over the executable in it.

The section is the magic, a sha256, and JSON (record.py). The sha256 is over everything that the kernel loads, the core
and the JSON, section by section, so that it holds after `strip` as before. It finds damage, and forgery by those who do
not know of it; against others, sign the file.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monolisp.elf.layout import PT_LOAD, SHT_NOBITS
from monolisp.elf.reader import Elf, Section, open_elf
from monolisp.errors import DamagedProvenance, ForgedProvenance, NoProvenance
from monolisp.provenance.record import Provenance, decode, encode

SECTION = "monolisp.provenance"
_CORE = "lisp.core"
_MAGIC = b"MONOLISP"
_SEAL = hashlib.sha256().digest_size
_HEAD = len(_MAGIC) + _SEAL
_ALLOC = 2
_MOST = 1 << 24
_PIECE = 1 << 20


@dataclass(frozen=True)
class Inspected:
    """What a file says of itself; `sealed` is true when it is the file that it says this of."""

    provenance: Provenance
    sealed: bool


def section(provenance: Provenance) -> bytes:
    """What goes into an executable; its seal is still to be set (see sealing)."""
    return _MAGIC + bytes(_SEAL) + encode(provenance)


@contextmanager
def sealing(path: Path) -> Iterator[None]:
    """Set the seal of `path`: it is computed beside what is done in the block, which must not change the file, and
    written behind it."""
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(_seal_of, path)
        yield
        place, seal = found.result()
    with path.open("r+b") as stream:
        stream.seek(place + len(_MAGIC))
        stream.write(seal)


def inspect(path: Path) -> Inspected:
    """Read what `path` says of itself, and compare. Raises NoProvenance, DamagedProvenance, NoSuchFile, Unreadable,
    BadElf."""
    with open_elf(path) as elf:
        own = _own(elf, path)
        head = elf.bytes_at(own.offset, _HEAD, "its provenance")
        text = elf.bytes_at(own.offset + _HEAD, own.size - _HEAD, "its provenance")
        told = _told(elf)
    try:
        provenance = decode(text)
    except ValueError as error:
        raise DamagedProvenance(file=path, reason=str(error)) from error
    return Inspected(provenance, _seal(path, told, text) == head[len(_MAGIC) :])


def intact(path: Path) -> Provenance:
    """What `path` says of itself, if it is still what it was. Raises ForgedProvenance, and what inspect() raises."""
    found = inspect(path)
    if not found.sealed:
        raise ForgedProvenance(file=path)
    return found.provenance


def _own(elf: Elf, path: Path) -> Section:
    own = elf.section(SECTION)
    if own is None or own.type == SHT_NOBITS:
        raise NoProvenance(file=path)
    if not _HEAD <= own.size <= _MOST:
        raise DamagedProvenance(file=path, reason=f"it has {own.size} bytes")
    if elf.bytes_at(own.offset, len(_MAGIC), "its provenance") != _MAGIC:
        raise DamagedProvenance(file=path, reason="it does not begin as provenance does")
    return own


@dataclass(frozen=True)
class _Told:
    """What of a file is sealed: facts of its headers, and sections by name."""

    facts: bytes
    sections: Sequence[Section]


def _told(elf: Elf) -> _Told:
    facts = struct.pack("<QQ", elf.header.machine, elf.header.entry)
    for part in elf.segments:
        if part.type == PT_LOAD:
            facts += struct.pack("<QQQQ", part.flags, part.vaddr, part.filesz, part.memsz)
    sections = [part for part in elf.sections if part.flags & _ALLOC and part.type != SHT_NOBITS]
    core = elf.section(_CORE)
    return _Told(facts, [*sections, *([core] if core else [])])


def _seal_of(path: Path) -> tuple[int, bytes]:
    """Where the section is, and the seal that it should have."""
    with open_elf(path) as elf:
        own = _own(elf, path)
        text = elf.bytes_at(own.offset + _HEAD, own.size - _HEAD, "its provenance")
        told = _told(elf)
    return own.offset, _seal(path, told, text)


def _seal(path: Path, told: _Told, text: bytes) -> bytes:
    """Read, not mapped: what is mapped counts as memory of ours, and ends the process where the file gets shorter. The
    buffer is shared memory, so that a fork meanwhile does not copy it."""
    seal = hashlib.sha256(told.facts)
    with path.open("rb", buffering=0) as stream, mmap.mmap(-1, _PIECE) as buffer, memoryview(buffer) as view:
        for part in told.sections:
            seal.update(f"{part.name}\0{part.size}\0".encode("utf-8", "surrogateescape"))
            _read(stream.fileno(), part.offset, part.size, seal, view)
    seal.update(text)
    return seal.digest()


def _read(file: int, begin: int, size: int, seal: hashlib._Hash, view: memoryview) -> None:
    while size > 0:
        count = os.preadv(file, [view[: min(size, len(view))]], begin)
        if count == 0:
            return
        seal.update(view[:count])
        begin, size = begin + count, size - count
