"""Names and times of documents, which are what their content and the build say: never the clock's, never random."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

_SPACE = uuid5(NAMESPACE_URL, "urn:monolisp:sbom")
# Stands in a document for its own name, until that is known.
UNNAMED = UUID(int=0)


def name_of(content: bytes) -> UUID:
    """The name of a document with this content (its own name in it being UNNAMED)."""
    return uuid5(_SPACE, content.hex())


def moment(epoch: int) -> datetime:
    """The time `epoch`, in seconds since 1970."""
    return datetime.fromtimestamp(epoch, UTC)
