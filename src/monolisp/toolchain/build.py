"""Building SBCL, once per version and target: stages, in a directory that goes away afterwards.

Source: SBCL's make.sh and the make-*.sh that it runs, 2.6.4. They are run one by one because the table of names that
the static runtime is linked with can only be made when the runtime's object is there.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from monolisp.emulator import HIDDEN, hide
from monolisp.errors import DiskFull, StageFailed
from monolisp.linkage.names import Kind, names_in
from monolisp.linkage.sources import c_source
from monolisp.linkage.table import OURS, WITHHELD, everything_table
from monolisp.process import Command, Runner, Together, tail_of
from monolisp.progress import Progress
from monolisp.sources.unpack import unpack
from monolisp.stages import Needs, expected, run_stages
from monolisp.target import Target
from monolisp.toolchain.compression import ARCHIVE, build_zstd
from monolisp.toolchain.host import HostLisp
from monolisp.toolchain.ingredients import BUILD_RUNTIME, C_FILES, DRAWING, NOWHERE, WARM
from monolisp.toolchain.machine import jobs
from monolisp.toolchain.runtime import weakened
from monolisp.toolchain.version import SbclVersion, build_id, by_number
from monolisp.toolchain.zig import OPTIMIZED, STRIPPED, CLibrary, Zig, c_library, copy_archive

# The moment that the build is stamped with, in seconds since the epoch: the same for everyone.
EPOCH = 1_700_000_000
# Functions of SBCL's that our C files replace, where it has them.
REPLACED = ("verify_heap", "compress_vector", "os_unlink_runtime")
# "headers" is the first that links a program.
STAGES: Needs = {
    "C library": (),
    "zstd": (),
    "unpack": (),
    "configure": ("unpack",),
    "cross-compiler": ("configure",),
    "headers": ("C library", "cross-compiler"),
    "compile": ("headers",),
    "runtime": ("headers", "zstd"),
    "warm load": ("compile", "runtime"),
    "contribs": ("warm load",),
    "install": ("contribs",),
}
_LISP = Path(__file__).parents[1] / "lisp"
# Options of the Lisp that becomes SBCL's core: room enough for the collector to wait. Other processors are not tried,
# and SBCL 2.5.2 cannot be made so.
_WARMED = f"--dynamic-space-size 2GB --load {WARM[0]}"
_WARMED_ON, _WARMED_SINCE = ("x86-64", "arm64"), "2.6"
# The core that compiles contribs.
CONTRIBS_CORE = "output/contribs.core"
# A C compiler of programs that do nothing.
SAYS_NO = "cc-that-says-no"


@dataclass(frozen=True)
class Workshop:
    """Where and with what one toolchain is built; `emulator` starts programs of the target (nothing: they start as they
    are), `logs` is a directory for what each stage prints."""

    work: Path
    digest: str
    version: SbclVersion
    target: Target
    zig: Zig
    host: HostLisp
    runner: Runner
    logs: Path
    emulator: tuple[str, ...] = ()

    @property
    def tree(self) -> Path:
        return self.work / "sbcl"

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of SBCL's build: our compiler first on PATH, nothing of the user's."""
        return {
            **self.zig.env,
            **self.host.env,
            "PATH": f"{self.work / 'bin'}:{self.zig.path}",
            "CC": "cc",
            "CFLAGS": " ".join(["-O2", *self.version.cflags]),
            "LINKFLAGS": "-static",
            "SOURCE_DATE_EPOCH": str(EPOCH),
            "SBCL_MAKE_JOBS": f"-j{jobs()} LDB_TARGET=",
            "SBCL_CONTRIB_BLOCKLIST": " ".join(self.version.without),
            **({"SBCL_MAKE_PARALLEL": str(jobs())} if self.host.parallel and jobs() > 1 else {}),
        }

    def run(self, name: str, argv: Sequence[str | Path], cwd: Path | None = None, **env: str) -> None:
        """One command of a stage; what it prints goes to the stage's log. Raises StageFailed."""
        log = self.logs / f"{name.replace(' ', '-')}.log"
        begin = log.stat().st_size if log.exists() else 0
        done = self.runner(Command(argv, {**self.env, **env}, cwd=cwd or self.tree, log=log))
        if done.returncode != 0:
            tail = tail_of(log, begin)
            if os.strerror(errno.ENOSPC) in tail:
                raise DiskFull(path=self.work)
            raise StageFailed(stage=name, reason=f"exit code {done.returncode}", tail=tail, log=log)


