"""Signed statements."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from monolisp.errors import AttestationOfAnother, BadSignature, NotAnAttestation, SignExtraMissing, WrongKey
from monolisp.provenance.statement import PREDICATE_TYPE, statement
from monolisp.store import sha256_file
from monolisp.trust.envelope import in_envelope, out_of_envelope, parse_statement, require_subject
from monolisp.trust.keys import key_id, secret_key
from tests.unit.provenance.test_record import FULL

from .making import pair

TOLD = statement("app", "ab" * 32, FULL)


def test_there_and_back(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    envelope = in_envelope(TOLD, secret_key(key, None))
    assert in_envelope(TOLD, secret_key(key, None)) == envelope
    assert out_of_envelope(envelope, public, "envelope") == TOLD
    told = json.loads(envelope)
    assert told["payloadType"] == "application/vnd.in-toto+json"
    assert [signature["keyid"] for signature in told["signatures"]] == [key_id(public)]


def test_it_is_ed25519_over_what_dsse_says(tmp_path: Path) -> None:
    """By the words of the protocol: DSSEv1, then length and value of the type and of the payload."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key, public = pair(tmp_path)
    told = json.loads(in_envelope(TOLD, secret_key(key, None)))
    signed = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(TOLD)).encode() + b" " + TOLD
    signature = base64.b64decode(told["signatures"][0]["sig"])
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public)[10:]).verify(signature, signed)


def changed(envelope: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(envelope), **fields}).encode()


def test_what_was_changed(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    envelope = in_envelope(TOLD, secret_key(key, None))
    forged = base64.b64encode(TOLD.replace(b"ab", b"cd")).decode()
    with pytest.raises(BadSignature):
        out_of_envelope(changed(envelope, payload=forged), public, "envelope")
    (signature,) = json.loads(envelope)["signatures"]
    for signatures in ([{**signature, "sig": "AAAA"}], [{**signature, "sig": base64.b64encode(bytes(64)).decode()}]):
        with pytest.raises(BadSignature):
            out_of_envelope(changed(envelope, signatures=signatures), public, "envelope")


def test_another_key(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    _, other = pair(tmp_path, "other")
    envelope = in_envelope(TOLD, secret_key(key, None))
    with pytest.raises(WrongKey) as caught:
        out_of_envelope(envelope, other, "envelope")
    assert caught.value.fields["found"] == key_id(public)
    # A name of a key is only a name.
    (signature,) = json.loads(envelope)["signatures"]
    with pytest.raises(BadSignature):
        out_of_envelope(changed(envelope, signatures=[{**signature, "keyid": key_id(other)}]), other, "envelope")
    with pytest.raises(WrongKey) as caught:
        out_of_envelope(changed(envelope, signatures=[]), public, "envelope")
    assert caught.value.fields["found"] == "nobody"


def test_signatures_of_others_beside_ours(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    envelope = in_envelope(TOLD, secret_key(key, None))
    signatures = [{"keyid": "other", "sig": "?"}, 7, {}, *json.loads(envelope)["signatures"]]
    assert out_of_envelope(changed(envelope, signatures=signatures), public, "envelope") == TOLD


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no envelope"),
        (TOLD, "nobody has signed"),
        (b'{"payload": "", "payloadType": "text/plain", "signatures": []}', "no envelope"),
        (b'{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": {}}', "no envelope"),
    ],
)
def test_what_is_no_attestation(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NotAnAttestation) as caught:
        out_of_envelope(content, pair(tmp_path)[1], "envelope")
    assert reason in caught.value.why_text


def test_the_same_signature_twice(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    envelope = in_envelope(TOLD, secret_key(key, None))
    with pytest.raises(NotAnAttestation):
        out_of_envelope(changed(envelope, signatures=json.loads(envelope)["signatures"] * 2), public, "envelope")


class TestSubject:
    def test_it_is_about_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "app").write_bytes(b"content")
        told = statement("another name", sha256_file(tmp_path / "app"), FULL)
        assert require_subject(told, tmp_path / "app", "statement") == PREDICATE_TYPE

    def test_it_is_not(self, tmp_path: Path) -> None:
        (tmp_path / "app").write_bytes(b"content")
        with pytest.raises(AttestationOfAnother):
            require_subject(TOLD, tmp_path / "app", "statement")

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}", b'{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "x", "subject": []}'],
    )
    def test_what_is_no_statement(self, content: bytes) -> None:
        with pytest.raises(NotAnAttestation):
            parse_statement(content, "statement")

    @pytest.mark.parametrize("subject", [1, {}, {"digest": 1}, {"digest": {"sha256": 1}}, {"digest": {"sha1": "ab"}}])
    def test_subjects_that_name_nothing(self, subject: object) -> None:
        told = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "x", "subject": [subject]}
        assert parse_statement(json.dumps(told).encode(), "statement") == ("x", [])


def test_the_extra_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = pair(tmp_path)
    secret = secret_key(key, None)
    monkeypatch.setitem(sys.modules, "securesystemslib.dsse", None)
    with pytest.raises(SignExtraMissing, match="securesystemslib"):
        in_envelope(TOLD, secret)
