"""The C tables that are made for each link. `dl.c`, `program.c` and `tables.h` beside this file say what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from monolisp.linkage.names import Kind
from monolisp.linkage.sizes import Sizes

# Names that are answered by ours, that would pull libc's loader stubs in beside ours, or that are nobody's to call.
OURS = ("dlclose", "dlerror", "dlopen", "dlsym")
WITHHELD = frozenset({"dlinfo", "main", "_start", "_init", "_fini", "__dlsym_time64", "__dlsym_redir_time64"})
# What images of libraries refer to besides (libraries/image.py).
FOR_IMAGES = ("__emutls_get_address", "monolisp_missing")
# What face/face.lisp calls.
FOR_LISP = ("monolisp_kept_name", "monolisp_note")
# In a build runtime these report what they read, and what a core needs: see record.c, dump.c.
RECORDED = {
    "gc_and_save": "monolisp_gc_and_save",
    "open": "monolisp_record_open",
    "sb_opendir": "monolisp_record_opendir",
}


@dataclass(frozen=True)
class Linked:
    """One entry of a linkage table: a foreign name that the core needs; `origin` says what defines it, if anything."""

    name: str
    kind: Kind
    origin: str | None


def everything_table(names: Iterable[str], libraries: Sequence[str] = ()) -> str:
    """The tables of a build runtime: every name can be looked up."""
    wanted = sorted((set(names) - WITHHELD) | {*OURS, *FOR_IMAGES, *FOR_LISP}, key=str.encode)
    return _table({name: RECORDED.get(name, name) for name in wanted}, libraries)


def program_table(
    linkage: Sequence[Linked] | None, sizes: Sizes | None, libraries: Sequence[str] = (), exports: Sequence[str] = ()
) -> str:
    """The tables of a finished executable: its linkage table prelinked in SBCL's order, and what it exports. Without a
    linkage table SBCL looks up among the exports what it needs."""
    prelinked, linkage = int(linkage is not None), linkage or ()
    known = [entry for entry in linkage if entry.origin is not None]
    kinds = [_code(entry) for entry in linkage]
    position = {entry.name: place for place, entry in enumerate(known)}
    values = [f"l{position[entry.name]}" if entry.origin is not None else "0" for entry in linkage]
    return "\n".join(
        [
            "#include <stdint.h>",
            _table({name: name for name in sorted(exports, key=str.encode)}, libraries),
            *([f"const char monolisp_heap[] = {c_string(sizes.heap)};"] if sizes else []),
            *([f"const char monolisp_stack[] = {c_string(sizes.stack)};"] if sizes else []),
            *(f"extern char l{place}[] __asm__({c_string(entry.name)});" for place, entry in enumerate(known)),
            "void *alien_linkage_values[] = {" + ",\n".join(values or ["0"]) + "};",
            "const uint8_t monolisp_linkage_kinds[] = {" + ",".join(kinds or ["0"]) + "};",
            f"const size_t monolisp_linkage_count = {len(linkage)};",
            f"const int monolisp_prelinked = {prelinked};",
            "",
        ]
    )


def c_string(text: str) -> str:
    """`text` as a C string literal; what would mean something there is written in octal."""
    plain = (f"\\{ord(char):03o}" if ord(char) < 32 or char in '"\\?\x7f' else char for char in text)
    return '"' + "".join(plain) + '"'


def _code(entry: Linked) -> str:
    if entry.origin is not None:
        return "0"
    return "1" if entry.kind is Kind.FUNCTION else "2"


def _table(answers: Mapping[str, str], libraries: Sequence[str]) -> str:
    """`answers`: name asked for → name of the definition, sorted. Assembler names keep the C compiler's own idea of
    printf and its like out of it."""
    lines = ['#include "tables.h"']
    lines += [f"extern char s{place}[] __asm__({c_string(symbol)});" for place, symbol in enumerate(answers.values())]
    entries = [f"{{{c_string(name)}, s{place}}}," for place, name in enumerate(answers)] or ["{0, 0}"]
    lines += ["const struct monolisp_symbol monolisp_symbols[] = {", *entries, "};"]
    lines.append(f"const size_t monolisp_symbol_count = {len(answers)};")
    quoted = [f"{c_string(library)}," for library in libraries] or ["0"]
    lines += ["const char *const monolisp_libraries[] = {", *quoted, "};"]
    lines.append(f"const size_t monolisp_library_count = {len(libraries)};")
    return "\n".join(lines)
