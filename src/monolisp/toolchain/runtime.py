"""SBCL's runtime object, made ready for our links."""

from __future__ import annotations

from collections.abc import Sequence

from monolisp.elf.reader import STB_GLOBAL, STB_WEAK, Elf
from monolisp.errors import LinkFailed

# Where in a symbol's record its binding and type are, in bytes (System V gABI, chapter 4).
_INFO = {32: 12, 64: 4}


def weakened(content: bytes, names: Sequence[str], name: str) -> bytes:
    """The object `content` with the functions `names` made weak, so that a definition of ours wins.

    Only the binding of the symbol changes (st_info). Raises LinkFailed when a name is not defined there.
    """
    changed = bytearray(content)
    wanted = set(names)
    elf = Elf.parse(memoryview(content), name)
    info = _INFO[elf.header.bits]
    for symbol in elf.symbols():
        if symbol.name in wanted and symbol.shndx != 0 and symbol.bind in (STB_GLOBAL, STB_WEAK):
            changed[symbol.offset + info] = (STB_WEAK << 4) | symbol.type
            wanted.discard(symbol.name)
    if wanted:
        raise LinkFailed(reason=f"{name} does not define {', '.join(sorted(wanted))}: another SBCL than the pin says?")
    return bytes(changed)
