"""The store: what was fetched or built once, addressed by the hash of all that went into it."""

from __future__ import annotations

from monolisp.store.files import has_no_room, locked, remove_tree, sha256_file, tree_size
from monolisp.store.store import Entry, Store, Tier, digest_of

__all__ = [
    "Entry",
    "Store",
    "Tier",
    "digest_of",
    "has_no_room",
    "locked",
    "remove_tree",
    "sha256_file",
    "tree_size",
]
