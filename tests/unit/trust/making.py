"""Keys for tests: a secret key as a file, and its public key."""

from __future__ import annotations

from pathlib import Path

from monolisp.trust.keys import new_pair, secret_key
from monolisp.trust.signature import sign_file

EPOCH = 1_700_000_000


def pair(folder: Path, name: str = "key") -> tuple[Path, str]:
    return folder / name, new_pair(folder / name)


def signed(path: Path, key: Path) -> Path:
    """Sign a file; returns where the signature is."""
    signature = path.with_name(path.name + ".minisig")
    signature.write_bytes(sign_file(path, secret_key(key, None), EPOCH))
    return signature
