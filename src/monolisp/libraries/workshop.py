"""Building one library: source, tools and environment, a build system's commands, and what must come out.

A build sees zig's compiler and the recipes it depends on; nothing of this machine's libraries, nor its processor.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import LibraryFailed, RecipeYield, ToolMissing
from monolisp.libraries.flags import CFLAGS, COMPILERS
from monolisp.libraries.library import FACTS, Library
from monolisp.libraries.recipe import Recipe
from monolisp.linkage.names import names_in
from monolisp.process import Command, Runner, tail_of
from monolisp.target import Target
from monolisp.toolchain.build import EPOCH
from monolisp.toolchain.zig import STRIPPED, Zig

_PREFIX = "/usr"


@dataclass(frozen=True)
class Workshop:
    """Where and with what one library is built. `depends` are the built recipes it needs, all the way down."""

    work: Path
    recipe: Recipe
    target: Target
    zig: Zig
    depends: Sequence[Library]
    runner: Runner
    log: Path
    jobs: int

    @property
    def tree(self) -> Path:
        return self.work / "source"

    @property
    def root(self) -> Path:
        """Below this directory the library is installed under its prefix."""
        return self.work / "root"

    @property
    def installed(self) -> Path:
        return self.root / _PREFIX.lstrip("/")

    def fill(self, text: str) -> str:
        """`text` with {prefix}, {destdir}, {jobs}, {host}, {arch}, {work} and {NAME} of a dependency filled in."""
        known = {
            "prefix": _PREFIX,
            "destdir": str(self.root),
            "jobs": str(self.jobs),
            "host": self.target.triple,
            "arch": self.target.triple.partition("-")[0],
            "work": str(self.work),
            **{library.name: str(library.path) for library in self.depends},
        }
        for name, value in known.items():
            text = text.replace("{" + name + "}", value)
        return text

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of a build: our tools first on PATH, nothing of the user's."""
        flags = " ".join([*CFLAGS, *map(self.fill, self.recipe.build.cflags)])
        own = {name: self.fill(value) for name, value in (self.recipe.build.environment or {}).items()}
        return {
            **self.zig.env,
            "PATH": f"{self.work / 'bin'}:{self.zig.path}",
            "CC": "cc",
            "CXX": "c++",
            "AR": "ar",
            "RANLIB": "ranlib",
            "LD": "ld",
            "CFLAGS": flags,
            "CXXFLAGS": flags,
            "CPPFLAGS": " ".join(f"-I{library.include}" for library in self.depends),
            "LDFLAGS": " ".join(["-static", *(f"-L{library.path / 'lib'}" for library in self.depends)]),
            "PKG_CONFIG": "pkg-config",
            "PKG_CONFIG_LIBDIR": ":".join(str(library.packages) for library in self.depends),
            "PKG_CONFIG_PATH": "",
            "SOURCE_DATE_EPOCH": str(EPOCH),
            **own,
        }

    def run(self, argv: Sequence[str], directory: str = ".") -> None:
        """One command of the build; what it prints goes to the log. Raises LibraryFailed."""
        filled = [self.fill(part) for part in argv]
        begin = self.log.stat().st_size if self.log.exists() else 0
        done = self.runner(Command(filled, self.env, cwd=self.tree / directory, log=self.log))
        if done.returncode != 0:
            raise LibraryFailed(
                library=self.recipe, command=shlex.join(filled)[:300], tail=tail_of(self.log, begin), log=self.log
            )


def require_tools(recipes: Sequence[Recipe], path: str) -> None:
    """Miss what the builds need before the first of them begins. Raises ToolMissing."""
    for recipe in recipes:
        for tool in ("sh", "make", *recipe.tools):
            if shutil.which(tool, path=path) is None:
                raise ToolMissing(tool=tool, detail=f"the recipe {recipe.name} needs it")


def prepare(shop: Workshop, archive: Path | None) -> None:
    """Unpack the source, and put compiler and tools into a directory for PATH."""
    from monolisp.sources.unpack import unpack

    if archive is None:
        shop.tree.mkdir()
    else:
        unpack(archive, shop.tree)
    (shop.work / "bin").mkdir()
    shop.root.mkdir()
    tools: dict[str, Sequence[str | Path]] = {
        "ld": shop.zig.ld(),
        "ar": [shop.zig.program, "ar"],
        "ranlib": [shop.zig.program, "ranlib"],
        "objcopy": [shop.zig.program, "objcopy"],
        "pkg-config": [pkgconf(), "--static"],
        "strip": ["true"],
        # For programs that the build itself runs.
        "build-cc": [shop.zig.program, "cc", "-target", f"{os.uname().machine}-linux-musl", *CFLAGS],
    }
    prefix_map = f"-ffile-prefix-map={shop.work}=."
    for name, language in COMPILERS.items():
        tools[name] = [shop.zig.program, language, "-target", shop.target.triple, *CFLAGS, prefix_map]
    for name, argv in tools.items():
        script = shop.work / "bin" / name
        last = f" {STRIPPED}" if argv[1:2] in (["cc"], ["c++"]) else ""
        text = f'#!/bin/sh\nexec {shlex.join(str(part) for part in argv)} "$@"{last}\n'
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)


