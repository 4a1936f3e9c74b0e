"""monolisp keygen, sign, verify-signature, attest."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import Exit, NoPassword, WrongPassword

if TYPE_CHECKING:
    from monolisp.trust.gpg import Gpg
    from monolisp.trust.keys import Password

PASSWORD = "MONOLISP_KEY_PASSWORD"


def run_keygen(options: argparse.Namespace) -> int:
    from monolisp.trust.keys import new_pair

    path = Path(options.file)
    password = _new_password(path, options) if options.password or options.password_file else ""
    public = new_pair(path, password)
    print(f"{path}: the secret key, for sign --key and --sign-key; {path}.pub: the public key, for everybody")
    print(f'in monolisp.toml of whoever shall trust a store that it signs: store.keys = ["{public}"]')
    return int(Exit.OK)


def run_sign(options: argparse.Namespace) -> int:
    files = [Path(name) for name in options.files]
    if options.gpg is not None:
        from monolisp.trust import gpg

        for path in files:
            output = path.with_name(path.name + gpg.SUFFIXES[0])
            gpg.sign_file(path, options.gpg, output, _gpg())
            print(output)
        return int(Exit.OK)
    from monolisp.publish import write_beside
    from monolisp.trust.keys import secret_key
    from monolisp.trust.signature import SUFFIX, sign_file

    key = Path(options.key)
    secret = secret_key(key, _password(key, options))
    for path in files:
        output = path.with_name(path.name + SUFFIX)
        print(write_beside(sign_file(path, secret, _now()), output, "sign", path))
    return int(Exit.OK)


def run_verify_signature(options: argparse.Namespace) -> int:
    path = Path(options.file)
    given = Path(options.signature) if options.signature else None
    if options.gpg is not None:
        from monolisp.trust import gpg

        fingerprint = gpg.fingerprint_of(options.gpg)
        gpg.verify_file(path, given or gpg.signature_beside(path), fingerprint, _gpg())
        print(f"{path}: signed by {fingerprint}")
        return int(Exit.OK)
    from monolisp.trust.keys import key_id, read_public

    key = read_public(options.key)
    if options.attestation:
        kind = _verify_attestation(path, Path(options.attestation), key)
        print(f"{path}: {options.attestation} is about it, signed by {key_id(key)}: {kind}")
        return int(Exit.OK)
    from monolisp.trust.signature import SUFFIX, verify_file

    comment = verify_file(path, given or path.with_name(path.name + SUFFIX), key)
    print(f"{path}: signed by {key_id(key)}: {comment}")
    return int(Exit.OK)


def _verify_attestation(path: Path, attestation: Path, key: str) -> str:
    from monolisp.trust.envelope import out_of_envelope, require_subject
    from monolisp.trust.signature import signature_content

    content = signature_content(attestation, path)
    return require_subject(out_of_envelope(content, key, str(attestation)), path, str(attestation))


def run_attest(options: argparse.Namespace) -> int:
    from monolisp.provenance.statement import BUILDER, statement_about, write_statement

    path = Path(options.file)
    content = statement_about(path, options.builder or BUILDER)
    if options.key:
        from monolisp.trust.envelope import in_envelope
        from monolisp.trust.keys import secret_key

        key = Path(options.key)
        content = in_envelope(content, secret_key(key, _password(key, options)))
    print(write_statement(path, content, Path(options.output) if options.output else None))
    return int(Exit.OK)


def _now() -> int:
    """The time that a signature is dated with, in seconds since 1970."""
    if "SOURCE_DATE_EPOCH" not in os.environ:
        return int(time.time())
    from monolisp.lisp.session import epoch_of

    return epoch_of(os.environ)


def _gpg() -> Gpg:
    from monolisp.process import run
    from monolisp.trust.gpg import Gpg

    return Gpg(run, dict(os.environ))


def _password(key: Path, options: argparse.Namespace) -> Password:
    """How the password of a secret key is had when it is needed: from the file that was named, the environment, the
    terminal, or standard input, in this order."""

    def ask() -> str:
        from monolisp.trust.reading import content_of

        if options.password_file:
            return _first_line(content_of(Path(options.password_file)).decode("utf-8", "surrogateescape"), key)
        if PASSWORD in os.environ:
            return _first_line(os.environ[PASSWORD], key)
        if sys.stdin.isatty():
            import getpass

            return _first_line(getpass.getpass(f"password of {key}: ", sys.stderr), key)
        return _first_line(sys.stdin.readline(), key)

    return ask


def _new_password(key: Path, options: argparse.Namespace) -> str:
    """Asked twice of a person. Raises NoPassword, WrongPassword."""
    ask = _password(key, options)
    password = ask()
    if sys.stdin.isatty() and not options.password_file and PASSWORD not in os.environ and ask() != password:
        raise WrongPassword(key=key)
    return password


def _first_line(text: str, key: Path) -> str:
    """Raises NoPassword for an empty one, WrongPassword for one that is no text."""
    line = text.partition("\n")[0].removesuffix("\r")
    if not line:
        raise NoPassword(key=key)
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise WrongPassword(key=key) from error
    return line
