"""What the linker says, in the user's words; and which names are exported."""

from __future__ import annotations

from monolisp.errors import LinkFailed, MissingInArchive, SymbolClash
from monolisp.link.program import explained, exported

CLASH = """ld.lld: error: duplicate symbol: shared_helper
>>> defined at one.c
>>>            /tmp/one.o:(shared_helper) in archive /w/libone.a
>>> defined at two.c
>>>            /tmp/two.o:(.text+0x0) in archive /w/libtwo.a
"""
UNDEFINED = """ld.lld: error: undefined symbol: elsewhere
>>> referenced by own.c
>>>               own.o:(add) in archive /w/libown.a
ld.lld: error: undefined symbol: other
>>> referenced by own.c
>>>               own.o:(add) in archive /w/libown.a
"""


def test_a_clash() -> None:
    error = explained(CLASH)
    assert isinstance(error, SymbolClash)
    assert error.what_text == "shared_helper is defined by both libone.a and libtwo.a"


def test_what_nothing_defines() -> None:
    error = explained(UNDEFINED)
    assert isinstance(error, MissingInArchive)
    assert "elsewhere, other" in error.what_text
    assert "libown.a" in error.why_text


def test_anything_else_is_shown() -> None:
    error = explained("ld.lld: error: cannot open x\n")
    assert isinstance(error, LinkFailed)
    assert "cannot open x" in str(error)


def test_exports() -> None:
    providers = {"libc": {"puts": "function", "putchar": "function", "environ": "data"}, "own": {"add": "function"}}
    assert exported(["add", "nothing"], providers) == ["add"]
    assert exported(["put*", "ad?"], providers) == ["add", "putchar", "puts"]
    assert exported(["*"], providers) == ["add", "environ", "putchar", "puts"]
    assert exported([], providers) == []
