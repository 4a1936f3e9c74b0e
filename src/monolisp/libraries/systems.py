"""Build systems: a closed set, each a function from a workshop to an installed library."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from monolisp.errors import RecipeYield
from monolisp.libraries.recipe import System
from monolisp.libraries.workshop import Workshop

_CXX = (".cc", ".cpp", ".cxx")
# Members of zig's C++ library that have thread-local variables, and how zig compiles them.
_THREAD_LOCAL = ("cxa_exception_storage", "cxa_thread_atexit")
_UNEXPECTED = "-D_LIBCPP_ENABLE_CXX17_REMOVED_UNEXPECTED_FUNCTIONS"
_CXXABI = ("-std=c++23", "-fvisibility=hidden", "-DNDEBUG", "-D_LIBCXXABI_BUILDING_LIBRARY", _UNEXPECTED)
# The machine that a configure script is told it runs on: never the target, so that it runs nothing to find things out
# and comes to the same answers everywhere.
_BUILD_MACHINE = "x86_64-pc-linux-gnu"


def autotools(shop: Workshop) -> None:
    build = shop.recipe.build
    steps(shop)
    options = ["--host={host}", f"--build={_BUILD_MACHINE}", "--prefix={prefix}", "--libdir={prefix}/lib"]
    settings = ["--disable-shared", "--enable-static", *build.configure]
    shop.run(["sh", "./configure", *options, *settings], build.directory)
    shop.run(["make", "-j{jobs}", *build.make], build.directory)
    shop.run(["make", "DESTDIR={destdir}", *build.install], build.directory)


def compile_files(shop: Workshop) -> None:
    """Every source into one archive: for libraries that are a handful of files."""
    build = shop.recipe.build
    steps(shop)
    root = shop.tree / build.directory
    left_out = {path for pattern in build.without for path in root.glob(pattern)}
    sources = sorted({path for pattern in build.sources for path in root.glob(pattern)} - left_out)
    if not sources:
        raise RecipeYield(library=shop.recipe, missing=", ".join(build.sources))
    objects = [shop.work / f"{path.relative_to(root).as_posix().replace('/', '_')}.o" for path in sources]
    flags = [shop.fill(flag) for flag in build.cflags]

    def compiled(source: Path, output: Path) -> None:
        name = str(source.relative_to(root))
        includes = [f"-I{library.include}" for library in shop.depends]
        compiler = "c++" if source.suffix in _CXX else "cc"
        shop.run([compiler, "-c", *includes, *flags, name, "-o", str(output)], build.directory)

    with ThreadPoolExecutor(shop.jobs) as pool:
        for future in [pool.submit(compiled, *pair) for pair in zip(sources, objects, strict=True)]:
            future.result()
    lib, include = shop.installed / "lib", shop.installed / "include"
    lib.mkdir(parents=True, exist_ok=True)
    shop.run(["ar", "rcs", str(lib / shop.recipe.archives[0]), *map(str, objects)])
    for pattern in build.headers:
        for header in sorted(root.glob(pattern)):
            place = include / _below_include(header.relative_to(root))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(header, place)
    for package in shop.recipe.packages:
        if not (lib / "pkgconfig" / f"{package}.pc").exists():  # a step may have made it
            _describe(package, shop)


def _describe(package: str, shop: Workshop) -> None:
    """The file that pkg-config reads, for a library whose own makefile, which is not used, would have written it."""
    recipe = shop.recipe
    libs = " ".join(f"-l{archive.removeprefix('lib').removesuffix('.a')}" for archive in recipe.archives)
    needed = ", ".join(path.stem for library in shop.depends for path in sorted(library.packages.glob("*.pc"))[:1])
    lines = [
        f"Name: {package}",
        f"Description: {recipe.summary}",
        f"Version: {recipe.version}",
        *([f"Requires.private: {needed}"] if needed else []),
        "Libs: -L${prefix}/lib " + libs,
        "Cflags: -I${prefix}/include",
    ]
    folder = shop.installed / "lib" / "pkgconfig"
    folder.mkdir(exist_ok=True)
    (folder / f"{package}.pc").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _below_include(header: Path) -> Path:
    """Where a header goes: below include/ what its source keeps there, else by its name alone."""
    parts = header.parts
    return Path(*parts[parts.index("include") + 1 :]) if "include" in parts[:-1] else Path(header.name)


def steps(shop: Workshop) -> None:
    for step in shop.recipe.build.step:
        shop.run(step.run, step.directory)


def libcxx(shop: Workshop) -> None:
    """zig compiles its C++ library when it first links a C++ program, and shows where it is in the link command."""
    (shop.tree / "empty.cc").write_text("int main() { throw 1; }\n", encoding="utf-8")
    begin = shop.log.stat().st_size if shop.log.exists() else 0
    shop.run(["c++", "-O2", "-static", "empty.cc", "-o", "empty", "-v"])
    with shop.log.open(encoding="utf-8", errors="replace") as stream:
        stream.seek(begin)
        words = [word for line in stream if "ld.lld" in line for word in line.split()]
    (shop.installed / "lib").mkdir(parents=True)
    for path in map(Path, words):
        if path.name in shop.recipe.archives:
            _pack_again(shop, path)


def _pack_again(shop: Workshop, archive: Path) -> None:
    """One archive of zig's C++ library, without the directories of this machine that zig has in its members' names, and
    with those members that have thread-local variables compiled as everything here is."""
    members = shop.work / archive.stem
    members.mkdir()
    shop.run(["ar", "x", str(archive)], str(members))
    abi = shop.zig.program.parent / "lib" / "libcxxabi"
    for name in _THREAD_LOCAL:
        if (members / f"{name}.o").exists():
            source = str(abi / "src" / f"{name}.cpp")
            shop.run(["c++", "-c", *_CXXABI, f"-I{abi / 'src'}", source, "-o", f"{name}.o"], str(members))
    objects = sorted(path.name for path in members.iterdir())
    shop.run(["ar", "rcs", str(shop.installed / "lib" / archive.name), *objects], str(members))


SYSTEMS: Mapping[System, Callable[[Workshop], None]] = {
    "autotools": autotools,
    "compile": compile_files,
    "steps": steps,
    "libcxx": libcxx,
}
