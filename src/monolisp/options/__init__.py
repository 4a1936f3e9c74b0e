"""The command line as argparse describes it: commands, options, and what --help says of them.

Every command names the function, in a module of cli/, that carries it out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monolisp import __version__
from monolisp.options.finished import (
    SBOM_FORMATS,
    bundle_parser,
    inspect_parser,
    keygen_options,
    licenses_parser,
    linkage_parser,
    push_parser,
    rebuild_parser,
    remote_options,
    sbom_parser,
    trust_parsers,
    verify_parser,
)

_WITHOUT_VALUE = ("--offline", "--push", "--help", "-h")
# The options that may stand before SBCL's; --help and --version behind `sbcl` are SBCL's.
BEFORE_SBCL = {"--with", "--with-archive", "--soname", "--include", "--recipes", "--absent"}
BEFORE_SBCL |= {"--sbcl", "--features", "--with-feature", "--source-dir", "--offline"}
BEFORE_SBCL |= {"--remote", "--push", "--sign-key"}


def parser() -> argparse.ArgumentParser:
    description = "One static Linux executable from any Common Lisp program."
    top = argparse.ArgumentParser(prog="monolisp", description=description)
    top.add_argument("--version", action="version", version=f"monolisp {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _build_parser(commands.add_parser("build", help="build an executable", description=_BUILD, formatter_class=_Raw))
    verify_parser(commands.add_parser("verify", help="check that files are truly static"))
    inspect_parser(commands.add_parser("inspect", help="say what an executable is made of"))
    sbom_parser(commands.add_parser("sbom", help="print an executable's bill of materials: CycloneDX or SPDX"))
    licenses = "print the licences of all that is in an executable, and what they ask for"
    licenses_parser(commands.add_parser("licenses", help=licenses))
    rebuild_parser(commands.add_parser("rebuild", help="build an executable again from what it says of itself"))
    bundle_parser(commands.add_parser("bundle", help="collect all that building an executable again needs"))
    linkage_parser(commands.add_parser("linkage", help="list the foreign names of an executable or core"))
    _toolchain_parser(commands.add_parser("toolchain", help="list, build, find or remove toolchains"))
    _library_parser(commands.add_parser("library", help="list, show, build foreign libraries, or begin a recipe"))
    _matrix_parser(commands.add_parser("matrix", help="build programs for several targets and SBCL versions"))
    _store_parser(commands.add_parser("store", help="look after the store, and share what is in it"))
    trust_parsers(commands)
    push_parser(commands.add_parser("push", help="put an OCI image into a registry"))
    doctor = commands.add_parser("doctor", help="say what this machine lacks and what installs it")
    doctor.add_argument("--json", action="store_true", help="machine-readable")
    doctor.set_defaults(run="look.run_doctor")
    _sbcl_parsers(commands)
    asdf = commands.add_parser("asdf", help="print where ASDF finds the system monolisp-asdf")
    asdf.set_defaults(run="look.run_asdf")
    completion = commands.add_parser("completion", help="print a completion script for a shell")
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    completion.set_defaults(run="look.run_completion")
    return top


_Raw = argparse.RawDescriptionHelpFormatter
_BUILD = """\
Build one static executable.

  monolisp build hello.lisp            a script: its function MAIN is the program
  monolisp build my-system             an ASDF system: its :entry-point is the program
  monolisp build                       the one system, or the monolisp.toml, of this directory

The first build on a machine makes the toolchain (minutes); it is kept. What the command line says
goes before what monolisp.toml says.

