"""Signatures of minisign's kind; the real minisign is asked in tests/integration/test_trust.py."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from monolisp.errors import BadSignature, NoSignature, NoSuchFile, NotASignature, Unreadable, WrongKey
from monolisp.trust.keys import key_id, secret_key
from monolisp.trust.signature import is_signed, public_key, sign_content, sign_file, verify_file

from .making import EPOCH, pair, signed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "app").write_bytes(b"content")
    return tmp_path / "app"


def test_there_and_back(file: Path, tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    signature = signed(file, key)
    assert verify_file(file, signature, public) == f"timestamp:{EPOCH}\tfile:app\thashed"
    before = signature.read_bytes()
    assert signed(file, key).read_bytes() == before
    assert before.endswith(b"\n")


def test_a_signature_over_the_file_itself(file: Path, tmp_path: Path) -> None:
    """As minisign made them before it hashed files first."""
    key, public = pair(tmp_path)
    legacy = secret_key(key, None).sign(b"content", prehash=False, trusted_comment="a comment")
    (tmp_path / "legacy").write_bytes(bytes(legacy))
    assert verify_file(file, tmp_path / "legacy", public) == "a comment"
    file.write_bytes(b"changed")
    with pytest.raises(BadSignature):
        verify_file(file, tmp_path / "legacy", public)


def test_another_file(file: Path, tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    signature = signed(file, key)
    for content in (b"", b"Content", b"content "):
        file.write_bytes(content)
        with pytest.raises(BadSignature):
            verify_file(file, signature, public)


def test_another_comment(file: Path, tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    signature = signed(file, key)
    signature.write_bytes(signature.read_bytes().replace(b"file:app", b"file:ape"))
    with pytest.raises(BadSignature):
        verify_file(file, signature, public)


def test_another_key(file: Path, tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    _, other = pair(tmp_path, "other")
    with pytest.raises(WrongKey) as caught:
        verify_file(file, signed(file, key), other)
    assert caught.value.fields == {"file": str(file), "key": key_id(other), "found": key_id(public)}


def test_no_signature(file: Path, tmp_path: Path) -> None:
    _, public = pair(tmp_path)
    with pytest.raises(NoSignature):
        verify_file(file, tmp_path / "none", public)


@pytest.mark.parametrize(
    "content", [b"", b"a\nb\nc\nd", b"untrusted comment: x\nRUR\ntrusted comment: y\nAAAA", b"\xff"]
)
def test_what_is_no_signature(content: bytes, file: Path, tmp_path: Path) -> None:
    _, public = pair(tmp_path)
    (tmp_path / "signature").write_bytes(content)
    with pytest.raises(NotASignature):
        verify_file(file, tmp_path / "signature", public)


def test_files_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    signature = signed(file, key)
    with pytest.raises(NoSuchFile):
        verify_file(tmp_path / "none", signature, public)
    with pytest.raises(NoSuchFile):
        sign_file(tmp_path / "none", secret_key(key, None), EPOCH)
    with pytest.raises(Unreadable):
        sign_file(tmp_path, secret_key(key, None), EPOCH)


def test_any_name_of_a_file(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    path = tmp_path / "ü\n\udcff"
    path.write_bytes(b"")
    assert verify_file(path, signed(path, key), public).split("\t")[1] == r"file:\xfc\n\udcff"


def test_a_comment_does_nothing_to_the_terminal(file: Path, tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    signature = secret_key(key, None).sign(b"content", trusted_comment="x")
    signature._trusted_comment = "\x1b[2J\u202e"  # type: ignore[attr-defined]
    text = bytes(signature).decode()
    assert "\x1b" in text
    (tmp_path / "signature").write_text(text)
    with pytest.raises(BadSignature) as caught:
        verify_file(file, tmp_path / "signature", public)
    assert "\x1b" not in str(caught.value)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    key, public = pair(tmp_path)
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(50_000_000)
    tracemalloc.start()
    try:
        verify_file(tmp_path / "large", signed(tmp_path / "large", key), public)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_content(tmp_path: Path) -> None:
    """As the records of remote stores are signed."""
    key, public = pair(tmp_path)
    _, other = pair(tmp_path, "other")
    signature = sign_content(b"record", key)
    assert public_key(key) == public
    assert is_signed(b"record", signature, [other, public])
    assert not is_signed(b"record", signature, [other])
    assert not is_signed(b"Record", signature, [public])
    assert not is_signed(b"record", "no signature", [public])
