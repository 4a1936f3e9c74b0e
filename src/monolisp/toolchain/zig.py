"""zig: C compiler, linker and musl in one Python package, pinned exactly.

docs/architecture.md says why this version: which libc is inside decides what every program is made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from monolisp.elf.reader import mapped
from monolisp.errors import StageFailed, ToolMissing, WrongZig
from monolisp.linkage.archive import members
from monolisp.process import Command, Runner
from monolisp.store import Store
from monolisp.target import Target

# Every link begins and ends with these: others have zig compile another libc, with debug information that no executable
# keeps, and its sanitizer's library. STRIPPED counts only behind the -g of SBCL's makefiles.
OPTIMIZED = "-O2"
STRIPPED = "-s"


@cache
def pin() -> Mapping[str, str]:
    """The rows of zig.toml: version of zig, and which libc that version holds."""
    import tomllib

    return {key: str(value) for key, value in tomllib.loads(pin_text()).items()}


def pin_text() -> str:
    return (Path(__file__).parent / "zig.toml").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Zig:
    """A zig that is there, and where it may keep what it compiles (musl, on the first use of a target)."""

    program: Path
    cache: Path
    path: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": self.path,
            "HOME": str(self.cache),
            "LC_ALL": "C",
            "ZIG_GLOBAL_CACHE_DIR": str(self.cache / "global"),
            "ZIG_LOCAL_CACHE_DIR": str(self.cache / "local"),
        }

    def cc(self, target: Target, *arguments: str | Path) -> list[str | Path]:
        return [self.program, "cc", "-target", target.triple, *arguments]

    def ld(self, *arguments: str | Path) -> list[str | Path]:
        return [self.program, "ld.lld", *arguments]

    def compile(self, target: Target, source: Path, output: Path, runner: Runner) -> None:
        """Compile one of our C files."""
        flags = (OPTIMIZED, "-std=gnu11", "-g0", "-ffile-prefix-map=" + str(source.parent) + "=.", "-c")
        argv = self.cc(target, *flags, source.name, "-o", output)
        done = runner(Command(argv, self.env, cwd=source.parent))
        if done.returncode != 0:
            raise StageFailed(stage="compiling " + source.name, reason="", tail=done.text, log="(shown above)")


def find_zig(store: Store, path: str) -> Zig:
    """The pinned zig among the installed Python packages; `path` is the PATH of the processes it starts."""
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    expected = pin()["version"]
    try:
        found = version("ziglang")
    except PackageNotFoundError as error:
        raise ToolMissing(tool="zig", detail=f"the Python package ziglang {expected} is not installed") from error
    if found != expected:
        raise WrongZig(found=found, expected=expected)
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolMissing(tool="zig", detail="the Python package ziglang is damaged")
    return Zig(Path(spec.origin).parent / "zig", store.area("zig", expected), path)


@dataclass(frozen=True)
class CLibrary:
    """What a static link takes from zig's libc: the start file, and archives in link order."""

    start: Path
    archives: Sequence[Path]


def c_library(zig: Zig, target: Target, work: Path, runner: Runner) -> CLibrary:
    """Have zig compile its libc for `target` (half a minute, once) and say where the results are.

    zig names them only in the linker command that it shows for -v.
    """
    (work / "empty.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
    argv = zig.cc(target, OPTIMIZED, "-static", "empty.c", "-o", "empty", "-v", STRIPPED)
    done = runner(Command(argv, zig.env, cwd=work))
    words = [word for line in done.text.splitlines() if "ld.lld" in line for word in line.split()]
    start = [Path(word) for word in words if re.search(r"/crt1\.o$", word)]
    archives = list(dict.fromkeys(Path(word) for word in words if word.endswith(".a")))
    if done.returncode != 0 or not start or not archives:
        raise StageFailed(stage="C library", reason="zig did not say what it links", tail=done.text[-2000:], log="-")
    return CLibrary(start[-1], archives)


def copy_archive(zig: Zig, archive: Path, output: Path, work: Path, runner: Runner) -> None:
    """Make `output` of the members of `archive` in their order, under their names alone: zig's say where its cache is.
    `work` is a new directory for them. Raises BadElf, StageFailed."""
    files: list[Path] = []
    with mapped(archive) as view:
        for number, member in enumerate(members(view, str(archive))):
            files.append(work / str(number) / Path(member.name).name)
            files[-1].parent.mkdir(parents=True)
            files[-1].write_bytes(member.data)
    done = runner(Command([zig.program, "ar", "qcsD", output, *files], zig.env))
    if done.returncode != 0:
        raise StageFailed(stage="C library", reason="zig's ar failed", tail=done.text[-2000:], log="-")
