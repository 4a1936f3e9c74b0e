"""The C compiler that a Lisp build sees: zig cc, which asks for headers and libraries it lacks.

Run as a script of its own (`python -IS cc.py CONFIGURATION cc|c++|pkg-config ARGUMENT…`), once for each compilation,
so it imports nothing of monolisp. CONFIGURATION is a JSON file: zig, target, emulator, flags, pkgconf, env.
The desk of a build answers; below `monolisp sbcl` there is none, and a clerk does (see linkage/clerk.c).
A shared library becomes a static archive under the name that was asked for: the loader of a build runtime takes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

_HEADER = re.compile(r"fatal error: '([^']+)' file not found")
# What would let this machine's processor in, or means something to a dynamic linker only.
_DROPPED = {"-m64", "-rdynamic", "-Wl,--export-dynamic", "-Wl,-E", "-march=native", "-mtune=native", "-mcpu=native"}
# Through these the machine's own headers would come in.
_LEAKS = {"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "LIBRARY_PATH"}
_OF_THE_MACHINE = ("-L/usr/lib", "-L/lib")
_SHARED = {"-shared", "-dynamiclib", "-bundle"}
_NOT_LINKED = {"-c", "-S", "-E", "-M", "-MM"}


def ask(what: str, name: str = "") -> list[str] | None:
    """What is answered: a list, or None for no."""
    question = os.fsencode(f"{what}\t{name}\n")
    answer = ask_desk(question) if "MONOLISP_DESK" in os.environ else ask_clerk(what, question)
    return [part for part in answer[1:].split("\t") if part] if answer.startswith("+") else None


def ask_desk(question: bytes) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as desk:
        desk.connect(os.environ["MONOLISP_DESK"])
        desk.sendall(question)
        return desk.makefile(encoding="utf-8", errors="surrogateescape").readline().rstrip("\n")


def ask_clerk(what: str, question: bytes) -> str:
    """A clerk knows nothing of the Lisp that compiles this: there is no use in telling it what that will need."""
    if what == "flags":
        wishes = json.loads(os.environ.get("MONOLISP_WISHES") or "{}")
        return "+" + "\t".join(f"-I{folder}" for folder in wishes.get("include", []))
    if what == "library" or "MONOLISP_CLERK" not in os.environ:
        return "-"
    done = subprocess.run([os.environ["MONOLISP_CLERK"], "answer"], input=question, stdout=subprocess.PIPE)
    return os.fsdecode(done.stdout).rstrip("\n")


def pkg_config(configuration: dict[str, object], arguments: list[str]) -> int:
    folders = []
    for argument in arguments:
        if not argument.startswith("-") and not re.match(r"[<>=]|[0-9]", argument):
            folders += ask("package", argument) or []
    env = {**os.environ, "PKG_CONFIG_LIBDIR": ":".join(folders), "PKG_CONFIG_PATH": ""}
    return subprocess.run([str(configuration["pkgconf"]), "--static", *arguments], env=env).returncode


def compile_c(configuration: dict[str, object], language: str, arguments: list[str]) -> int:
    arguments = [argument for argument in arguments if argument not in _DROPPED]
    if _SHARED & set(arguments):
        return make_archive(configuration, language, [word for word in arguments if word not in _SHARED])
    needed = libraries_of(arguments)
    for name in needed:
        ask("library", name)
    code = zig(configuration, language, without_libraries(arguments))
    if code == 0 and configuration["emulator"] and not _NOT_LINKED & set(arguments):
        hide(Path(output_of(arguments)), configuration["emulator"])  # type: ignore[arg-type]
    if code == 0 and "-c" in arguments and "-o" in arguments:
        note_needs(arguments[arguments.index("-o") + 1], needed)
    return code


def output_of(arguments: list[str]) -> str:
    return arguments[arguments.index("-o") + 1] if "-o" in arguments else "a.out"


def hide(program: Path, emulator: list[str]) -> None:
    """A groveler renames and starts what it compiled, which this machine cannot run: a script can (emulator.py)."""
    content = program.read_bytes() if program.is_file() else b""
    if content[16:18] != b"\2\0":
        return
    hidden = program.absolute().with_name(f".{hashlib.sha256(content).hexdigest()[:32]}.emulated")
    program.rename(hidden)
    command = f'{shlex.join(emulator)} -0 "$0" {shlex.quote(str(hidden))}'
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def libraries_of(arguments: list[str]) -> list[str]:
    return [f"lib{word[2:]}.so" for word in arguments if re.fullmatch(r"-l\w.*", word)]


def notes_of(compiled: str) -> Path:
    """Where the libraries that an object needs are kept: beside it, by what is in it, since objects are renamed."""
    digest = hashlib.sha256(Path(compiled).read_bytes()).hexdigest()
    return Path(compiled).parent / f".{digest[:32]}.libraries"


def note_needs(compiled: str, needed: list[str]) -> None:
    if needed and Path(compiled).is_file():
        notes_of(compiled).write_text("\n".join(needed), encoding="utf-8")


def needs_of(compiled: str) -> list[str]:
    notes = notes_of(compiled) if Path(compiled).is_file() else None
    return notes.read_text(encoding="utf-8").split() if notes is not None and notes.is_file() else []


def without_libraries(arguments: list[str]) -> list[str]:
    """Programs that a groveler runs need headers, hardly ever code of a library: -lNAME stays for libc's own, and for
    archives in directories that -L names; but what the machine has is for another libc."""
    folders = [word[2:] for word in arguments if word.startswith("-L") and not word.startswith(_OF_THE_MACHINE)]
    named = {f"-l{path.stem[3:]}" for folder in folders if folder for path in Path(folder).glob("lib*.a")}
    kept = {"-lc", "-lm", "-lpthread"} | named
    return [word for word in arguments if not re.fullmatch(r"-l\w.*", word) or word in kept]


def zig(configuration: dict[str, object], language: str, arguments: list[str]) -> int:
    """Compile, and again for as long as a header is missed that the desk can supply."""
    flags = configuration["flags"]
    env = {name: value for name, value in os.environ.items() if name not in _LEAKS}
    env.update(configuration["env"])  # type: ignore[call-overload]
    missed: set[str] = set()
    found: list[str] = []
    while True:
        command = [configuration["zig"], language, "-target", configuration["target"], *flags]  # type: ignore[misc]
        # -s: as in every link, or zig would compile another libc for this one.
        flags_now = [*(ask("flags") or []), *(f"-I{folder}" for folder in found)]
        done = subprocess.run([*command, *arguments, *flags_now, "-s"], env=env, stderr=subprocess.PIPE)
        text = done.stderr.decode("utf-8", "replace")
        header = _HEADER.search(text)
        folders = ask("header", header[1]) if done.returncode and header and header[1] not in missed else None
        if header is None or folders is None:
            sys.stderr.write(text)
            return done.returncode
        missed.add(header[1])
        found += folders


def make_archive(configuration: dict[str, object], language: str, arguments: list[str]) -> int:
    output = output_of(arguments)
    objects = [word for word in arguments if word.endswith((".o", ".a")) and word != output]
    sources = [word for word in arguments if word.endswith((".c", ".cc", ".cpp", ".cxx")) and word != output]
    needed = [*libraries_of(arguments), *(name for word in objects for name in needs_of(word))]
    for name in needed:
        ask("library", name)
    # For builds to come, in which this archive is not made again.
    Path(f"{output}.libraries").write_text("\n".join(needed), encoding="utf-8")
    for source in sources:
        rest = [word for word in arguments if word not in sources and word not in objects]
        place = rest.index("-o") if "-o" in rest else len(rest)
        compiled = f"{output}.{len(objects)}.o"
        code = zig(configuration, language, [*rest[:place], *rest[place + 2 :], "-c", source, "-o", compiled])
        if code != 0:
            return code
        objects.append(compiled)
    Path(output).unlink(missing_ok=True)
    return subprocess.run([str(configuration["zig"]), "ar", "qcsL", output, *objects]).returncode


def main() -> int:
    configuration = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    name, arguments = sys.argv[2], sys.argv[3:]
    if name == "pkg-config":
        return pkg_config(configuration, arguments)
    return compile_c(configuration, name, arguments)


if __name__ == "__main__":
    sys.exit(main())
