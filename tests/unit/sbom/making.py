"""Records and executables to make documents of."""

from __future__ import annotations

from pathlib import Path

from monolisp.provenance.note import SECTION, sealing, section
from monolisp.provenance.record import (
    SYSTEM,
    Archive,
    Compiler,
    Library,
    Maker,
    Program,
    Provenance,
    Sbcl,
    System,
)
from tests.unit.elf.making import LOAD, R, Sec, Seg, X, make_elf

A, B, C = ("ab" * 32, "cd" * 32, "ef" * 32)
URL, DEBIAN = "https://example.org/gmp-6.3.0.tar.xz", "Debian source package gmp 2:6.3.0+dfsg-3 (trixie)"
GMP = Library(
    "gmp",
    "6.3.0",
    "LGPL-3.0-or-later OR GPL-2.0-or-later",
    A,
    (Archive(DEBIAN, B), Archive(URL, A)),
    ("libgmp.so.10",),
)
FULL = Provenance(
    monolisp=Maker("0.1.0", A),
    program=Program("app", SYSTEM, ("app",), "APP::MAIN", {"heap": "4GiB", "embed-ca": "true"}),
    target="aarch64-linux-musl",
    sbcl=Sbcl("2.6.4", (), "public domain, MIT", (Archive("https://example.org/sbcl-2.6.4.tar.bz2", C),), "t"),
    compiler=Compiler("zig", "0.14.1", "musl", "1.2.5", "MIT"),
    libraries=(GMP, Library("libcxx", "of zig", recipe=A), Library("libown.a", archive=B)),
    systems=(
        System("app", "1.2", "GPLv3+", "Ada <ada@example.org>", A, "0" * 40),
        System("app/part", "", "", "", A),
        System("cl-ppcre", "2.1", "BSD", "Edi Weitz", B),
        System("alexandria", "1.0.1", "Public Domain / 0-clause MIT", "", C),
        System("sqlite/tests", "", "MIT", "", C),
    ),
    epoch=1_700_000_000,
)


def executable(path: Path, record: Provenance = FULL) -> Path:
    """A file that says this of itself, and cannot run."""
    sections = [Sec("lisp.core", data=b"core"), Sec(SECTION, data=section(record))]
    path.write_bytes(make_elf([Seg(LOAD, R | X, b"code", 0x400000)], sections))
    with sealing(path):
        pass
    return path