def pkgconf() -> Path:
    """The program of the Python package pkgconf. Raises ToolMissing."""
    from importlib.util import find_spec

    spec = find_spec("pkgconf")
    if spec is None or spec.origin is None:
        raise ToolMissing(tool="pkgconf", detail="the Python package pkgconf is not installed")
    return Path(spec.origin).parent / ".bin" / "pkgconf"


def keep(shop: Workshop, into: Path) -> None:
    """Move headers and archives into the directory `into`, and check that all that was promised is there."""
    for name in ("include", "lib"):
        (shop.installed / name).mkdir(parents=True, exist_ok=True)
        (shop.installed / name).rename(into / name)
    if (shop.installed / "lib64").is_dir():
        shutil.copytree(shop.installed / "lib64", into / "lib", dirs_exist_ok=True)
    for package in (*into.glob("lib/pkgconfig/*.pc"), *shop.installed.glob("share/pkgconfig/*.pc")):
        (into / "lib" / "pkgconfig").mkdir(exist_ok=True)
        _relocate(package, into / "lib" / "pkgconfig" / package.name, shop.depends)
    for useless in (*into.glob("lib/*.la"), *into.glob("lib/*.so*")):
        useless.unlink()
    _add_ours(shop, into)
    _promised(shop.recipe, into)
    names: dict[str, str] = {}
    for archive in shop.recipe.archives:
        names = {**names_in(into / "lib" / archive), **names}
    facts = {"name": shop.recipe.name, "version": shop.recipe.version, "licence": licence_of(shop.recipe)}
    (into / FACTS).write_text(json.dumps({**facts, "names": names}, sort_keys=True), encoding="utf-8")


def licence_of(recipe: Recipe) -> str:
    return recipe.source.licence if recipe.source else "Apache-2.0 WITH LLVM-exception"


def _promised(recipe: Recipe, into: Path) -> None:
    wanted = [f"lib/{archive}" for archive in recipe.archives]
    wanted += [f"include/{header}" for header in recipe.headers]
    wanted += [f"lib/pkgconfig/{package}.pc" for package in recipe.packages]
    missing = [name for name in wanted if not (into / name).exists()]
    if missing:
        raise RecipeYield(library=recipe, missing=", ".join(missing))


def _relocate(package: Path, output: Path, depends: Sequence[Library]) -> None:
    """A pkg-config file that holds wherever the library is, and those it needs: it says its prefix itself."""
    text = package.read_text(encoding="utf-8", errors="replace")
    for library in depends:
        text = re.sub(rf" *-[IL]{re.escape(str(library.path))}\S*", "", text)
    lines = [line for line in text.splitlines() if not line.startswith("prefix=")]
    moved = [line.replace(f"={_PREFIX}/", "=${prefix}/").replace(f"={_PREFIX}", "=${prefix}") for line in lines]
    output.write_text("\n".join(["prefix=${pcfiledir}/../..", *moved, ""]), encoding="utf-8")


def _add_ours(shop: Workshop, into: Path) -> None:
    """Compile C files of ours into the last archive, in the place of members that they replace."""
    if not shop.recipe.ours:
        return
    archive = into / "lib" / shop.recipe.archives[-1]
    if shop.recipe.replaced:
        shop.run(["ar", "d", str(archive), *shop.recipe.replaced])
    folder = shop.work / "ours"
    folder.mkdir()
    for name in shop.recipe.ours:
        if name.endswith(".c"):
            shutil.copyfile(shop.recipe.folder / name, folder / name)
            output = str(folder / f"monolisp_{Path(name).stem}.o")
            shop.run(["cc", "-c", f"-I{into / 'include'}", f"-I{folder}", str(folder / name), "-o", output])
            shop.run(["ar", "rcs", str(archive), output])
        else:
            shutil.copyfile(shop.recipe.folder / name, folder / name)
