"""The README of a bundle: what it is, and how the executable comes out of it again, with monolisp and without."""

from __future__ import annotations

from collections.abc import Sequence

from monolisp.provenance.record import SYSTEM, Provenance
from monolisp.toolchain.version import SbclVersion

_TEXT = """\
{name}: everything it was made from
{line}

This archive holds the sources of one executable file, {name}, and all that is needed to make it again, byte for byte,
without a network. The executable is a Common Lisp program for {target}. Its sha256 is

    {sha256}

Is this archive whole?   sha256sum -c MANIFEST

What is in it
-------------
record.json         what the executable says of itself: versions, options, and the sha256 of every source
executable/         the executable{without}
project/            the program's own files
archives/ headers/ recipes/
                    static archives, C headers and recipes of the program's builder, where there were any
systems/            the Lisp systems it is made of, each with its licence files
sources/            the archives of SBCL (the Lisp compiler and run-time system), and of the foreign libraries in C
toolchains/         SBCL as it was built for this program: its core, its run-time system, the C library
host-lisp/          starts the SBCL in there, a static program for {host}, which can compile SBCL's source
wheels/             monolisp, which made the executable, and what it needs, as Python wheels. They are zip archives, not
                    compressed. monolisp's own has its Python, Lisp and C sources, and the recipes of the foreign
                    libraries (monolisp/libraries/recipes). ziglang's has the C compiler, and in ziglang/lib/libc the
                    sources of the C library, musl
{missing}
With monolisp
-------------
This needs Linux on {host}, Python {python}, sh and make{tools}.

    python3 -m venv monolisp
    monolisp/bin/pip install --no-index --find-links wheels monolisp
    monolisp/bin/monolisp rebuild --bundle THIS-ARCHIVE.tar.zst

The last command says "identical", or what differs. In this directory, with the archive unpacked, this does the same:

    monolisp/bin/monolisp rebuild executable/{name} --source-dir . --offline

Without monolisp
----------------
When Python, or this processor, is of the past (an emulator of it, such as qemu, saves the first steps):

1. A C compiler and musl. Unzip wheels/ziglang-*.whl; `ziglang/zig cc -target {target} -static` compiles for musl. Any
   other compiler with musl {libc} will make a program that does the same, though not the same bytes.
2. SBCL {sbcl}. Unpack its archive in sources/. host-lisp/bin/sbcl compiles it; so do other Common Lisps (its file
   INSTALL tells which). It was configured with

       sh make-config.sh --xc-host=".../host-lisp/bin/sbcl --no-sysinit --no-userinit" {options}

   and built with the stages of make.sh. A static program has no dynamic loader: SBCL's runtime was linked with C files
   of monolisp (monolisp/linkage/*.c in its wheel), which stand in for dlopen and dlsym. monolisp/toolchain/build.py is
   the order of all this. Where a dynamic loader is at hand, a plain `sh make.sh` does as well.
3. The foreign libraries, static: {libraries}
   How each was built is in its recipe, a text file in monolisp's wheel.
4. The program. Start that SBCL and do this:

{steps}
5. Save it:

       (save-lisp-and-die "{name}" :executable t :toplevel (lambda () ({entry}) (exit)))
"""


def readme(
    record: Provenance, sha256: str, version: SbclVersion, host: str, python: str, tools: Sequence[str], missing: str
) -> str:
    """`host` is the processor of the programs in the bundle, `python` its version, `tools` what building the libraries
    needs besides, `missing` what could not be put in."""
    program = record.program
    options = [*version.options, *(f"--with-{word[1:]}" for word in record.sbcl.features if word[0] == "+")]
    libraries = [f"{library.name} {library.version}".strip() for library in record.libraries]
    return _TEXT.format(
        name=program.name,
        line="=" * (len(program.name) + 29),
        target=record.target,
        sha256=sha256,
        without=", unless it was left out",
        host=host,
        missing=f"\nNot in it: {missing}\n" if missing else "",
        python=python,
        tools="".join(f", {tool}" for tool in tools),
        libc=record.compiler.libc_version,
        sbcl=record.sbcl.spec,
        options=" ".join(options),
        libraries=", ".join(libraries) or "none",
        steps="".join(f"       {line}\n" for line in _steps(record)),
        entry=program.entry,
    )


def _steps(record: Provenance) -> list[str]:
    """The forms that load the program, as a person would type them."""
    program = record.program
    lines = [f"(push :{name} *features*)" for name in program.options.get("features", "").split(",") if name]
    for text in program.before:
        kind, _, value = text.partition(" ")
        lines.append(value if kind == "eval" else f'(load "project/{value}")')
    if record.systems:
        lines += ['(require "asdf")', "(asdf:initialize-source-registry"]
        lines.append('  \'(:source-registry (:tree ".../systems/") :ignore-inherited-configuration))')
    if program.kind == SYSTEM:
        return [*lines, *(f'(asdf:load-system "{name}")' for name in program.inputs)]
    return [*lines, *(f'(load "project/{name}")' for name in program.inputs)]