def build(shop: Workshop, archive: Path, zstd: Path, into: Path, progress: Progress) -> None:
    """Build SBCL from `archive`, with zstd from another, and put the toolchain's files into the directory `into`."""
    together = Together(shop.runner)
    shop = replace(shop, runner=together)
    libc: list[CLibrary] = []
    compression: list[tuple[Path, Path]] = []
    work: dict[str, Callable[[], object]] = {
        "C library": lambda: libc.append(c_library(shop.zig, shop.target, shop.work, shop.runner)),
        "zstd": lambda: compression.append(build_zstd(shop.zig, shop.target, zstd, shop.work / "zstd", shop.runner)),
        "unpack": lambda: prepare(shop, archive),
        "configure": lambda: configure(shop),
        "cross-compiler": lambda: shop.run("cross-compiler", ["sh", "make-host-1.sh"]),
        "headers": lambda: headers(shop),
        "compile": lambda: shop.run("compile", ["sh", "make-host-2.sh"]),
        "runtime": lambda: runtime(shop, libc[0], compression[0], into),
        "warm load": lambda: warm_load(shop),
        "contribs": lambda: contribs(shop),
        "install": lambda: install(shop, into),
    }
    progress.plan("the toolchain, once per machine", expected(STAGES, shop.version.stages))
    run_stages(STAGES, work, progress, together.stop, len(STAGES))


def prepare(shop: Workshop, archive: Path) -> None:
    """Unpack the source, and put zig's cc, ld and ar and the host Lisp into a directory for PATH.

    SBCL's scripts take apart what they are given at each blank: names without a path cannot hold any.
    """
    unpack(archive, shop.tree)
    (shop.tree / "version.lisp-expr").write_text(f'"{shop.version.version}"\n', encoding="utf-8")
    cc = shop.zig.cc(shop.target, OPTIMIZED, f"-ffile-prefix-map={shop.work}=.")
    tools = {
        "cc": _compiler(cc, shop.emulator),
        "ld": f'exec {_words(shop.zig.ld())} "$@"',
        "ar": f'exec {_words([shop.zig.program, "ar"])} "$@"',
        "host-lisp": f'exec {_words(shop.host.argv)} "$@"',
        SAYS_NO: 'while [ "$1" != -o ]; do shift; done; echo "#!/bin/sh" > "$2"; chmod +x "$2"',
    }
    (shop.work / "bin").mkdir()
    for name, command in tools.items():
        script = shop.work / "bin" / name
        script.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        script.chmod(0o755)


def configure(shop: Workshop) -> None:
    """What make-config.sh would ask programs that it compiles and runs is answered by the pin's options.

    So there is no need to wait for a C library, nor to run programs of another processor. Nor is there for the program
    that would find perfect hash functions: SBCL's source holds those that it needs (xperfecthash*.lisp-expr).
    """
    options = [f"--arch={shop.target.sbcl_arch}", "--xc-host=host-lisp", *shop.version.options, *shop.target.options]
    shop.run("configure", ["sh", "make-config.sh", *options], CC=SAYS_NO)
    (shop.tree / "output" / "build-id.inc").write_text(f'"{build_id(shop.digest)}"\n', encoding="utf-8")


def headers(shop: Workshop) -> None:
    """What the compiler must know of libc's headers: the last steps of make-target-1.sh, which need no runtime."""
    if shop.version.headers:
        shop.run("headers", ["make", "-C", "src/runtime", *shop.version.headers])
    shop.run("headers", ["make", "-C", "tools-for-build", "-I../src/runtime", "LDLIBS=", "grovel-headers"])
    shop.run("headers", ["sh", "-c", "tools-for-build/grovel-headers > output/stuff-groveled-from-headers.lisp"])


def runtime(shop: Workshop, libc: CLibrary, zstd: tuple[Path, Path], into: Path) -> None:
    """The C runtime: first its object, then, with the table of all names, the build runtime itself."""
    directory = shop.tree / "src" / "runtime"
    flags = f"{shop.env['CFLAGS']} -I{zstd[1]}"
    shop.run("runtime", ["make", f"-j{jobs()}", "-C", directory, "sbcl.o"], CFLAGS=flags)
    (into / "lib").mkdir(parents=True)
    shutil.copyfile(libc.start, into / "lib" / "crt1.o")
    for archive in libc.archives:
        copy_archive(shop.zig, archive, into / "lib" / archive.name, shop.work / archive.stem, shop.runner)
    shutil.copyfile(zstd[0], into / "lib" / ARCHIVE)
    archives = [into / "lib" / archive.name for archive in libc.archives]
    names = index(directory / "sbcl.o", archives)
    (into / "names.json").write_text(json.dumps(names, sort_keys=True), encoding="utf-8")
    everything = {name for group in names.values() for name in group}
    objects = build_runtime_objects(shop, everything)
    content = (directory / "sbcl.o").read_bytes()
    weaken = [*shop.version.weaken, *shop.target.weaken]
    (into / "runtime.o").write_bytes(weakened(content, weaken, "sbcl.o"))
    # `make clean` in make-target-1.sh would only compile the same again: hence its remaining steps, one by one.
    shop.run("runtime", ["make", "-C", directory, "sbcl.mk"])
    ours = shop.work / "dl" / "sbcl.o"
    ours.write_bytes(weakened(content, [name for name in REPLACED if name in names["runtime"]], "sbcl.o"))
    program = into / "sbcl"
    link_build_runtime(shop, [into / "lib" / "crt1.o", *objects, ours], [*archives, into / "lib" / ARCHIVE], program)
    shutil.copy2(program, directory / "sbcl")
    if shop.emulator:
        hide(directory / "sbcl", shop.emulator)


