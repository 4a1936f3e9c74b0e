"""Which recipe answers to a name: a library's, a header's, a pkg-config package's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from monolisp.libraries.recipe import Cookbook, Recipe

# What a loader is asked for that is part of every static executable already: musl's libc holds it all.
_LIBC = frozenset({"libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv", "libcrypt", "libxnet"})
_ENDING = re.compile(r"\.so(\.[0-9A-Za-z_.-]+)?$|\.(dylib|dll)$", re.IGNORECASE)
_VERSION = re.compile(r"[-_.]?[0-9][0-9._-]*$")


def is_foreign_to_linux(name: str) -> bool:
    """Whether `name` is one that only another system's loader would find."""
    return name.lower().endswith((".dylib", ".dll")) or ".framework" in name


def stems(name: str) -> list[str]:
    """What a library may be called once ending and version are taken off: "libssl.so.1.1" → libssl; the longest first,
    because a number may belong to the name ("libsqlite3.so.0" → libsqlite3, libsqlite)."""
    plain = _ENDING.sub("", name.rpartition("/")[2])
    without = _VERSION.sub("", plain)
    return list(dict.fromkeys(part for part in (plain, without) if part))


def is_spelling(asked: str, name: str) -> bool:
    """Whether the library `asked` for is the one that somebody calls `name`: with or without ending and version, but a
    number that belongs to the name counts (libpart2.so is not libpart1)."""
    return asked == name or (stems(name)[:1] != [] and stems(name)[0] in stems(asked))


def is_libc(name: str) -> bool:
    return any(stem in _LIBC for stem in stems(name))


def by_soname(name: str, book: Cookbook) -> Recipe | None:
    """The recipe that answers to the library `name`, in whatever spelling."""
    recipes = book.recipes.values()
    for stem in stems(name):
        for recipe in recipes:
            if stem in recipe.sonames or (not stem.startswith("lib") and f"lib{stem}" in recipe.sonames):
                return recipe
    return None


def by_header(name: str, book: Cookbook) -> Recipe | None:
    """The recipe that installs the header `name` ("openssl/ssl.h"; a directory among its headers stands for all)."""
    for recipe in book.recipes.values():
        if any(name == header or (header.endswith("/") and name.startswith(header)) for header in recipe.headers):
            return recipe
    return None


def by_package(name: str, book: Cookbook) -> Recipe | None:
    """The recipe that answers when pkg-config is asked for `name`."""
    return next((recipe for recipe in book.recipes.values() if name in recipe.packages), None)


def nearest(name: str, book: Cookbook) -> Sequence[str]:
    """Names of recipes that look like the library `name`."""
    known = {soname.removeprefix("lib"): recipe.name for recipe in book.recipes.values() for soname in recipe.sonames}
    known |= {recipe: recipe for recipe in book.names}
    plain = stems(name)[-1].removeprefix("lib") if stems(name) else name
    return list(dict.fromkeys(known[match] for match in get_close_matches(plain, known, n=3)))
