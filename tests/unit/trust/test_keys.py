"""Keys of minisign's kind."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest

from monolisp.errors import BadKey, NoPassword, SignExtraMissing, WrongPassword
from monolisp.trust.keys import (
    check_keys,
    key_id,
    minisign,
    new_pair,
    parse_public,
    parse_secret,
    public_of,
    read_public,
    secret_key,
)

from .making import pair


def test_a_pair(tmp_path: Path) -> None:
    secret, public = pair(tmp_path)
    assert public_of(secret_key(secret, None)) == public
    assert read_public(public) == read_public(f"{secret}.pub") == public
    assert (secret.stat().st_mode & 0o777, secret.read_bytes()[-1:]) == (0o600, b"\n")
    assert Path(f"{secret}.pub").read_text().splitlines() == [
        f"untrusted comment: minisign public key {key_id(public)}",
        public,
    ]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text("mine")
    with pytest.raises(BadKey, match=r"key\.pub"):
        new_pair(tmp_path / "key")
    assert (tmp_path / "key.pub").read_text() == "mine"
    assert not (tmp_path / "key").exists()
    (tmp_path / "key").write_text("mine")
    with pytest.raises(BadKey):
        new_pair(tmp_path / "key")
    assert (tmp_path / "key").read_text() == "mine"


def encrypted(password: str = "secret") -> bytes:
    """At little cost."""
    secret = minisign().KeyPair.generate().secret_key
    secret.encrypt(password, opslimit=32768, memlimit=1 << 24)
    return bytes(secret)


def test_a_password() -> None:
    content = encrypted()
    assert public_of(parse_secret(content, "key", lambda: "secret"))
    with pytest.raises(WrongPassword):
        parse_secret(content, "key", lambda: "Secret")
    with pytest.raises(BadKey, match="key") as caught:
        parse_secret(content, "key", None)
    assert "protected by a password" in caught.value.why_text


def test_the_password_is_asked_for_when_it_is_needed_only(tmp_path: Path) -> None:
    def refuse() -> str:
        raise NoPassword(key="key")

    secret, _ = pair(tmp_path)
    assert secret_key(secret, refuse)
    with pytest.raises(NoPassword):
        parse_secret(encrypted(), "key", refuse)


def with_octets(content: bytes, place: int, octets: bytes) -> bytes:
    comment, text = content.splitlines()
    raw = bytearray(base64.b64decode(text))
    raw[place : place + len(octets)] = octets
    return comment + b"\n" + base64.b64encode(raw)


@pytest.mark.parametrize("place", [38, 46])
def test_work_without_end_is_refused(place: int) -> None:
    """What a password costs is written in the key: a number there must not keep us for ever."""
    hostile = with_octets(encrypted(), place, (1 << 40).to_bytes(8, "little"))
    with pytest.raises(BadKey) as caught:
        parse_secret(hostile, "key", lambda: "secret")
    assert "absurd time" in caught.value.why_text


@pytest.mark.parametrize("place", [70, 100])
def test_halves_that_do_not_belong_together(place: int, tmp_path: Path) -> None:
    secret, _ = pair(tmp_path)
    with pytest.raises(BadKey) as caught:
        parse_secret(with_octets(secret.read_bytes(), place, b"\0\0"), "key", None)
    assert "damaged" in caught.value.why_text


def test_an_unknown_algorithm(tmp_path: Path) -> None:
    secret, public = pair(tmp_path)
    with pytest.raises(BadKey) as caught:
        parse_secret(with_octets(secret.read_bytes(), 0, b"Xx"), "key", None)
    assert "algorithm" in caught.value.why_text
    other = base64.b64encode(b"Xx" + base64.b64decode(public)[2:])
    with pytest.raises(BadKey) as caught:
        parse_public(b"untrusted comment: x\n" + other, "key.pub")
    assert "algorithm" in caught.value.why_text
    with pytest.raises(BadKey):
        check_keys([other.decode()])


@pytest.mark.parametrize("content", [b"", b"RW", b"untrusted comment: x\n", b"\xff\n\xff", b"a\nb\nc"])
def test_what_is_no_key(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BadKey):
        secret_key(tmp_path / "key", None)
    with pytest.raises(BadKey):
        read_public(str(tmp_path / "key"))


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadKey) as caught:
        secret_key(tmp_path / "none", None)
    assert "nothing of that name" in caught.value.why_text
    with pytest.raises(BadKey) as caught:
        read_public("RWshort")
    assert "nothing of that name" in caught.value.why_text
    with pytest.raises(BadKey):
        secret_key(tmp_path, None)


def test_the_extra_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minisign", None)
    with pytest.raises(SignExtraMissing, match="py-minisign"):
        check_keys([])