def link_build_runtime(shop: Workshop, objects: Sequence[Path], archives: Sequence[Path], output: Path) -> None:
    """Link the build runtime. It keeps its symbol table: images of libraries are linked against its addresses."""
    settings = ["noexecstack", f"max-page-size={shop.target.page_size}"]
    flags = ["-m", shop.target.emulation, "-static", "--strip-debug", "--build-id=none", "--eh-frame-hdr"]
    flags += [part for setting in settings for part in ("-z", setting)]
    shop.run("runtime", shop.zig.ld(*flags, "-o", output, *objects, "--start-group", *archives, "--end-group"))


def index(runtime_object: Path, archives: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Who defines what, in link order: label → name → function or data."""
    libc: dict[str, Kind] = {}
    for archive in archives:
        libc = {**names_in(archive), **libc}
    groups: dict[str, Mapping[str, str]] = {
        "monolisp": dict.fromkeys(OURS, "function"),
        "runtime": names_in(runtime_object),
        "libc": libc,
    }
    hidden: dict[str, Set[str]] = {"runtime": WITHHELD | set(OURS), "libc": WITHHELD | set(OURS)}
    return {
        label: {name: str(kind) for name, kind in names.items() if name not in hidden.get(label, ())}
        for label, names in groups.items()
    }


def build_runtime_objects(shop: Workshop, names: set[str]) -> list[Path]:
    """dl.c, record.c and the table of everything, compiled."""
    folder = shop.work / "dl"
    folder.mkdir()
    for name in C_FILES:
        (folder / name).write_text(c_source(name), encoding="utf-8")
    (folder / "tables.c").write_text(everything_table(names), encoding="utf-8")
    headers = (path.read_text(encoding="utf-8") for path in (shop.tree / "src" / "runtime" / "genesis").glob("*.h"))
    filler = [line for text in headers for line in text.splitlines() if line.startswith("#define FILLER_WIDETAG")]
    (folder / "filler.h").write_text("\n".join(filler[:1]) + "\n", encoding="utf-8")
    objects = []
    for name in (*BUILD_RUNTIME, "tables.c"):
        objects.append(folder / name.replace(".c", ".o"))
        shop.zig.compile(shop.target, folder / name, objects[-1], shop.runner)
    return objects


def warm_load(shop: Workshop) -> None:
    """What SBCL draws by lot while it is loaded, and counts, is made the same each time: see warm.lisp."""
    for name in WARM:
        shutil.copyfile(_LISP / name, shop.tree / name)
    tried = shop.target.sbcl_arch in _WARMED_ON and by_number(shop.version.version) >= by_number(_WARMED_SINCE)
    options = _WARMED if tried else ""
    shop.run("warm load", ["sh", "make-target-2.sh"], SBCL_MAKE_TARGET_2_OPTIONS=options)


def contribs(shop: Workshop) -> None:
    """By an SBCL that draws types as it does for programs (types.lisp); what is compiled says nothing of where that was
    (nowhere.lisp)."""
    script, quiet, core = shop.tree / "make-target-contrib.sh", "--no-sysinit --no-userinit", "output/sbcl.core"
    shutil.copyfile(_LISP / NOWHERE, shop.tree / NOWHERE)
    text = script.read_text(encoding="utf-8").replace(quiet, f"{quiet} --load ../../{NOWHERE}")
    script.write_text(text.replace(core, CONTRIBS_CORE), encoding="utf-8")
    lisp = ["src/runtime/sbcl", "--noinform", "--core", core, *quiet.split(), "--non-interactive"]
    files = [word for name in DRAWING for word in ("--load", name)]
    shop.run("contribs", [*lisp, *files, "--eval", f'(save-lisp-and-die "{CONTRIBS_CORE}")'])
    shop.run("contribs", ["sh", script.name])


def install(shop: Workshop, into: Path) -> None:
    """What is kept besides: the core of the build runtime, and the contribs in a directory that serves as SBCL_HOME."""
    shutil.copyfile(shop.tree / "output" / "sbcl.core", into / "sbcl.core")
    shutil.copytree(shop.tree / "obj" / "sbcl-home" / "contrib", into / "contrib")


def _compiler(cc: Sequence[str | Path], emulator: Sequence[str]) -> str:
    """The script that is the C compiler. SBCL's build and its contribs start what they link, by its name."""
    if not emulator:
        return f'exec {_words(cc)} "$@" {STRIPPED}'
    return f"""\
{_words(cc)} "$@" {STRIPPED} || exit
output=a.out before=
for word in "$@"; do
    case $word in -c | -E | -S | -M*) exit 0 ;; esac
    [ "$before" = -o ] && output=$word
    before=$word
done
case $output in /*) ;; *) output=$PWD/$output ;; esac
mv "$output" "$output{HIDDEN}"
cat > "$output" <<END
#!/bin/sh
exec {_words(emulator)} -0 "\\$0" "$output{HIDDEN}" "\\$@"
END
chmod +x "$output"
"""


def _words(argv: Sequence[str | Path]) -> str:
    return shlex.join(str(part) for part in argv)
