"""Signatures by OpenPGP keys, through gpg: it knows of key rings, agents and smart cards.

What gpg says in words is for people; what is believed here are its status lines, and of those only the fingerprint of
the key that made a good signature. Source: GnuPG, doc/DETAILS, "Format of the --status-fd output".
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import (
    BadOption,
    BadSignature,
    GpgFailed,
    GpgKeyUnknown,
    GpgMissing,
    NotASignature,
    ToolMissing,
    WrongKey,
)
from monolisp.process import Command, Finished, Runner
from monolisp.publish import candidate
from monolisp.trust.reading import opened
from monolisp.trust.signature import signature_content

SUFFIXES = (".asc", ".sig")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
# What gpg says first of a signature → why that is not good; GOODSIG is.
_NOT_GOOD = {
    "BADSIG": "the file was changed since",
    "EXPSIG": "the signature has expired",
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "ERRSIG": "gpg cannot check it",
}


@dataclass(frozen=True)
class Gpg:
    """How gpg is started: `environ` decides which key ring and agent are used (GNUPGHOME, GPG_TTY)."""

    runner: Runner
    environ: Mapping[str, str]

    def run(self, *arguments: str | Path) -> tuple[Finished, list[list[str]]]:
        """Run gpg; returns its status lines too, as words. Raises GpgMissing, CannotStart."""
        with tempfile.TemporaryDirectory(prefix="monolisp-") as folder:
            status = Path(folder, "status")
            argv = ["gpg", "--batch", "--no-tty", "--status-file", status, *arguments]
            try:
                done = self.runner(Command(argv, {**self.environ, "LC_ALL": "C"}))
            except ToolMissing as error:
                raise GpgMissing from error
            text = status.read_text("utf-8", "replace") if status.is_file() else ""
        return done, status_lines(text)


def status_lines(text: str) -> list[list[str]]:
    """The words of each status line, without the mark that it begins with. Only newlines end a line: names of users are
    in it, with whatever else Unicode has to end one."""
    return [line.split()[1:] for line in text.split("\n") if line.startswith("[GNUPG:] ") and line[9:].strip()]


def sign_file(path: Path, key: str, output: Path, gpg: Gpg) -> None:
    """Have gpg write a detached signature of `path`, armoured, to `output`; `key` is as for gpg's --local-user.

    Raises NoSuchFile, Unreadable, GpgMissing, GpgFailed, OutputUnwritable, DiskFull.
    """
    with opened(path), candidate(output, "asc") as beside:
        done, _ = gpg.run(
            "--yes", "--armor", "--detach-sign", "--local-user", key, "--output", beside, "--", _plain(path)
        )
        if done.returncode != 0 or not beside.stat().st_size:
            raise GpgFailed(file=path, reason=_said(done))
        beside.rename(output)


def fingerprint_of(told: str) -> str:
    """The fingerprint that a user names, with or without spaces. Raises BadOption: a shorter name of a key can be that
    of somebody else's key too."""
    found = re.sub(r"\s|^0x", "", told).upper()
    if not _FINGERPRINT.fullmatch(found):
        reason = "it is no fingerprint: 40 (or 64) hexadecimal digits, as `gpg --fingerprint` prints them"
        raise BadOption(option="--gpg", value=told, reason=reason, command="verify-signature")
    return found


def verify_file(path: Path, signature: Path, fingerprint: str, gpg: Gpg) -> None:
    """Have gpg verify that the key with this fingerprint, or a subkey of it, signed `path`.

    Raises NoSuchFile, Unreadable, NoSignature, NotASignature, WrongKey, BadSignature, GpgKeyUnknown, GpgMissing.
    """
    signature_content(signature, path)
    with opened(path):
        done, lines = gpg.run("--verify", "--", _plain(signature), _plain(path))
    verdicts = signatures_in(lines)
    if not verdicts:
        raise NotASignature(file=signature, reason=_said(done))
    mine = [verdict for verdict in verdicts if fingerprint in verdict.fingerprints]
    if not mine:
        named = [verdict for verdict in verdicts if any(fingerprint.endswith(name) for name in verdict.claimed)]
        if any(verdict.state == "BADSIG" for verdict in named):
            raise BadSignature(file=path, signature=signature, reason=_NOT_GOOD["BADSIG"])
        if gpg.run("--list-keys", "--", fingerprint)[0].returncode != 0:
            raise GpgKeyUnknown(key=fingerprint)
        raise WrongKey(file=path, key=fingerprint, found=" and ".join(map(str, verdicts)))
    for verdict in mine:
        if verdict.state != "GOODSIG":
            raise BadSignature(file=path, signature=signature, reason=_NOT_GOOD[verdict.state])
    if done.returncode != 0:
        raise BadSignature(file=path, signature=signature, reason=_said(done))


@dataclass(frozen=True)
class Verdict:
    """What gpg says of one signature. `state` is GOODSIG or a key of _NOT_GOOD; `fingerprints` are those of the key
    that made it and of the key that this belongs to, when the signature is right; `claimed` is what a signature says of
    its key, for messages only."""

    state: str
    claimed: frozenset[str]
    fingerprints: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return " ".join(sorted(self.fingerprints or self.claimed)) or "a key that gpg does not name"


def signatures_in(lines: Iterable[list[str]]) -> list[Verdict]:
    """The verdicts that status lines tell, one for each signature."""
    found: list[Verdict] = []
    considered: set[str] = set()
    for keyword, *words in lines:
        if keyword == "NEWSIG":
            considered = set()
        elif keyword == "KEY_CONSIDERED":
            considered |= set(words[:1])
        elif keyword == "GOODSIG" or keyword in _NOT_GOOD:
            found.append(Verdict(keyword, frozenset({*words[:1], *considered})))
        elif keyword == "VALIDSIG" and found and words:
            last = found.pop()
            found.append(Verdict(last.state, last.claimed, frozenset({words[0], words[-1]})))
    return found


def _plain(path: Path) -> Path:
    """A name that gpg takes for nothing else: "-" is its standard input."""
    return path.absolute()


def _said(done: Finished) -> str:
    lines = [line.removeprefix("gpg: ") for line in done.text.splitlines() if line.strip()]
    return "; ".join(lines[:2]) or f"gpg ended with {done.returncode}"


def signature_beside(path: Path) -> Path:
    """Where a signature of `path` is: the first of its names that is there."""
    names = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
    return next((name for name in names if name.exists()), names[0])