The finished program takes every argument for itself. These environment variables change how it starts:
MONOLISP_HEAP and MONOLISP_STACK (sizes such as 4GiB).
"""


def _build_parser(build: argparse.ArgumentParser) -> None:
    add = build.add_argument
    add("inputs", nargs="*", metavar="FILE|SYSTEM", help="Lisp files, or one ASDF system")
    add("-o", "--output", metavar="FILE", help="name of the executable")
    entry = "what the program does (default: MAIN, or the system's :entry-point)"
    add("--entry", metavar="[PACKAGE:]FUNCTION", help=entry)
    add("--registry", dest="registries", action="append", metavar="DIR", help="look for systems below DIR as well")
    add("--quicklisp", metavar="DIR", help="the Quicklisp directory (default: ~/quicklisp)")
    add("--feature", dest="features", action="append", metavar="NAME", help="add :NAME to *features* before loading")
    evaluated = "evaluate before loading"
    add("--eval", type=_eval_before, dest="before", action="append", metavar="FORM", help=evaluated)
    add("--load", type=_load_before, dest="before", action="append", metavar="FILE", help="load before the program")
    add("--embed", action="append", metavar="PATTERN", help="put files into the executable")
    add("--heap", metavar="SIZE", help="heap of the program (default 1GiB)")
    add("--stack", metavar="SIZE", help="control stack of each thread (default 2MiB)")
    add("--build-heap", metavar="SIZE", help="heap while building (default: the program's, at least 1GiB)")
    _version_options(build)
    targets = "what to build for: arm64, x86_64-linux-musl, …; several, or all, give one executable for each"
    add("--target", dest="targets", action="append", metavar="TARGET", help=targets)
    add("--debugger", action="store_true", default=None, help="an unhandled error enters the debugger")
    _library_options(build)
    _oci_options(build)
    _companion_options(build)
    add("--always", action="store_true", help="build even when nothing changed")
    twice = "build a second time under other conditions, and say where the two differ"
    add("--check-reproducible", action="store_true", help=twice)
    _fetch_options(build)
    add("--dry-run", action="store_true", help="print the plan and do nothing")
    add("--explain", action="store_true", help="say why each step runs")
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="show what the Lisp compiler prints")
    build.set_defaults(run="build.run_build")


def _version_options(command: argparse.ArgumentParser) -> None:
    """Which SBCL; --feature, without an s, is for the program."""
    add = command.add_argument
    add("--sbcl", metavar="VERSION", help="SBCL version")
    variant = "build SBCL itself with or without features: +sb-safepoint,-sb-thread"
    add("--features", dest="sbcl_features", action="append", metavar="±NAME,…", help=variant)
    with_one = "the same as --features +NAME"
    add("--with-feature", type="+{}".format, dest="sbcl_features", action="append", metavar="NAME", help=with_one)


def _foreign_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--with", dest="libraries", action="append", metavar="LIBRARY", help="link these foreign libraries (a,b,c)")
    add("--with-archive", dest="archives", action="append", metavar="FILE", help="link a static archive of your own")
    add("--soname", action=_Soname, metavar="NAME", help="what the archive before answers to, such as libfoo.so.1")
    add("--include", action="append", metavar="DIR", help="look for C headers in DIR as well")
    add("--recipes", action="append", metavar="DIR", help="look for recipes in DIR as well")
    add("--absent", action="append", metavar="LIBRARY", help="do without a library: calling into it is a Lisp error")


def _library_options(build: argparse.ArgumentParser) -> None:
    add = build.add_argument
    _foreign_options(build)
    add("--export", action="append", metavar="SYMBOL", help="let the program look C symbols up by name (a,b,c*)")
    add("--embed-ca", action="store_true", default=None, help="put certifi's certificates inside, for OpenSSL")
    add("--update", action="store_true", help="write monolisp.lock anew")


def _oci_options(build: argparse.ArgumentParser) -> None:
    add = build.add_argument
    add("--oci", metavar="FILE", help="write an OCI image as well, with just the executable")
    add("--oci-ca", action="store_true", help="with certifi's certificates in the image")
    add("--oci-tz", action="store_true", help="with time zones in the image")
    add("--oci-tmp", action="store_true", help="with a directory /tmp in the image")
    add("--oci-user", metavar="USER", help="run as this user, not as root: 65532, 65532:65532 or a name")


def _companion_options(build: argparse.ArgumentParser) -> None:
    add = build.add_argument
    sbom = "write a bill of materials beside the executable: FILE.cdx.json, FILE.spdx.json"
    add("--sbom", dest="sboms", action="append", choices=SBOM_FORMATS, help=sbom)
    add("--attest", action="store_true", help="write FILE.intoto.json as well: what it is made of, for others")
    add("--checksum", action="store_true", help="note the sha256 of all that is written in SHA256SUMS")


class _Soname(argparse.Action):
    """--soname belongs to the --with-archive before it."""

    def __call__(self, parser: argparse.ArgumentParser, options: argparse.Namespace, value: Any, _: Any = None) -> None:
        from monolisp.project import AS

        if not options.archives or AS in options.archives[-1]:
            parser.error("--soname follows the --with-archive that it is for")
        options.archives[-1] += AS + str(value)


def _eval_before(form: str) -> tuple[str, str]:
    return "eval", form


def _load_before(file: str) -> tuple[str, str]:
    return "load", str(Path(file).absolute())


def _fetch_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--offline", action="store_true", help="never use the network")
    add("--source-dir", metavar="DIR", help="take sources from DIR when they are there")
    remote_options(command)


def _matrix_parser(matrix: argparse.ArgumentParser) -> None:
    add = matrix.add_argument
    add("file", nargs="?", metavar="FILE", help="a TOML file (default: the table [matrix] of monolisp.toml)")
    add("-o", "--output", metavar="DIR", default="dist", help="where the executables go (default: dist)")
    add("--workers", metavar="N", help="how many programs are built at a time (default: by processors and memory)")
    add("--scheduler", metavar="URL", help="have a Dask cluster do the work: tcp://HOST:8786")
    add("--dry-run", action="store_true", help="print the plan and do nothing")
    add("--json", action="store_true", help="print the summary as JSON")
    _fetch_options(matrix)
    matrix.set_defaults(run="matrix.run_matrix", verbose=False)


def _store_parser(store: argparse.ArgumentParser) -> None:
    actions = store.add_subparsers(metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=text)
        parser.set_defaults(run=f"store.run_store_{name}", verbose=False, offline=False, source_dir=None)
        return parser

    for name, text in (("info", "what is in it, and how large"), ("verify", "read all of it, and say what is damaged")):
        action(name, text).add_argument("--json", action="store_true", help="machine-readable")
    prune = action("prune", "let go what was not used for longest")
    prune.add_argument("--keep", required=True, metavar="SIZE", help="until at most this is left, such as 10GB")
    for name, text in (("export", "write entries to a file"), ("push", "put entries into the remote store")):
        parser = action(name, text)
        if name == "export":
            parser.add_argument("file", metavar="FILE", help="the archive to write")
        parser.add_argument("entries", nargs="*", metavar="KIND/DIGEST", help="which (default: all that can be shared)")
        if name == "push":
            remote_options(parser)
    action("import", "take entries from a file").add_argument("file", metavar="FILE")
    keygen = action("keygen", "the same as `monolisp keygen`")
    keygen_options(keygen)


def _sbcl_parsers(commands: Any) -> None:
    """SBCL's own options are not argparse's: `split` says where they begin."""
    starts = {
        "sbcl": ("start SBCL; the executables that it saves are truly static", "OPTION", "SBCL's own options"),
        "exec": ("run a command that finds this SBCL as sbcl", "COMMAND", "the command and its arguments, behind --"),
        "env": ("print shell commands that make this SBCL the one that is found", None, None),
        "shell": ("open a shell in which this SBCL is the one that is found", None, None),
    }
    for name, (text, metavar, what) in starts.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _version_options(command)
        _foreign_options(command)
        _fetch_options(command)
        if metavar:
            command.add_argument("arguments", nargs="*", metavar=metavar, help=what)
        command.set_defaults(run=f"sbcl.run_{name}", verbose=False, arguments=[])


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments that are ours, and those of what `monolisp sbcl` or `exec` starts: from the first that is not an
    option of ours, or from behind "--"."""
    if argv[:1] not in (["sbcl"], ["exec"]):
        return list(argv), []
    place = 1
    while place < len(argv):
        name, equals, _ = argv[place].partition("=")
        if argv[place] == "--":
            return list(argv[:place]), list(argv[place + 1 :])
        if name not in BEFORE_SBCL | ({"-h", "--help"} if argv[0] == "exec" else set()):
            break
        place += 1 if equals or name in _WITHOUT_VALUE else 2
    return list(argv[:place]), list(argv[place:])


