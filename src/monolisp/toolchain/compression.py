"""zstd, which SBCL compresses cores with: part of a toolchain, and of those executables whose core is compressed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import StageFailed
from monolisp.process import Command, Runner
from monolisp.sources.unpack import unpack
from monolisp.target import Target
from monolisp.toolchain.machine import jobs
from monolisp.toolchain.zig import OPTIMIZED, Zig

if TYPE_CHECKING:
    from monolisp.sources.pin import Pin

ARCHIVE = "libzstd.a"
# The recipe of the same library says which source is meant.
_RECIPE = Path(__file__).parents[1] / "libraries" / "recipes" / "zstd.toml"
_FOLDERS = ("common", "compress", "decompress")
_FLAGS = (OPTIMIZED, "-g0", "-DZSTD_DISABLE_ASM", "-DXXH_NAMESPACE=ZSTD_", "-ffunction-sections", "-fdata-sections")


def zstd_text() -> str:
    return _RECIPE.read_text(encoding="utf-8")


@cache
def zstd_pin() -> Pin:
    import tomllib

    from monolisp.sources.pin import parse_pin

    return parse_pin(tomllib.loads(zstd_text())["source"], "recipes/zstd.toml")


def build_zstd(zig: Zig, target: Target, archive: Path, work: Path, runner: Runner) -> tuple[Path, Path]:
    """Compile zstd of the source `archive` in the directory `work`: its static archive, and where zstd.h is."""
    unpack(archive, work)
    lib = work / "lib"
    sources = [path for folder in _FOLDERS for path in sorted((lib / folder).glob("*.c"))]

    def compiled(source: Path) -> Path:
        output = lib / f"{source.stem}.o"
        argv = zig.cc(target, *_FLAGS, f"-ffile-prefix-map={work}=.", "-c", source.relative_to(lib), "-o", output)
        _run(argv, lib, zig, runner)
        return output

    with ThreadPoolExecutor(jobs()) as pool:
        objects = list(pool.map(compiled, sources))
    _run([zig.program, "ar", "rcsD", lib / ARCHIVE, *objects], lib, zig, runner)
    return lib / ARCHIVE, lib


def _run(argv: list[str | Path], cwd: Path, zig: Zig, runner: Runner) -> None:
    done = runner(Command(argv, zig.env, cwd=cwd))
    if done.returncode != 0:
        raise StageFailed(stage="zstd", reason=f"exit code {done.returncode}", tail=done.text, log="(shown above)")
