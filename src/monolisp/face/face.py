"""A face: a directory of the store that looks like an installed SBCL, and the environment in which it is found."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from monolisp.errors import CoreOfAnother, LispDied, MonolispError, NoFace
from monolisp.libraries.compilers import compilers
from monolisp.libraries.wishes import Wishes
from monolisp.lisp.corefile import build_id_of
from monolisp.lisp.job import output_translations, sexp
from monolisp.lisp.session import FOLDER, compiled, environment, fasl_area, headers_digest, lisp
from monolisp.process import Command
from monolisp.store import Store, digest_of
from monolisp.target import find_target
from monolisp.toolchain.machine import DEFAULT_PATH, Machine
from monolisp.toolchain.toolchain import FACES, Toolchain
from monolisp.toolchain.toolchain import KIND as TOOLCHAINS
from monolisp.toolchain.version import build_id, find_version

KIND, _CORES = FACES
_LISP_FILES = (FOLDER / "names.lisp", Path(__file__).parent / "face.lisp")
WISHES, OFFLINE, SOURCE_DIR = "MONOLISP_WISHES", "MONOLISP_OFFLINE", "MONOLISP_SOURCE_DIR"
# What a build of ours tells its own Lisp; nothing of it is meant for another.
PRIVATE = ("MONOLISP_DESK", "MONOLISP_EVENTS_FD", "MONOLISP_RECORD_FD", "MONOLISP_PROBE", "MONOLISP_LAUNCHER")
# Where another SBCL has its core and contribs; ours finds its own beside itself.
OTHERS = ("SBCL_HOME",)
_PACKAGE = str(Path(__file__).parents[1])
# What it shall finish does not stay when monolisp has been removed since.
_CLERK = """\
#!/bin/sh
if [ -x {0} ] && [ -d {1} ]; then
    exec {0} -I -m monolisp.cli.clerk "${{0%/*}}" "$@"
fi
echo "error: the monolisp that this SBCL belongs to is gone; start it anew with monolisp sbcl" >&2
[ "$1" = finish ] && rm -f "$2"
exit 9
"""


@dataclass(frozen=True)
class Face:
    """bin/sbcl, lib/sbcl/ with core and contribs as SBCL looks for them, and `clerk`, which linkage/clerk.c starts."""

    path: Path
    toolchain: Toolchain

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def runtime(self) -> Path:
        return self.bin / "sbcl"

    @property
    def clerk(self) -> Path:
        return self.path / "clerk"

    @property
    def store(self) -> Path:
        return self.path.parents[1]


def find_face(toolchain: Toolchain, store: Store) -> tuple[Face, bool]:
    """The face of a toolchain for this Python, and whether it is in the store."""
    digest = digest_of(["face", _core_digest(toolchain), sys.executable, _PACKAGE, _CLERK, str(store.root)])
    path = store.path(KIND, digest)
    return Face(path, toolchain), path.is_dir()


def ensure_face(toolchain: Toolchain, machine: Machine) -> Face:
    """Have the face of a toolchain that is in the store: its core takes a second to make."""
    face, there = find_face(toolchain, machine.store)
    if there:
        return face
    digest = _core_digest(toolchain)
    core = machine.store.entry(_CORES, digest, lambda directory: _make_core(toolchain, directory, machine))

    def make(directory: Path) -> None:
        home = directory / "lib" / "sbcl"
        home.mkdir(parents=True)
        (directory / "bin").mkdir()
        _share(toolchain.build_runtime, directory / "bin" / "sbcl")
        _share(core / "sbcl.core", home / "sbcl.core")
        near = toolchain.path.parents[1] == machine.store.root
        above = Path("../../../..") if near else toolchain.path.parents[1]
        (home / "contrib").symlink_to(above / TOOLCHAINS / toolchain.path.name / "contrib")
        (directory / "face.json").write_text(_facts(toolchain), encoding="utf-8")
        (directory / "clerk").write_text(_CLERK.format(*map(shlex.quote, (sys.executable, _PACKAGE))), encoding="utf-8")
        (directory / "clerk").chmod(0o755)

    machine.store.entry(KIND, face.path.name, make)
    return face


def _share(file: Path, name: Path) -> None:
    """One file under two names; where that cannot be, a copy."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copy2(file, name)