def _toolchain_parser(toolchain: argparse.ArgumentParser) -> None:
    actions = toolchain.add_subparsers(metavar="ACTION", required=True)
    for name, text in (("list", "what is in the store"), ("build", "build it now"), ("path", "print where it is")):
        action = actions.add_parser(name, help=text)
        _version_options(action)
        action.add_argument("--target", metavar="TARGET")
        action.add_argument("--json", action="store_true", help="machine-readable")
        _fetch_options(action)
        action.set_defaults(run=f"toolchain.run_toolchain_{name}", verbose=False)
    new = actions.add_parser("new", help="pin another SBCL version")
    new.add_argument("version", metavar="VERSION")
    source = "an archive, an unpacked source, a git checkout, or an address (https://…)"
    new.add_argument("--from", dest="source", required=True, metavar="FILE|DIR|URL", help=source)
    _fetch_options(new)
    new.set_defaults(run="toolchain.run_toolchain_new", verbose=False)
    prune = actions.add_parser("prune", help="remove toolchains that this monolisp does not use")
    prune.add_argument("--all", action="store_true", help="remove the ones in use too")
    prune.set_defaults(run="toolchain.run_toolchain_prune")


def _library_parser(library: argparse.ArgumentParser) -> None:
    actions = library.add_subparsers(metavar="ACTION", required=True)
    for name, text in (("list", "every recipe"), ("show", "one recipe"), ("build", "build libraries now")):
        action = actions.add_parser(name, help=text)
        if name != "list":
            action.add_argument("names", nargs="+", metavar="LIBRARY")
        action.add_argument("--recipes", action="append", metavar="DIR", help="look for recipes in DIR as well")
        action.add_argument("--target", metavar="TARGET")
        action.add_argument("--json", action="store_true", help="machine-readable")
        _fetch_options(action)
        action.set_defaults(run=f"library.run_library_{name}", verbose=False)
    new = actions.add_parser("new", help="print a recipe to begin with")
    new.add_argument("source", metavar="URL|FILE|debian:PACKAGE[/SUITE]", help="where the library's source is")
    _fetch_options(new)
    new.set_defaults(run="library.run_library_new", verbose=False)
