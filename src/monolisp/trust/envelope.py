"""Signed statements: DSSE envelopes around in-toto statements, through securesystemslib, with the keys of keys.py.

Source: DSSE 1.0 (protocol.md, envelope.md); in-toto attestation framework 1.1, spec/v1/envelope.md.
"""

from __future__ import annotations

import base64
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from monolisp.errors import AttestationOfAnother, BadSignature, NotAnAttestation, SignExtraMissing, WrongKey
from monolisp.store import sha256_file
from monolisp.trust.keys import SecretKey, key_id, public_of
from monolisp.trust.reading import opened

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


def _library(module: str) -> ModuleType:
    try:
        return import_module(f"securesystemslib.{module}")
    except ImportError as error:
        raise SignExtraMissing(module="securesystemslib") from error


def in_envelope(statement: bytes, secret: SecretKey) -> bytes:
    """The envelope of a statement, as JSON, signed: the same bytes for the same statement and key."""
    signer = key_id(public_of(secret))
    envelope = _library("dsse").Envelope(statement, PAYLOAD_TYPE, {})
    # Without hashing first, minisign's signature is Ed25519's, behind the algorithm and the key's number.
    signature = bytes(secret.sign(envelope.pae(), prehash=False, trusted_comment=""))
    raw = base64.b64decode(signature.splitlines()[1])[10:]
    envelope.signatures[signer] = _library("signer").Signature(signer, raw.hex())
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def out_of_envelope(content: bytes, key: str, name: str) -> bytes:
    """The statement in an envelope that the public `key` signed; `name` is that of the envelope's file.

    Raises NotAnAttestation, WrongKey, BadSignature.
    """
    told = _envelope(content, name)
    signer, wanted = key_id(key), base64.b64decode(key)[10:].hex()
    mine = [signature for signature in told["signatures"] if signature["keyid"] == signer]
    if not mine:
        found = ", ".join(signature["keyid"] for signature in told["signatures"]) or "nobody"
        raise WrongKey(file=name, key=signer, found=ascii(found)[1:-1])
    signing = _library("signer")
    try:
        envelope = _library("dsse").Envelope.from_dict({**told, "signatures": mine})
        envelope.verify([signing.SSlibKey(signer, "ed25519", "ed25519", {"public": wanted})], 1)
    except ValueError as error:
        raise NotAnAttestation(file=name, reason=error) from error
    except _library("exceptions").Error as error:
        reason = "the statement or its signature was changed since"
        raise BadSignature(file=name, signature=name, reason=reason) from error
    payload: bytes = envelope.payload
    return payload


def _envelope(content: bytes, name: str) -> dict[str, Any]:
    """Raises NotAnAttestation."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotAnAttestation(file=name, reason=f"it is no JSON ({error})") from error
    match told:
        case {"_type": str()}:
            raise NotAnAttestation(file=name, reason="it is a statement that nobody has signed")
        case {"payload": str(payload), "payloadType": str(kind), "signatures": [*signatures]} if kind == PAYLOAD_TYPE:
            plain = [{"keyid": str(one["keyid"]), "sig": str(one["sig"])} for one in signatures if _is_signature(one)]
            return {"payload": payload, "payloadType": kind, "signatures": plain}
    raise NotAnAttestation(file=name, reason="it is no envelope of an in-toto statement")


def _is_signature(told: object) -> bool:
    match told:
        case {"keyid": str(), "sig": str()}:
            return True
    return False


def require_subject(statement: bytes, path: Path, name: str) -> str:
    """Check that a statement is about the file at `path`, by its sha256; returns what kind of statement it is.

    `name` is that of the statement's file. Raises NotAnAttestation, AttestationOfAnother, NoSuchFile, Unreadable.
    """
    kind, subjects = parse_statement(statement, name)
    with opened(path):
        digest = sha256_file(path)
    if digest not in subjects:
        raise AttestationOfAnother(file=path, attestation=name)
    return kind


def parse_statement(statement: bytes, name: str) -> tuple[str, list[str]]:
    """The type of a statement's predicate, and the sha256 of each subject. Raises NotAnAttestation."""
    try:
        told = json.loads(statement)
    except (ValueError, RecursionError) as error:
        raise NotAnAttestation(file=name, reason=f"its statement is no JSON ({error})") from error
    match told:
        case {"_type": str(version), "predicateType": str(kind), "subject": [*subjects]} if version == STATEMENT_TYPE:
            return kind, [digest for digest in map(_sha256, subjects) if digest]
    raise NotAnAttestation(file=name, reason=f"what is signed is no {STATEMENT_TYPE}")


def _sha256(subject: object) -> str:
    match subject:
        case {"digest": {"sha256": str(digest)}}:
            return digest
    return ""
