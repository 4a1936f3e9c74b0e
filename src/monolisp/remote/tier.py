"""Remote stores as a tier behind a store: what is missing here is looked for there, and believed when it is signed.

A remote that lies, cuts off, stalls or is gone costs one warning, and what it might have had is made here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from monolisp.errors import BadArchive, PushFailed, UnsafeArchive
from monolisp.remote.pack import pack, unpack_entry
from monolisp.remote.place import Place, Unreachable
from monolisp.remote.record import Record, parse_record, record_text
from monolisp.store import remove_tree, sha256_file
from monolisp.trust.signature import is_signed, public_key, sign_content

# What holds no path of the machine that it was made on.
SHARED = frozenset({"sources", "toolchains", "libraries", "programs", "drivers", "images", "trees", "executables"})


class Distrusted(Exception):
    """What a remote store gave is not what it should be."""


class RemoteTier:
    """`places` are asked in turn; what is not signed by one of `keys` is not used. With `push`, what was made here is
    offered to the first, signed with the secret key in that file."""

    def __init__(
        self, places: Sequence[Place], keys: Sequence[str], push: Path | None, tell: Callable[[str], None]
    ) -> None:
        self._places = list(places)
        # Whoever signs believes what is signed so.
        self._keys = (*keys, *([public_key(push)] if push else []))
        self._push = push
        self._tell = tell

    def fetch(self, kind: str, digest: str, into: Path) -> bool:
        if kind not in SHARED:
            return False
        for place in tuple(self._places):
            try:
                if self._fetched(place, kind, digest, into):
                    return True
            except (Unreachable, Distrusted) as error:
                self._tell(f"warning: the remote store {place.url} is not used any more: {error}")
                self._places.remove(place)
                remove_tree(into)
                into.mkdir()
        return False

    def _fetched(self, place: Place, kind: str, digest: str, into: Path) -> bool:
        found = self._record(place, kind, digest)
        if found is None:
            return False
        self._tell(f"fetching {kind} {digest[:12]} ({found.size / 1e6:.1f} MB) from {place.url}")
        with tempfile.TemporaryDirectory(prefix="monolisp-", dir=into.parent) as folder:
            archive = Path(folder, "archive")
            place.download(archive_name(found.archive), found.size, archive)
            if sha256_file(archive) != found.archive:
                raise Distrusted(f"the archive of {kind} {digest} is not the one that its record names")
            try:
                wrong = unpack_entry(archive, found.unpacked, into)
            except (BadArchive, UnsafeArchive, ValueError) as error:
                raise Distrusted(f"the archive of {kind} {digest}: {error}") from error
        if wrong:
            raise Distrusted(f"the archive of {kind} {digest}: {wrong[0]}")
        return True

    def _record(self, place: Place, kind: str, digest: str) -> Record | None:
        """The record of an entry, if there is one that is signed and about it. Raises Distrusted, Unreachable."""
        content = place.read(record_name(kind, digest))
        if content is None:
            return None
        try:
            record, signed, signature = parse_record(content.decode())
        except ValueError as error:
            raise Distrusted(f"its record of {kind} {digest} is damaged: {error}") from error
        if not is_signed(signed, signature, self._keys):
            raise Distrusted(f"its record of {kind} {digest} is not signed by a key that this project trusts")
        if (record.kind, record.digest) != (kind, digest):
            raise Distrusted(f"its record of {kind} {digest} is about {record.kind} {record.digest}")
        return record

    def offer(self, kind: str, digest: str, entry: Path) -> None:
        """A push that fails costs a warning: what was made is here all the same."""
        if self._push is None or kind not in SHARED or not self._places:
            return
        try:
            self.push(kind, digest, entry)
        except PushFailed as error:
            self._tell(f"warning: {error.what_text}: {error.why_text}")

    def push(self, kind: str, digest: str, entry: Path) -> bool:
        """Put an entry into the first place, unless it is there; says whether it was put. The archive comes before the
        record that names it, so that what is interrupted leaves nothing that anybody would take.

        Raises PushFailed, BadKey.
        """
        place = self._places[0]
        assert self._push is not None
        try:
            if self._is_there(place, kind, digest):
                return False
            with tempfile.TemporaryDirectory(prefix="monolisp-") as folder:
                archive = Path(folder, "archive")
                unpacked = pack(entry, archive)
                record = Record(kind, digest, sha256_file(archive), archive.stat().st_size, unpacked)
                place.upload(archive, archive_name(record.archive))
                file = Path(folder, "record")
                file.write_text(record_text(record, sign_content(record.content, self._push)), encoding="utf-8")
                place.upload(file, record_name(kind, digest))
        except Unreachable as error:
            raise PushFailed(kind=kind, digest=digest, url=place.url, reason=error) from error
        return True

    def _is_there(self, place: Place, kind: str, digest: str) -> bool:
        try:
            return self._record(place, kind, digest) is not None
        except Distrusted:
            return False


def record_name(kind: str, digest: str) -> str:
    return f"index/{kind}/{digest}.json"


def archive_name(sha256: str) -> str:
    return f"archives/{sha256[:2]}/{sha256}.tar.zst"
