"""The host Lisp: any Lisp of this machine that can compile SBCL's compiler; never part of what is delivered.

SBCL is built in two steps so that the result does not depend on the host; its own continuous integration compares what
SBCL, CCL, CLISP and CMUCL make of it, file by file. Source: SBCL .github/workflows/cl-host.yml and INSTALL 2.5, 2.6.4.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from monolisp.errors import CannotStart, CommandTimeout, NoHostLisp, ToolMissing
from monolisp.process import Command, Runner
from monolisp.sources.debian import fetch_binary
from monolisp.sources.fetch import FetchOptions
from monolisp.sources.pin import PlaceFailed
from monolisp.store import Store, digest_of, sha256_file

KIND = "host-lisps"
_PACKAGE = "sbcl"
_SBCL_OPTIONS = ("--lose-on-corruption", "--disable-ldb", "--no-sysinit", "--no-userinit", "--disable-debugger")
# Kind, the names it goes by, and the options that make it read standard input and leave a person's own settings alone.
_Kind = tuple[str, Sequence[str], Sequence[str]]
_SBCL: _Kind = ("sbcl", ("sbcl",), _SBCL_OPTIONS)
# Asked when no SBCL can be had: SBCL compiles itself in a minute, CLISP 2.49.93 takes twenty. ECL is not among them:
# 21.2.1 stops in the middle of 2.6.4's cross-compiler, and ends with exit code 0 all the same.
_OTHERS: Sequence[_Kind] = (
    ("ccl", ("ccl", "ccl64", "lx86cl64"), ("--batch", "--no-init")),
    ("clisp", ("clisp",), ("-norc", "-ansi", "-q", "-on-error", "exit")),
)
_TIMEOUT = 60.0
# sb-posix lets an SBCL host compile with several processes (SBCL src/cold/shared.lisp).
_PROBE = b"""\
(format t "~%host: ~A ~A~%" (lisp-implementation-type) (lisp-implementation-version))
#+sbcl (when (require :sb-posix) (format t "~%parallel: yes~%"))
"""


@dataclass(frozen=True)
class HostLisp:
    """A Lisp that answered: `argv` starts it so that it reads standard input to the end, with `env` added.

    `parallel`: it can compile with several processes. `version` is what it says of itself, `package` the Debian package
    and `sha256` its checksum when it was fetched for this purpose (both empty for a Lisp found on PATH).
    """

    kind: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    parallel: bool = False
    version: str = ""
    package: str = ""
    sha256: str = ""


def lisp_names() -> list[str]:
    """The programs that are looked for on PATH, in their order."""
    return [name for _, names, _ in (_SBCL, *_OTHERS) for name in names]


def find_host_lisp(store: Store, options: FetchOptions, runner: Runner, path: str) -> HostLisp:
    """SBCL on `path`, or else Debian's sbcl unpacked into the store, or else another Lisp on `path`.

    One that does not answer is passed over. Raises NoHostLisp.
    """
    attempts: list[Callable[[], HostLisp]] = [
        partial(_on_path, _SBCL, runner, path),
        partial(_from_debian, store, options, runner, path),
        *(partial(_on_path, kind, runner, path) for kind in _OTHERS),
    ]
    failures: list[str] = []
    for attempt in attempts:
        try:
            return attempt()
        except PlaceFailed as error:
            failures.append(error.reason)
    raise NoHostLisp(tried=", ".join(lisp_names()), reason="; ".join(filter(None, failures)))


def _on_path(kind: _Kind, runner: Runner, path: str) -> HostLisp:
    name, programs, arguments = kind
    failures: list[str] = []
    for program in filter(None, (shutil.which(program, path=path) for program in programs)):
        try:
            return _probed(HostLisp(name, (program, *arguments)), runner, path)
        except PlaceFailed as error:
            failures.append(f"{program} {error.reason}")
    raise PlaceFailed("; ".join(failures))


def _probed(lisp: HostLisp, runner: Runner, path: str) -> HostLisp:
    """`lisp` with what it says of itself. Raises PlaceFailed when it does not answer."""
    env = {"PATH": path, "LC_ALL": "C", **lisp.env}
    try:
        done = runner(Command(lisp.argv, env, stdin=_PROBE, timeout=_TIMEOUT))
    except (ToolMissing, CannotStart, CommandTimeout) as error:
        raise PlaceFailed(f"does not run ({error.what_text})") from error
    said = re.search(r"^host: (.+)$", done.text, re.MULTILINE)
    if said is None:
        raise PlaceFailed(f"does not run (exit code {done.returncode}: {' '.join(done.text.split())[-200:]})")
    return replace(lisp, version=said[1].strip(), parallel="\nparallel: yes\n" in done.text)


def _from_debian(store: Store, options: FetchOptions, runner: Runner, path: str) -> HostLisp:
    """Debian's sbcl package, unpacked privately: once per store, so that later builds need no network."""
    digest = digest_of(["host Lisp", "Debian", _PACKAGE])

    def make(directory: Path) -> None:
        if options.offline:
            raise PlaceFailed("--offline forbids fetching it")
        _unpack_package(directory, options, runner)
        _probed(_unpacked(directory), runner, path)

    return _probed(_unpacked(store.entry(KIND, digest, make)), runner, path)


def _unpack_package(directory: Path, options: FetchOptions, runner: Runner) -> None:
    package = fetch_binary(_PACKAGE, directory, runner, options.environ)
    facts = {"package": package.name, "sha256": sha256_file(package)}
    env = {"PATH": options.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    try:
        done = runner(Command(["dpkg-deb", "-x", package, directory / "root"], env, timeout=_TIMEOUT))
    except (ToolMissing, CannotStart, CommandTimeout) as error:
        raise PlaceFailed(error.what_text) from error
    if done.returncode != 0:
        raise PlaceFailed(f"dpkg-deb could not unpack {package.name}: {done.text.strip()}")
    package.unlink()
    (directory / "host.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _unpacked(directory: Path) -> HostLisp:
    facts = json.loads((directory / "host.json").read_bytes())
    usr = directory / "root" / "usr"
    home = usr / "lib" / "sbcl"
    argv = (str(usr / "bin" / "sbcl"), "--core", str(home / "sbcl.core"), *_SBCL_OPTIONS)
    return HostLisp("sbcl", argv, package=facts["package"], sha256=facts["sha256"])
