"""SBCL's runtime object, made ready for our links."""

from __future__ import annotations

from collections.abc import Sequence

from monolisp.elf.layout import SHT_SYMTAB
from monolisp.elf.reader import STB_GLOBAL, STB_WEAK, Elf
from monolisp.errors import LinkFailed


def weakened(content: bytes, names: Sequence[str], name: str) -> bytes:
    """The 64-bit object `content` with the functions `names` made weak, so that a definition of ours wins.

    Only the binding of the symbol changes (ELF-64, st_info). Raises LinkFailed when a name is not defined there.
    """
    changed = bytearray(content)
    wanted = set(names)
    elf = Elf.parse(memoryview(content), name)
    table = next(section for section in elf.sections if section.type == SHT_SYMTAB)
    for place, symbol in enumerate(elf.symbols(), start=1):
        if symbol.name in wanted and symbol.shndx != 0 and symbol.bind in (STB_GLOBAL, STB_WEAK):
            changed[table.offset + place * table.entsize + 4] = (STB_WEAK << 4) | symbol.type
            wanted.discard(symbol.name)
    if wanted:
        raise LinkFailed(reason=f"{name} does not define {', '.join(sorted(wanted))}: another SBCL than the pin says?")
    return bytes(changed)
