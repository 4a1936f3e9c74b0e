"""Opening files that the user names, with errors in the user's words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from monolisp.errors import NoSuchFile, Unreadable

# No key, signature, list of checksums or attestation is longer, in bytes.
MOST = 1 << 24


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`, to be read. Raises NoSuchFile, Unreadable."""
    try:
        with path.open("rb") as stream:
            yield stream
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchFile(file=path, reason="there is nothing of that name") from error
    except (OSError, ValueError) as error:
        raise Unreadable(file=path, reason=getattr(error, "strerror", None) or error) from error


def content_of(path: Path) -> bytes:
    """All of a file, at most MOST bytes. Raises NoSuchFile, Unreadable."""
    with opened(path) as stream:
        # Python makes room for as much as is asked for. A pipe has no size.
        return stream.read(min(os.fstat(stream.fileno()).st_size, MOST) or MOST)