def face_at(path: Path) -> Face:
    """The face in the directory `path`. Raises NoFace."""
    try:
        facts = json.loads((path / "face.json").read_bytes())
    except OSError as error:
        raise NoFace(path=path, reason=error.strerror or error) from error
    toolchain = Path(facts["path"])
    return Face(path, Toolchain(toolchain, facts["toolchain"], facts["version"], find_target(facts["target"])))


def _core_digest(toolchain: Toolchain) -> str:
    return digest_of(["face core", toolchain.digest, [path.read_text(encoding="utf-8") for path in _LISP_FILES]])


def _facts(toolchain: Toolchain) -> str:
    facts = {"version": toolchain.version, "target": toolchain.target.triple, "toolchain": toolchain.digest}
    facts["path"] = str(toolchain.path)
    return json.dumps(facts)


def _make_core(toolchain: Toolchain, directory: Path, machine: Machine) -> None:
    absent = find_version(toolchain.version).without
    pairs = " ".join(f"({sexp(name)} . {sexp(why)})" for name, why in sorted(absent.items()))
    # Not --non-interactive: it would be saved as well.
    forms = (f"(monolisp-face:install '({pairs}))", '(save-lisp-and-die "sbcl.core")')
    argv = [*lisp(toolchain, machine), "--load", compiled(_LISP_FILES, toolchain, machine)]
    argv += [part for form in forms for part in ("--eval", form)]
    done = machine.runner(Command(argv, environment(toolchain, machine), cwd=directory))
    if done.returncode != 0:
        raise LispDied(place="while saving the core of monolisp sbcl", reason=done.text[-2000:])
    (directory / "face.json").write_text(_facts(toolchain), encoding="utf-8")


def require_own_core(arguments: Sequence[str], toolchain: Toolchain) -> None:
    """What --core names was saved by this very SBCL: it would say so itself, but in its own terms. Raises
    CoreOfAnother; a file that is no core is SBCL's to speak of."""
    if "--core" not in arguments[:-1]:
        return
    path = Path(arguments[arguments.index("--core") + 1])
    try:
        found = build_id_of(path)
    except MonolispError:
        return
    expected = build_id(toolchain.digest)
    if found != expected:
        raise CoreOfAnother(file=path, found=found, expected=expected)


@dataclass(frozen=True)
class Surroundings:
    """What makes sbcl, cc and pkg-config ours, for `monolisp sbcl` and all that it starts: directories that go first on
    PATH, variables that are set, and those that are set where the user has not."""

    path: tuple[Path, ...]
    variables: Mapping[str, str]
    defaults: Mapping[str, str]

    def of(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The whole environment, made of the user's."""
        kept = {name: value for name, value in environ.items() if name not in (*PRIVATE, *OTHERS)}
        path = ":".join([*map(str, self.path), environ.get("PATH", DEFAULT_PATH)])
        return {**self.defaults, **kept, **self.variables, "PATH": path}


def surroundings(face: Face, wishes: Wishes, machine: Machine) -> Surroundings:
    """Compiled Lisp files go where no other SBCL looks: their headers were musl's."""
    fasls = fasl_area(machine.store, face.toolchain, headers_digest(wishes.folders[1:], wishes.include))
    told = {WISHES: wishes_text(wishes)} if wishes != Wishes() else {}
    told |= {OFFLINE: "yes"} if machine.offline else {}
    told |= {SOURCE_DIR: str(machine.source_dir)} if machine.source_dir else {}
    return Surroundings(
        (face.bin, compilers(face.toolchain.target, machine)),
        {"CC": "cc", "CXX": "c++", "MONOLISP_CLERK": str(face.clerk), **told},
        {"ASDF_OUTPUT_TRANSLATIONS": output_translations(fasls)},
    )


def wishes_text(wishes: Wishes) -> str:
    return json.dumps(asdict(wishes), default=str)


def read_wishes(text: str | None) -> Wishes:
    """What the user said to `monolisp sbcl`, as children of it find it in their environment."""
    if not text:
        return Wishes()
    told = json.loads(text)
    archives = tuple((Path(path), name) for path, name in told["archives"])
    include, folders = (tuple(map(Path, told[name])) for name in ("include", "folders"))
    return Wishes(tuple(told["recipes"]), archives, include, tuple(told["absent"]), folders)
