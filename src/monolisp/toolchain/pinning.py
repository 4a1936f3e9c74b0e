"""`monolisp toolchain new`: the pin of an SBCL version that monolisp does not know yet.

The nearest known version is the pattern; what can be seen in the source itself decides what differs from it.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from monolisp.errors import BadOption, NoSuchFile, NotSbcl, PinExists, SourceUnavailable
from monolisp.process import Command
from monolisp.remote.pack import add_file
from monolisp.sources.download import download_unpinned
from monolisp.sources.fetch import KIND
from monolisp.sources.pin import PlaceFailed, UpstreamPlace
from monolisp.sources.unpack import unpack
from monolisp.store import Store, sha256_file
from monolisp.store.manifest import paths_in
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.version import Linking, known_versions, nearest_version, own_pins, version_text

_VERSION = re.compile(r"[0-9]+(\.[0-9]+){1,3}([.-][A-Za-z0-9]+)*")
_MADE = ("output", "obj", ".git")


def new_pin(version: str, source: str, machine: Machine) -> Path:
    """Pin SBCL `version`, whose source is an archive, a directory, a git checkout or an address; returns the pin.

    The archive is kept in the store. Raises BadOption, PinExists, NoSuchFile, SourceUnavailable, NotSbcl and what
    unpacking raises.
    """
    if not _VERSION.fullmatch(version):
        reason = "a version is numbers with points between them, such as 2.6.5"
        raise BadOption(option="VERSION", value=version or '""', reason=reason, command="toolchain new")
    path = own_pins() / f"{version}.toml"
    if version in known_versions():
        raise PinExists(version=version, path=path)
    with tempfile.TemporaryDirectory(prefix="monolisp-") as folder:
        work = Path(folder)
        archive, url = _archive(version, source, work, machine)
        unpack(archive, work / "tree")
        text = pin_text(version, archive, url, work / "tree")
        _keep(archive, machine.store)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _archive(version: str, source: str, work: Path, machine: Machine) -> tuple[Path, str | None]:
    """The source as one file, and its address if it has one."""
    if re.match(r"https?://.*/[^/]+$", source):
        try:
            place: UpstreamPlace = download_unpinned(source, work, machine.progress)
        except PlaceFailed as error:
            raise SourceUnavailable(source=source, attempts=error.reason, file="it") from error
        return work / place.file, source
    path = Path(source)
    if path.is_file():
        return path, None
    if not path.is_dir():
        raise NoSuchFile(file=source, reason="--from names an archive, a directory, a git checkout, or an address")
    packed = work / f"sbcl-{version}.tar"
    if (path / ".git").exists() or (path / "objects").is_dir():
        _pack_commit(version, path, packed, machine)
    else:
        _pack_tree(version, path, packed)
    return packed, None


def _pack_commit(version: str, repository: Path, packed: Path, machine: Machine) -> None:
    """What the tag of this version holds, or else what is checked out, as git packs it: the same bytes everywhere."""
    env = {"PATH": machine.path, "LC_ALL": "C", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    git = ["git", "-c", "safe.directory=*", "-C", str(repository)]
    said = "it cannot be read"
    for commit in (f"sbcl-{version}", "HEAD"):
        argv = [*git, "archive", "--format=tar", f"--prefix=sbcl-{version}/", "-o", str(packed), commit]
        done = machine.runner(Command(argv, env))
        if done.returncode == 0:
            return
        said = done.text.strip()
    raise NotSbcl(source=repository, reason=f"git could not pack it: {said}")


def _pack_tree(version: str, tree: Path, packed: Path) -> None:
    """A directory as an archive whose bytes depend on nothing but the files' names, contents and modes."""
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths_in(tree):
            if path.partition("/")[0] not in _MADE:
                add_file(tar, tree / path, f"sbcl-{version}/{path}")


def _keep(archive: Path, store: Store) -> None:
    store.entry(KIND, sha256_file(archive), partial(_copied, archive))


def _copied(archive: Path, directory: Path) -> None:
    shutil.copyfile(archive, directory / archive.name)


def pin_text(version: str, archive: Path, url: str | None, tree: Path) -> str:
    """The TOML text of the pin of an unpacked SBCL, after the pattern of the nearest known one. Raises NotSbcl."""
    if not (tree / "make-config.sh").is_file() or not (tree / "src" / "runtime" / "coreparse.c").is_file():
        raise NotSbcl(source=archive.name, reason="it has no make-config.sh and src/runtime: is it SBCL's source?")
    near = nearest_version(version)
    pattern = tomllib.loads(version_text(near))
    runtime = {path.name: path.read_text("utf-8", "replace") for path in (tree / "src" / "runtime").glob("*.c")}
    place = [f"url = {_quoted(url)}"] if url else [f"file = {_quoted(archive.name)}"]
    lines = [
        f"# SBCL {version}, made by `monolisp toolchain new` after the pattern of {near}.",
        f"version = {_quoted(version)}",
        f"options = {_list(pattern['options'])}",
        f"cflags = {_list(pattern['cflags'])}",
        f"weaken = {_list([name for name in pattern['weaken'] if _defines(runtime, name)])}",
        f"linking = {_quoted(linking_of(runtime))}",
        *(['headers = ["sbcl.h"]'] if _makes_header(tree / "src" / "runtime" / "GNUmakefile") else []),
        "",
        "[without]",
        *(f"{_quoted(name)} = {_quoted(why)}" for name, why in pattern["without"].items()),
        "",
        "[stages]",
        *(f"{_quoted(name)} = {seconds}" for name, seconds in pattern["stages"].items()),
        "",
        "[source]",
        'name = "sbcl"',
        f"version = {_quoted(version)}",
        f"licence = {_quoted(pattern['source']['licence'])}",
        "",
        "[[source.place]]",
        *place,
        f"sha256 = {_quoted(sha256_file(archive))}",
        f"size = {archive.stat().st_size}",
    ]
    return "\n".join([*lines, ""])


def linking_of(runtime: Mapping[str, str]) -> Linking:
    """How cores of this runtime (file → text) can be linked: from 2.6.2 on they tell the names that they need, in a
    vector that the function which links them is given."""
    told = re.search(r"\bos_link_runtime\(lispobj \w+, *lispobj \w+\)", runtime.get("os-common.c", ""))
    return Linking.PRELINKED if told else Linking.LOOKUP


def _makes_header(makefile: Path) -> bool:
    """Before 2.4 the runtime's makefile made sbcl.h; now SBCL's compiler does."""
    return makefile.is_file() and bool(re.search(r"^sbcl\.h:", makefile.read_text("utf-8", "replace"), re.MULTILINE))


def _defines(runtime: Mapping[str, str], name: str) -> bool:
    """Whether some file of C defines the function: a declaration with a body."""
    return any(re.search(rf"^(\w[^;(]*[ *])?{name}\([^;]*\)\s*\{{", text, re.MULTILINE) for text in runtime.values())


def _quoted(text: str) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, values))}]"
