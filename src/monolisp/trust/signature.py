"""Signatures in the format of minisign, through py-minisign: `minisign -V` verifies them, and the reverse.

Files are hashed first (BLAKE2b), in pieces, so that memory does not grow with them. Signatures over the file itself, as
minisign made them before 0.9, are verified as well; those need the file in memory.
Source: https://jedisct1.github.io/minisign/, "Signature format".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monolisp.errors import BadSignature, NoSignature, NoSuchFile, NotASignature, WrongKey
from monolisp.trust.keys import Password, SecretKey, Signature, key_id, minisign, public_of, secret_key
from monolisp.trust.reading import content_of, opened

SUFFIX = ".minisig"
_LONGEST_NAME = 4096


def sign_content(content: bytes, key: Path) -> str:
    """The signature of `content` by the unencrypted secret key in the file `key`. Raises BadKey."""
    return str(bytes(secret_key(key, None).sign(content, trusted_comment="monolisp")), "utf-8")


def public_key(key: Path, password: Password | None = None) -> str:
    """The public key that belongs to the secret one in the file `key`. Raises BadKey, WrongPassword."""
    return public_of(secret_key(key, password))


def sign_file(path: Path, secret: SecretKey, epoch: int) -> bytes:
    """The signature of a file, with its name and the time `epoch` (seconds since 1970) in the trusted comment.

    Raises NoSuchFile, Unreadable.
    """
    # The library takes only ASCII.
    name = "".join(char if " " <= char < "\x7f" else ascii(char)[1:-1] for char in path.name)[:_LONGEST_NAME]
    comment = f"timestamp:{epoch}\tfile:{name}\thashed"
    with opened(path) as stream:
        return bytes(secret.sign(stream, trusted_comment=comment)) + b"\n"


def is_signed(content: bytes, signature: str, keys: Sequence[str]) -> bool:
    """Whether one of the public `keys` vouches for `content`."""
    try:
        parsed = parse_signature(signature.encode(), "")
    except NotASignature:
        return False
    library = minisign()
    for key in keys:
        try:
            library.PublicKey.from_base64(key).verify(content, parsed)
        except ValueError:
            continue
        return True
    return False


def parse_signature(content: bytes, name: str) -> Signature:
    """The signature that a file called `name` holds. Raises NotASignature."""
    try:
        found: Signature = minisign().Signature.from_bytes(content)
    except ValueError as error:
        raise NotASignature(file=name, reason=error) from error
    return found


def verify_file(path: Path, signature: Path, key: str) -> str:
    """Verify that the public `key` vouches for the file; returns the trusted comment, which is signed too.

    Raises NoSuchFile, Unreadable, NoSignature, NotASignature, WrongKey, BadSignature.
    """
    parsed = parse_signature(signature_content(signature, path), str(signature))
    signer = key_id(str(bytes(parsed).splitlines()[1], "ascii"))
    if signer != key_id(key):
        raise WrongKey(file=path, key=key_id(key), found=signer)
    library = minisign()
    with opened(path) as stream:
        try:
            library.PublicKey.from_base64(key).verify(stream, parsed)
        except library.Error as error:
            reason = "the file, the signature or its trusted comment was changed since"
            raise BadSignature(file=path, signature=signature, reason=reason) from error
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in parsed.trusted_comment)


def signature_content(signature: Path, path: Path) -> bytes:
    """What the file with the signature of `path` holds. Raises NoSignature, Unreadable."""
    try:
        return content_of(signature)
    except NoSuchFile as error:
        raise NoSignature(file=path, signature=signature) from error
