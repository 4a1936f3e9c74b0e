"""Options of the commands that are about finished executables."""

from __future__ import annotations

import argparse
from typing import Any

# In the order of monolisp.sbom.make.Format, which is not imported here.
SBOM_FORMATS = ("cyclonedx", "spdx")
NO_SBOM = "none"


def remote_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--remote", dest="store_remote", action="append", metavar="URL", help="ask this remote store before building")
    add("--key", dest="store_keys", action="append", metavar="KEY", help="trust what this public key has signed")
    add("--push", action="store_true", help="put what is built here into the remote store")
    add("--sign-key", metavar="FILE", help="the secret key that signs what is pushed")


def verify_parser(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("files", nargs="+", metavar="FILE")
    verify.add_argument("--target", metavar="TARGET", help="what the file must be for (default: whatever it says)")
    verify.add_argument("--no-run", action="store_true", help="do not run it in an empty root directory")
    verify.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    verify.set_defaults(run="look.run_verify")


def inspect_parser(inspect: argparse.ArgumentParser) -> None:
    inspect.add_argument("file", metavar="FILE", help="an executable that monolisp made, for whatever processor")
    inspect.add_argument("--json", action="store_true", help="machine-readable")
    inspect.set_defaults(run="provenance.run_inspect")


def linkage_parser(linkage: argparse.ArgumentParser) -> None:
    linkage.add_argument("file", metavar="FILE", help="an executable that monolisp made, or an SBCL core")
    linkage.add_argument("--json", action="store_true", help="machine-readable")
    linkage.set_defaults(run="look.run_linkage")


def sbom_parser(sbom: argparse.ArgumentParser) -> None:
    sbom.add_argument("file", metavar="FILE", help="an executable that monolisp made, for whatever processor")
    sbom.add_argument("--format", choices=SBOM_FORMATS, default=SBOM_FORMATS[0], help="default: cyclonedx")
    sbom.add_argument("-o", "--output", metavar="FILE", help="where it goes (default: standard output)")
    sbom.set_defaults(run="sbom.run_sbom")


def licenses_parser(licenses: argparse.ArgumentParser) -> None:
    add = licenses.add_argument
    add("file", metavar="FILE", help="an executable that monolisp made, for whatever processor")
    add("-o", "--output", metavar="FILE", help="where they go (default: standard output)")
    sources = "look for sources in DIR: archives of C libraries, and directories of systems below it"
    add("--source-dir", dest="source_dirs", action="append", metavar="DIR", help=sources)
    add("--allow-missing", action="store_true", help="do not fail where a licence's text is not found")
    add("--offline", action="store_true", help="never use the network")
    licenses.set_defaults(run="sbom.run_licenses", source_dir=None, verbose=False)


def _search_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--source-dir", dest="source_dirs", action="append", metavar="DIR", help="look for sources below DIR")
    add("--offline", action="store_true", help="never use the network")
    add("-v", "--verbose", action="store_true", help="show what the Lisp compiler prints")
    remote_options(command)
    command.set_defaults(source_dir=None)


def rebuild_parser(rebuild: argparse.ArgumentParser) -> None:
    add = rebuild.add_argument
    add("file", nargs="?", metavar="FILE", help="an executable that monolisp made (default: the one in the bundle)")
    add("--bundle", metavar="FILE", help="take everything from this bundle, and nothing from the network")
    add("--from-source", action="store_true", help="build SBCL, too, and not take the bundle's own toolchain")
    add("-o", "--output", metavar="FILE", help="keep what is built under this name")
    add("--keep", action="store_true", help="keep the directory in which it is built, and say where")
    _search_options(rebuild)
    add("--json", action="store_true", help="print the result as JSON")
    rebuild.set_defaults(run="rebuild.run_rebuild")


def bundle_parser(bundle: argparse.ArgumentParser) -> None:
    add = bundle.add_argument
    add("file", metavar="FILE", help="an executable that monolisp made")
    add("-o", "--output", metavar="FILE", required=True, help="the bundle to write, such as app.tar.zst")
    add("--without-executable", action="store_true", help="leave the executable itself out")
    more = "put the source of a foreign library in that only compiling needs (a,b,c)"
    add("--with", dest="libraries", action="append", metavar="LIBRARY", help=more)
    _search_options(bundle)
    bundle.set_defaults(run="rebuild.run_bundle")


def keygen_options(keygen: argparse.ArgumentParser) -> None:
    keygen.add_argument("file", metavar="FILE", help="where the secret key goes; the public one goes to FILE.pub")
    keygen.add_argument("--password", action="store_true", help="encrypt the secret key with a password")
    _password_option(keygen)
    keygen.set_defaults(run="trust.run_keygen")


def _password_option(command: argparse.ArgumentParser) -> None:
    text = "the secret key's password is the first line of FILE (default: MONOLISP_KEY_PASSWORD, or it is asked)"
    command.add_argument("--password-file", metavar="FILE", help=text)


def trust_parsers(commands: Any) -> None:
    keygen_options(commands.add_parser("keygen", help="make a pair of keys for signatures, as minisign does"))
    sign = commands.add_parser("sign", help="sign files")
    sign.add_argument("files", nargs="+", metavar="FILE", help="what to sign")
    how = sign.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", metavar="KEYFILE", help="with this secret key, as minisign does: writes FILE.minisig")
    how.add_argument("--gpg", metavar="KEYID", help="with this OpenPGP key, by gpg: writes FILE.asc")
    _password_option(sign)
    sign.set_defaults(run="trust.run_sign")
    verify = commands.add_parser("verify-signature", help="verify that a key signed a file")
    verify.add_argument("file", metavar="FILE")
    how = verify.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", metavar="PUBKEY|PUBFILE", help="minisign's public key, or the file that holds it")
    how.add_argument("--gpg", metavar="FINGERPRINT", help="the fingerprint of an OpenPGP key that gpg has")
    where = verify.add_mutually_exclusive_group()
    where.add_argument("--signature", metavar="FILE", help="the signature (default: FILE.minisig, FILE.asc, FILE.sig)")
    where.add_argument("--attestation", metavar="FILE", help="verify an attestation about the file instead")
    verify.set_defaults(run="trust.run_verify_signature")
    attest = commands.add_parser("attest", help="say what an executable is made of as an in-toto statement (SLSA)")
    attest.add_argument("file", metavar="FILE", help="an executable that monolisp made, for whatever processor")
    attest.add_argument("-o", "--output", metavar="FILE", help="where to (default: FILE.intoto.json)")
    attest.add_argument("--key", metavar="KEYFILE", help="sign it with this secret key (DSSE)")
    attest.add_argument("--builder", metavar="URI", help="what ran the build, such as the address of a CI's workflow")
    _password_option(attest)
    attest.set_defaults(run="trust.run_attest")


def push_parser(push: argparse.ArgumentParser) -> None:
    push.add_argument("archive", metavar="ARCHIVE", help="the image: an OCI archive")
    push.add_argument("reference", metavar="REGISTRY/NAME:TAG", help="where it goes")
    sbom = "attach an SBOM: of the programs in the image (default: cyclonedx), none, or a file, to one platform or all"
    kinds = "|".join((*SBOM_FORMATS, NO_SBOM))
    push.add_argument("--sbom", action="append", metavar=f"{kinds}|[PLATFORM=]FILE", help=sbom)
    push.add_argument("--plain-http", action="store_true", help="speak to the registry without TLS")
    push.set_defaults(run="push.run_push")
