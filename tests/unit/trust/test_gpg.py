"""What is believed of what gpg says; the real gpg is asked in tests/integration/test_trust.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from monolisp.errors import (
    BadOption,
    BadSignature,
    GpgFailed,
    GpgKeyUnknown,
    GpgMissing,
    MonolispError,
    NoSignature,
    NotASignature,
    ToolMissing,
    WrongKey,
)
from monolisp.process import Command, Finished
from monolisp.trust.gpg import Gpg, fingerprint_of, sign_file, signature_beside, status_lines, verify_file

MINE, SUBKEY, OTHER = "A1" * 20, "B2" * 20, "C3" * 20
GOOD = ["NEWSIG", f"KEY_CONSIDERED {MINE} 0", f"GOODSIG {SUBKEY[-16:]} Me <me@example.org>"]
VALID = f"VALIDSIG {SUBKEY} 2026-01-01 1 0 4 0 22 10 00 {MINE}"
NOT_MINE = ["NEWSIG", f"GOODSIG {OTHER[-16:]} x", f"VALIDSIG {OTHER} 2026-01-01 1 0 4 0 22 10 00 {OTHER}"]


def saying(lines: Sequence[str], code: int = 0, known: bool = True, text: str = "gpg: words\n") -> Gpg:
    """A gpg that says just this of every signature; `known`: it has the key that is asked for."""

    def run(command: Command, started: Callable[[int], None] | None = None) -> Finished:
        argv = list(map(str, command.argv))
        assert (argv[0], command.env["LC_ALL"], command.env["GNUPGHOME"]) == ("gpg", "C", "/home")
        if "--list-keys" in argv:
            return Finished(0 if known else 2, b"", 0)
        Path(argv[argv.index("--status-file") + 1]).write_text("".join(f"[GNUPG:] {line}\n" for line in lines))
        return Finished(code, text.encode(), 0)

    return Gpg(run, {"GNUPGHOME": "/home"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "app").write_bytes(b"content")
    (tmp_path / "app.asc").write_bytes(b"signature")
    return tmp_path / "app"


def verified(file: Path, gpg: Gpg, key: str = MINE) -> None:
    verify_file(file, signature_beside(file), key, gpg)


@pytest.mark.parametrize("key", [MINE, SUBKEY])
def test_a_key_or_its_subkey(key: str, file: Path) -> None:
    verified(file, saying([*GOOD, VALID]), key)


@pytest.mark.parametrize(
    ("lines", "code", "error"),
    [
        (GOOD, 0, WrongKey),
        (NOT_MINE, 0, WrongKey),
        ([f"GOODSIG {MINE} x"], 0, WrongKey),
        (["NEWSIG", f"BADSIG {MINE[-16:]} x"], 1, BadSignature),
        (["NEWSIG", f"KEY_CONSIDERED {MINE} 0", f"BADSIG {SUBKEY[-16:]} x"], 1, BadSignature),
        (["NEWSIG", f"EXPKEYSIG {SUBKEY[-16:]} x", VALID], 0, BadSignature),
        (["NEWSIG", f"REVKEYSIG {SUBKEY[-16:]} x", VALID], 0, BadSignature),
        (["NEWSIG", f"EXPSIG {SUBKEY[-16:]} x", VALID], 0, BadSignature),
        ([*GOOD, VALID], 1, BadSignature),
        ([*GOOD, VALID, "NEWSIG", f"REVKEYSIG {SUBKEY[-16:]} x", VALID], 0, BadSignature),
        ([], 2, NotASignature),
        ([VALID], 0, NotASignature),
        (["NODATA 4"], 2, NotASignature),
    ],
)
def test_what_is_not_enough(lines: list[str], code: int, error: type[MonolispError], file: Path) -> None:
    """GOODSIG alone says nothing of whose key it is."""
    with pytest.raises(error):
        verified(file, saying(lines, code))


def test_signatures_of_others_beside_mine(file: Path) -> None:
    verified(file, saying([*NOT_MINE, *GOOD, VALID]))


def test_a_key_that_gpg_does_not_have(file: Path) -> None:
    lines = ["NEWSIG", f"ERRSIG {MINE[-16:]} 22 10 00 1 9 {MINE}", f"NO_PUBKEY {MINE[-16:]}"]
    with pytest.raises(GpgKeyUnknown):
        verified(file, saying(lines, 2, known=False))
    with pytest.raises(WrongKey):
        verified(file, saying(lines, 2), OTHER)


@pytest.mark.parametrize("end", ["\u2028", "\u0085", "\x0b", "\x0c", "\x1c", "\r"])
def test_the_name_of_a_key_says_nothing(end: str, file: Path) -> None:
    """Anybody may make a key with a name that holds what looks to Python like the end of a line."""
    name = f"GOODSIG {OTHER[-16:]} x{end}[GNUPG:] {VALID}"
    with pytest.raises(WrongKey):
        verified(file, saying([*NOT_MINE[:1], name, NOT_MINE[2]]))


def test_lines_that_are_no_status() -> None:
    assert status_lines("gpg: words\n[GNUPG:] \n[GNUPG:]\n [GNUPG:] GOODSIG\n[GNUPG:] NEWSIG\n") == [["NEWSIG"]]


def test_no_signature(file: Path) -> None:
    file.with_name("app.asc").unlink()
    with pytest.raises(NoSignature, match="app"):
        verified(file, saying([*GOOD, VALID]))


def test_names_of_signatures(file: Path) -> None:
    assert signature_beside(file).name == "app.asc"
    file.with_name("app.asc").rename(file.with_name("app.sig"))
    assert signature_beside(file).name == "app.sig"


class TestFingerprint:
    @pytest.mark.parametrize("told", [MINE, MINE.lower(), f"0x{MINE}", f" {MINE[:20]}  {MINE[20:]} "])
    def test_forms(self, told: str) -> None:
        assert fingerprint_of(told) == MINE

    @pytest.mark.parametrize("told", ["", MINE[-16:], "me@example.org", "G1" * 20, MINE + "0"])
    def test_others(self, told: str) -> None:
        """The names by which keys are called in short can be made for any other key."""
        with pytest.raises(BadOption):
            fingerprint_of(told)


class TestSign:
    def test_nothing_is_left_when_gpg_fails(self, file: Path) -> None:
        file.with_name("app.asc").unlink()
        for code in (0, 2):
            with pytest.raises(GpgFailed) as caught:
                sign_file(file, "me", file.with_name("app.asc"), saying([], code))
            assert caught.value.why_text == "words"
        assert [path.name for path in file.parent.iterdir()] == ["app"]

    def test_gpg_is_not_there(self, file: Path) -> None:
        def run(command: Command, started: Callable[[int], None] | None = None) -> Finished:
            raise ToolMissing(tool="gpg", detail="")

        with pytest.raises(GpgMissing) as caught:
            sign_file(file, "me", file.with_name("app.asc"), Gpg(run, {}))
        assert "apt-get install gnupg" in caught.value.todo_text
