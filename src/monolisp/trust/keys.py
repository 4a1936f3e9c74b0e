"""Keys: Ed25519 in the format of minisign, through py-minisign. They sign files, attestations and remote stores.

A public key is written as minisign writes it ("RW…"); a file of it has a comment line before.
Source: https://jedisct1.github.io/minisign/, "Public key format", "Secret key format".
"""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol

from monolisp.errors import BadKey, NoSuchFile, SignExtraMissing, Unreadable, WrongPassword
from monolisp.trust.reading import content_of

Password = Callable[[], str]

_TEXT = re.compile(r"RW[A-Za-z0-9+/]{54}")
# Algorithms, salt; then two words that say how much work and memory its password costs.
_LIMITS, _WORDS = 38, struct.Struct("<QQ")
# minisign's own: 32 MB of memory, and work to match; libsodium's "sensitive" is as far as we go.
_MOST_WORK, _MOST_MEMORY = 1 << 25, 1 << 30


class Signature(Protocol):
    """As py-minisign has it; bytes() gives what a file of it holds."""

    @property
    def trusted_comment(self) -> str: ...
    def __bytes__(self) -> bytes: ...


class PublicKey(Protocol):
    """As py-minisign has it."""

    def to_base64(self) -> bytes: ...
    def verify(self, data: bytes | BinaryIO, signature: Signature) -> None: ...


class SecretKey(Protocol):
    """As py-minisign has it."""

    def sign(self, data: bytes | BinaryIO, *, prehash: bool = True, trusted_comment: str) -> Signature: ...
    def get_public_key(self) -> PublicKey: ...
    def to_base64(self) -> bytes: ...
    def is_encrypted(self) -> bool: ...
    def decrypt(self, password: str) -> None: ...


def minisign() -> ModuleType:
    """The library. Raises SignExtraMissing."""
    try:
        return import_module("minisign")
    except ImportError as error:
        raise SignExtraMissing(module="py-minisign") from error


def new_pair(path: Path, password: str = "") -> str:
    """Write a new secret key to `path`, for its owner's eyes alone, and the public one to `path`.pub; returns the
    public key. Without a password the secret key is not encrypted. Raises BadKey for a file that cannot be made."""
    pair = minisign().KeyPair.generate()
    if password:
        pair.secret_key.encrypt(password)
    public = path.with_name(f"{path.name}.pub")
    text = str(pair.public_key.to_base64(), "ascii")
    # The library writes the digits of the key's name in the other order than minisign.
    pair.public_key.untrusted_comment = f"minisign public key {key_id(text)}"
    _write(path, bytes(pair.secret_key), 0o600)
    try:
        _write(public, bytes(pair.public_key), 0o666)
    except BadKey:
        path.unlink()
        raise
    return text


def _write(path: Path, content: bytes, mode: int) -> None:
    """A key that is there already is never overwritten."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content + b"\n")
    except OSError as error:
        raise BadKey(key=path, reason=error.strerror or error) from error


def secret_key(path: Path, password: Password | None) -> SecretKey:
    """The secret key in the file `path`; `password` is asked when it is encrypted.

    Raises BadKey, WrongPassword, SignExtraMissing, and whatever `password` raises.
    """
    try:
        content = content_of(path)
    except (NoSuchFile, Unreadable) as error:
        raise BadKey(key=path, reason=error.why_text) from error
    return parse_secret(content, str(path), password)


def parse_secret(content: bytes, name: str, password: Password | None) -> SecretKey:
    """The secret key that a file called `name` holds. Raises as secret_key."""
    library = minisign()
    try:
        secret: SecretKey = library.SecretKey.from_bytes(content)
    except ValueError as error:
        raise BadKey(key=name, reason=error) from error
    if secret.is_encrypted():
        _decrypt(secret, name, password)
    # The library compares the checksum of encrypted keys only.
    with suppress(library.VerifyError):
        secret.get_public_key().verify(b"", secret.sign(b"", trusted_comment=""))
        return secret
    raise BadKey(key=name, reason="it is damaged: its secret half and its public half do not belong together")


def _decrypt(secret: SecretKey, name: str, password: Password | None) -> None:
    work, memory = _WORDS.unpack_from(base64.b64decode(secret.to_base64()), _LIMITS)
    if work > _MOST_WORK or memory > _MOST_MEMORY:
        raise BadKey(key=name, reason="it is damaged: to try a password would take an absurd time or memory")
    if password is None:
        raise BadKey(key=name, reason="it is protected by a password; a machine that pushes needs one that is not")
    try:
        secret.decrypt(password())
    except (ValueError, MemoryError) as error:
        raise WrongPassword(key=name) from error


def public_of(secret: SecretKey) -> str:
    """The public key that belongs to a secret one."""
    return str(secret.get_public_key().to_base64(), "ascii")


def read_public(told: str) -> str:
    """The public key that a user means: the key itself, or a file that holds it. Raises BadKey, SignExtraMissing."""
    if _TEXT.fullmatch(told):
        check_keys([told])
        return told
    try:
        content = content_of(Path(told))
    except (NoSuchFile, Unreadable) as error:
        raise BadKey(key=told, reason=f"it is no key, which begins with RW, and no file: {error.why_text}") from error
    return parse_public(content, told)


def parse_public(content: bytes, name: str) -> str:
    """The public key that a file called `name` holds. Raises BadKey."""
    try:
        return str(minisign().PublicKey.from_bytes(content).to_base64(), "ascii")
    except ValueError as error:
        raise BadKey(key=name, reason=error) from error


def check_keys(keys: Sequence[str]) -> None:
    """Raises BadKey for what is no public key."""
    library = minisign()
    for key in keys:
        try:
            library.PublicKey.from_base64(key)
        except ValueError as error:
            raise BadKey(key=key, reason=error) from error


def key_id(public: str) -> str:
    """How minisign calls a key for people: 16 hexadecimal digits."""
    return base64.b64decode(public)[2:10][::-1].hex().upper()
