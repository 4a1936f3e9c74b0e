"""Signatures: Ed25519 in the format of minisign, through py-minisign.

A trusted key is written as minisign writes public keys ("RW…"). Source: https://jedisct1.github.io/minisign/.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from monolisp.errors import BadKey, RemoteExtraMissing


def _minisign() -> ModuleType:
    try:
        return import_module("minisign")
    except ImportError as error:
        raise RemoteExtraMissing(module="py-minisign") from error


def new_key(path: Path) -> str:
    """Write a new secret key to `path`, for its owner's eyes alone, and return the public key. Raises BadKey."""
    minisign = _minisign()
    pair = minisign.KeyPair.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(bytes(pair.secret_key))
    except OSError as error:
        raise BadKey(key=path, reason=error.strerror or error) from error
    return str(pair.public_key.to_base64(), "ascii")


def sign(content: bytes, key: Path) -> str:
    """The signature of `content` by the secret key in the file `key`. Raises BadKey."""
    return str(bytes(_secret(key).sign(content, trusted_comment="monolisp")), "utf-8")


def public_key(key: Path) -> str:
    """The public key that belongs to the secret one in the file `key`. Raises BadKey."""
    return str(_secret(key).get_public_key().to_base64(), "ascii")


def _secret(key: Path) -> Any:
    minisign = _minisign()
    try:
        secret = minisign.SecretKey.from_file(key)
    except OSError as error:
        raise BadKey(key=key, reason=error.strerror or error) from error
    except (minisign.Error, ValueError) as error:
        raise BadKey(key=key, reason=error) from error
    if secret.is_encrypted():
        raise BadKey(key=key, reason="it is protected by a password; a machine that pushes needs one that is not")
    return secret


def check_keys(keys: Sequence[str]) -> None:
    """Raises BadKey for what is no public key."""
    minisign = _minisign()
    for key in keys:
        try:
            minisign.PublicKey.from_base64(key)
        except (minisign.Error, ValueError) as error:
            raise BadKey(key=key, reason=error or "it is no public key of minisign") from error


def is_signed(content: bytes, signature: str, keys: Sequence[str]) -> bool:
    """Whether one of the public `keys` vouches for `content`."""
    minisign = _minisign()
    try:
        parsed = minisign.Signature.from_bytes(signature.encode())
    except (minisign.Error, ValueError):
        return False
    return any(_verified(minisign, key, content, parsed) for key in keys)


def _verified(minisign: ModuleType, key: str, content: bytes, signature: object) -> bool:
    try:
        minisign.PublicKey.from_base64(key).verify(content, signature)
    except minisign.Error:
        return False
    return True
