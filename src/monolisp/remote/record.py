"""What a remote store says of an entry, signed: which archive it is in. Pure values and their text.

The record names kind and digest, so that one entry's archive cannot be passed off as another's.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

_FORMAT = "monolisp-entry-1"
_LONGEST = 1 << 34


@dataclass(frozen=True)
class Record:
    """`archive` is the sha256 of the archive's file, `size` its length, `unpacked` that of the tar in it, in bytes."""

    kind: str
    digest: str
    archive: str
    size: int
    unpacked: int

    @property
    def content(self) -> bytes:
        """What is signed."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()


def record_text(record: Record, signature: str) -> str:
    """The file that holds a record and its signature: one file, so that nobody finds one without the other."""
    return json.dumps({"record": record.content.decode(), "signature": signature}) + "\n"


def parse_record(text: str) -> tuple[Record, bytes, str]:
    """The record that a file says, what was signed, and the signature. Raises ValueError for anything else."""
    table = json.loads(text)
    match table:
        case {"record": str(content), "signature": str(signature)}:
            return _parsed(json.loads(content)), content.encode(), signature
    raise ValueError("it is no record")


def _parsed(table: object) -> Record:
    match table:
        case {
            "format": "monolisp-entry-1",
            "kind": str(kind),
            "digest": str(digest),
            "archive": str(archive),
            "size": int(size),
            "unpacked": int(unpacked),
        } if re.fullmatch(r"[0-9a-f]{64}", archive) and 0 < size < _LONGEST and 0 < unpacked < _LONGEST:
            return Record(kind, digest, archive, size, unpacked)
    raise ValueError("it is no record of a format that this monolisp knows")
