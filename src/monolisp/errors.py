"""Every error a user can meet: what happened, why, what to do next, and the exit code.

An error is data: a class with three templates, filled from the keyword arguments it is raised with. The page
docs/errors.md is made from this file (`python -m monolisp.errors`). A traceback is for bugs only.
"""

from __future__ import annotations

import string
import sys
from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """Exit codes of the monolisp command."""

    OK = 0
    VERDICT = 1
    USAGE = 2
    INPUT = 3
    LISP = 4
    TOOL = 5
    SOURCE = 6
    TOOLCHAIN = 7
    OUTPUT = 8
    STORE = 9
    LINK = 10
    LIBRARY = 11
    SIGNATURE = 12
    DIFFERS = 13
    BUG = 70
    INTERRUPTED = 130


EXIT_MEANING = {
    Exit.OK: "done",
    Exit.VERDICT: "`verify` found a file that is not truly static, or `licenses` a licence without its text",
    Exit.USAGE: "the command line is wrong",
    Exit.INPUT: "the program to build is missing, ambiguous or described wrongly",
    Exit.LISP: "Lisp could not read, compile or load the program",
    Exit.TOOL: "a tool of this machine is missing",
    Exit.SOURCE: "a source could not be had or is not what was pinned",
    Exit.TOOLCHAIN: "the toolchain could not be built",
    Exit.OUTPUT: "the result could not be written",
    Exit.STORE: "the store cannot be used",
    Exit.LINK: "the executable could not be linked or did not pass verification",
    Exit.LIBRARY: "a foreign library could not be had, built or linked",
    Exit.SIGNATURE: "a signature, key, checksum or attestation is missing or not good",
    Exit.DIFFERS: "`rebuild` or a second build made something else",
    Exit.BUG: "a bug in monolisp",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}


class MonolispError(Exception):
    """An error with its own words. Subclasses give the templates; `fields` fills them."""

    exit_code: ClassVar[Exit] = Exit.BUG
    what: ClassVar[str]
    why: ClassVar[str]
    todo: ClassVar[str]

    def __init__(self, **fields: object) -> None:
        self.fields = {name: str(value) for name, value in fields.items()}
        super().__init__(self.what_text)

    def _fill(self, template: str) -> str:
        return string.Formatter().vformat(template, (), self.fields).strip()

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def what_text(self) -> str:
        return self._fill(self.what)

    @property
    def why_text(self) -> str:
        return self._fill(self.why)

    @property
    def todo_text(self) -> str:
        return self._fill(self.todo)

    def __str__(self) -> str:
        lines = [f"error: {self.what_text}"]
        if self.why_text:
            lines.append(f"  why: {self.why_text}")
        if self.todo_text:
            lines.append(f"  try: {self.todo_text}")
        return "\n".join(lines)


# --- the command line and the project file -------------------------------------------------------------------------


class BadOption(MonolispError):
    exit_code = Exit.USAGE
    what = "{option}: {value} is not usable"
    why = "{reason}"
    todo = "see `monolisp {command} --help`"


class UnknownKey(MonolispError):
    exit_code = Exit.INPUT
    what = "{file}: unknown key {key}"
    why = "monolisp.toml may hold: {known}"
    todo = "{suggestion}"


class BadProjectFile(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} cannot be used"
    why = "{reason}"
    todo = "correct the file; docs/project-file.md shows every key"


class NoSuchTarget(MonolispError):
    exit_code = Exit.USAGE
    what = "there is no target {name}"
    why = "known targets: {known}"
    todo = "{suggestion}"


class TargetRefused(MonolispError):
    exit_code = Exit.USAGE
    what = "programs cannot be built for {name}"
    why = "{reason}"
    todo = "choose another target; docs/targets.md shows how far each has come"


class NoSuchSbcl(MonolispError):
    exit_code = Exit.USAGE
    what = "there is no pin for SBCL {version}"
    why = "pinned versions: {known}"
    todo = "{suggestion}; or pin it: `monolisp toolchain new {version} --from FILE|DIR|URL` (docs/sbcl-versions.md)"


class PinExists(MonolispError):
    exit_code = Exit.USAGE
    what = "SBCL {version} is pinned already"
    why = "a version has one pin, so that its toolchain is the same for everyone"
    todo = "build it with --sbcl {version}; a pin of your own is the file {path}, which may be removed"


class NotSbcl(MonolispError):
    exit_code = Exit.SOURCE
    what = "{source} cannot be pinned"
    why = "{reason}"
    todo = "name an archive or checkout of SBCL's own source"


# --- foreign libraries ---------------------------------------------------------------------------------------------


class NoSuchRecipe(MonolispError):
    exit_code = Exit.USAGE
    what = "there is no recipe for the library {name}"
    why = "recipes are TOML files that come with monolisp"
    todo = "{suggestion}; or link an archive of your own: --with-archive lib{name}.a (docs/adding-a-recipe.md)"


class BadRecipe(MonolispError):
    exit_code = Exit.LIBRARY
    what = "the recipe {file} is wrong"
    why = "{reason}"
    todo = "correct it; docs/adding-a-recipe.md explains every key"


class RecipeCycle(MonolispError):
    exit_code = Exit.LIBRARY
    what = "recipes need each other in a circle: {cycle}"
    why = "a library can only be built when all that it depends on is there"
    todo = "take one of these names out of `depends`"


class LibraryFailed(MonolispError):
    exit_code = Exit.LIBRARY
    what = "the library {library} could not be built"
    why = "{command} failed\n{tail}"
    todo = "the whole log is {log}"


class RecipeYield(MonolispError):
    exit_code = Exit.LIBRARY
    what = "building {library} did not give what its recipe promises"
    why = "missing: {missing}"
    todo = "correct `archives`, `headers`, `packages` or the build of the recipe (docs/adding-a-recipe.md)"


class NoRecipeFor(MonolispError):
    exit_code = Exit.LIBRARY
    what = "the program needs the foreign library {library}, which monolisp cannot supply"
    why = "{place} asked for it: {condition}"
    todo = (
        "{suggestion}link an archive of your own with --with-archive FILE.a --soname {library}, "
        "or build without it: --absent {library} (calling into it is then a Lisp error)"
    )


class NoHeader(MonolispError):
    exit_code = Exit.LIBRARY
    what = "the C compiler lacks the header {header}"
    why = "{place} needs it, and no recipe installs it: {condition}"
    todo = "say where it is with --include DIR, or write a recipe for its library (docs/adding-a-recipe.md)"


class UnlinkableArchive(MonolispError):
    exit_code = Exit.LIBRARY
    what = "{file} cannot be linked in"
    why = "{reason}"
    todo = "give a static archive (.a) or object file (.o) built for {target} with musl, e.g. by `zig cc`"


class MissingInArchive(MonolispError):
    exit_code = Exit.LIBRARY
    what = "the libraries of this program need {names}, which nothing defines"
    why = "{detail}"
    todo = "name the library that defines them: --with NAME or --with-archive FILE.a"


class SymbolClash(MonolispError):
    exit_code = Exit.LIBRARY
    what = "{name} is defined by both {first} and {second}"
    why = "a static executable has one place for each name; which of the two the program means cannot be known"
    todo = "leave one of the libraries out (--absent), or rename the symbol in one of them"


class LockMismatch(MonolispError):
    exit_code = Exit.LIBRARY
    what = "{file} asks for {wanted}"
    why = "{reason}"
    todo = "`monolisp build --update` takes what this monolisp has; or use the monolisp that made the file"


class BadLock(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} cannot be used"
    why = "{reason}"
    todo = "remove it: the next build makes it anew"


# --- what is to be built -------------------------------------------------------------------------------------------


class NothingToBuild(MonolispError):
    exit_code = Exit.INPUT
    what = "nothing to build in {directory}"
    why = "no file or system was named, and the directory has no .asd file and no monolisp.toml naming one"
    todo = "name a Lisp file or a system: `monolisp build hello.lisp`"


class NoSuchFile(MonolispError):
    exit_code = Exit.INPUT
    what = "no such file: {file}"
    why = "{reason}"
    todo = "check the spelling and the directory you are in"


class Unreadable(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} cannot be read"
    why = "{reason}"
    todo = "check its permissions, and those of the directories that it is in"


class NotUtf8(MonolispError):
    exit_code = Exit.INPUT
    what = "{name} cannot be used: it is not UTF-8"
    why = "Lisp knows files, and everything else that it is told, by text in UTF-8"
    todo = "give it another name"


class NoDirectory(MonolispError):
    exit_code = Exit.INPUT
    what = "the directory that you are in is not there any more"
    why = "{reason}"
    todo = "go to another directory, or to the same one again"


class TwoSystems(MonolispError):
    exit_code = Exit.INPUT
    what = "{directory} has more than one .asd file"
    why = "found: {files}"
    todo = "name the system to build: `monolisp build {first}`"


class MixedInputs(MonolispError):
    exit_code = Exit.INPUT
    what = "files and systems cannot be built together"
    why = "got: {inputs}"
    todo = "name one or more .lisp files, or one system"


class NoSuchSystem(MonolispError):
    exit_code = Exit.INPUT
    what = "system {system} was not found"
    why = "{reason}"
    todo = "{suggestion}"


class MissingDependency(MonolispError):
    exit_code = Exit.INPUT
    what = "system {system} needs {missing}, which was not found"
    why = "it is in none of the places where ASDF looks: {places}"
    todo = "install it there, or name its directory with --registry DIR"


class NoSuchPackage(MonolispError):
    exit_code = Exit.INPUT
    what = "there is no package {package} for the entry {entry}"
    why = "the program was loaded, and defines these packages: {known}"
    todo = "name the entry as PACKAGE:FUNCTION with --entry"


class NoEntry(MonolispError):
    exit_code = Exit.INPUT
    what = "the program has no function {entry}"
    why = "{reason}"
    todo = "define it, or name another function with --entry PACKAGE:FUNCTION"


class TwoEntries(MonolispError):
    exit_code = Exit.INPUT
    what = "more than one package has a function MAIN"
    why = "found: {entries}"
    todo = "say which with --entry PACKAGE:FUNCTION"


class BadEntry(MonolispError):
    exit_code = Exit.INPUT
    what = "the entry {entry} takes the wrong arguments: {lambda_list}"
    why = "it is called with no argument or with one: the list of command-line arguments"
    todo = "give it the lambda list () or (arguments), or name another function with --entry"


# --- Lisp ----------------------------------------------------------------------------------------------------------


class LispReadError(MonolispError):
    exit_code = Exit.LISP
    what = "{place}: cannot be read"
    why = "{condition}"
    todo = "balance the parentheses; if a package is missing, build the system that depends on it, or load it earlier"


class LispCompileError(MonolispError):
    exit_code = Exit.LISP
    what = "{place}: does not compile"
    why = "{condition}"
    todo = "correct the form; -v shows the compiler's whole output"


class LispLoadError(MonolispError):
    exit_code = Exit.LISP
    what = "{place}: error while loading"
    why = "{condition}"
    todo = "correct the form; -v shows the backtrace"


class LispSaveError(MonolispError):
    exit_code = Exit.LISP
    what = "the program was loaded but its core could not be saved"
    why = "{condition}"
    todo = "a program must not leave threads running while it loads: start them in its entry function"


class LispHeapExhausted(MonolispError):
    exit_code = Exit.LISP
    what = "{place}: no memory left"
    why = "{condition}"
    todo = "raise the heap of the building Lisp, for instance --build-heap 8GiB"


class LispDied(MonolispError):
    exit_code = Exit.LISP
    what = "Lisp ended unexpectedly {place}"
    why = "{reason}"
    todo = "the end of its output is above; -v shows all of it"


class LispFileInterrupted(MonolispError):
    exit_code = Exit.INTERRUPTED
    what = "interrupted {place}"
    why = "{reason}"
    todo = "if loading never returns, keep the program's work inside its entry function"


# --- tools of the machine ------------------------------------------------------------------------------------------


class ToolMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "{tool} was not found on this machine"
    why = "{detail}"
    todo = "`monolisp doctor` prints the command that installs it"


class QemuMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "{name} was not found on this machine"
    why = "this machine ({machine}) does not run programs for {target} itself, and building for it means running some"
    todo = "install qemu's user emulators; on Debian and Ubuntu: sudo apt-get install qemu-user-static"


class CannotStart(MonolispError):
    exit_code = Exit.TOOL
    what = "{tool} could not be started"
    why = "{reason}"
    todo = "correct that and try again; `monolisp doctor` says what else this machine lacks"


class NoHostLisp(MonolispError):
    exit_code = Exit.TOOL
    what = "no Lisp to build SBCL with"
    why = "none of {tried} is on PATH, and Debian's sbcl package could not be had: {reason}"
    todo = "install sbcl (or ccl, clisp): `monolisp doctor` prints the command"


class CommandTimeout(MonolispError):
    exit_code = Exit.TOOL
    what = "a command took longer than {seconds} seconds and was ended"
    why = "it was: {command}"
    todo = "try again on a less busy machine"


# --- sources -------------------------------------------------------------------------------------------------------


class BadPin(MonolispError):
    exit_code = Exit.SOURCE
    what = "{file}: the pinned source cannot be used"
    why = "{reason}"
    todo = "correct the file; src/monolisp/toolchain/sbcl/2.6.4.toml shows every key"


class SourceUnavailable(MonolispError):
    exit_code = Exit.SOURCE
    what = "{source} could not be had"
    why = "{attempts}"
    todo = "connect to the network, or put {file} into a directory and name it with --source-dir DIR"


class SourceOffline(MonolispError):
    exit_code = Exit.SOURCE
    what = "{source} is not in the store, and --offline forbids fetching it"
    why = "it would come from {places}"
    todo = "run once without --offline, or put {file} into a directory and name it with --source-dir DIR"


class WrongChecksum(MonolispError):
    exit_code = Exit.SOURCE
    what = "{file} is not the pinned source"
    why = "its sha256 is {found}, the pin says {expected}"
    todo = "delete it and fetch it again; if it stays so, the place it came from was changed: do not use it"


class Truncated(MonolispError):
    exit_code = Exit.SOURCE
    what = "the download of {url} ended early"
    why = "{found} of {expected} bytes arrived"
    todo = "try again; a partial file is never kept"


class UnsafeArchive(MonolispError):
    exit_code = Exit.SOURCE
    what = "{file} was not unpacked"
    why = "its member {member} would be written outside the directory it is unpacked into ({reason})"
    todo = "do not use this archive; report it to whoever made it"


class BadArchive(MonolispError):
    exit_code = Exit.SOURCE
    what = "{file} cannot be unpacked"
    why = "{reason}"
    todo = "fetch it again"


# --- the toolchain -------------------------------------------------------------------------------------------------


class StageFailed(MonolispError):
    exit_code = Exit.TOOLCHAIN
    what = "building the toolchain failed in stage {stage}"
    why = "{reason}\n{tail}"
    todo = "the whole log is {log}; nothing half-made was kept, so try again after correcting the cause"


class NoToolchain(MonolispError):
    exit_code = Exit.TOOLCHAIN
    what = "there is no toolchain for SBCL {version} and {target} in the store"
    why = "it was not built yet"
    todo = "`monolisp toolchain build` builds it; so does the first `monolisp build`"


class NoFace(MonolispError):
    exit_code = Exit.STORE
    what = "{path} is no SBCL of monolisp any more"
    why = "{reason}"
    todo = "leave this shell or process: `monolisp sbcl`, started anew, makes what is missing"


class ToolchainRefused(MonolispError):
    exit_code = Exit.TOOLCHAIN
    what = "there is no static SBCL {version} to start"
    why = "you said that it shall not be built now"
    todo = "`monolisp toolchain build` builds it, once for all programs"


class CoreOfAnother(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} cannot be loaded by this SBCL"
    why = "it was saved by another one ({found}); this one is {expected}"
    todo = "save it again with `monolisp sbcl`, or start it with the SBCL that saved it"


class LibraryLost(MonolispError):
    exit_code = Exit.LIBRARY
    what = "{library} cannot be had any more"
    why = "it was there when the program loaded it, and must still be when the program is saved"
    todo = "keep the file until SBCL has ended"


class HalfSaved(MonolispError):
    exit_code = Exit.LISP
    what = "{output} was not made: SBCL did not save the whole core"
    why = "{reason}"
    todo = "what SBCL printed before this says why; nothing half-made was kept"


class WrongZig(MonolispError):
    exit_code = Exit.TOOL
    what = "the C compiler is zig {found}, but {expected} is pinned"
    why = "another version has another libc inside, so that programs would differ"
    todo = "install monolisp into an environment of its own (pipx, uv tool), or: pip install ziglang=={expected}"


# --- output, store, link -------------------------------------------------------------------------------------------


class OutputIsDirectory(MonolispError):
    exit_code = Exit.OUTPUT
    what = "the output {path} is a directory"
    why = "an executable cannot take its name"
    todo = "name another output with -o FILE"


class OutputIsInput(MonolispError):
    exit_code = Exit.OUTPUT
    what = "the output {path} is a file that the program is made from"
    why = "the executable would take its place"
    todo = "name another output with -o FILE"


class OutputUnwritable(MonolispError):
    exit_code = Exit.OUTPUT
    what = "the output {path} cannot be written"
    why = "{reason}"
    todo = "name another place with -o FILE, or make room; what was there before is untouched"


class DiskFull(MonolispError):
    exit_code = Exit.OUTPUT
    what = "no space left on the disk of {path}"
    why = "a toolchain takes about 1 GB while it is built and 0.2 GB afterwards, an executable about 40 MB"
    todo = "make room, `monolisp store prune --keep 2GB`, or put the store elsewhere with MONOLISP_STORE=DIR"


class StoreUnusable(MonolispError):
    exit_code = Exit.STORE
    what = "the store {path} cannot be used"
    why = "{reason}"
    todo = "name another place with MONOLISP_STORE=DIR"


class StoreBusy(MonolispError):
    exit_code = Exit.STORE
    what = "the store {path} is in use"
    why = "process {process} builds with it, and nothing is taken from under a build"
    todo = "try again when that has ended"


class NotAnExport(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} cannot be imported"
    why = "{reason}"
    todo = "name a file that `monolisp store export FILE` wrote; nothing of it was kept"


class NoSuchEntry(MonolispError):
    exit_code = Exit.USAGE
    what = "the store has no entry {name}"
    why = "an entry is named by its kind and the beginning of its digest, such as {example}"
    todo = "`monolisp store info --json` and `monolisp toolchain list` show them"


class NoMatrix(MonolispError):
    exit_code = Exit.INPUT
    what = "there is no matrix in {file}"
    why = "{reason}"
    todo = "write a table [matrix] into monolisp.toml, or name a TOML file that is one (docs/matrix.md)"


class BadMatrix(MonolispError):
    exit_code = Exit.INPUT
    what = "the matrix in {file} cannot be used"
    why = "{reason}"
    todo = "correct it; docs/matrix.md shows every key"


class ClusterExtraMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "a cluster cannot be used: the Python package distributed is not installed"
    why = "it comes with an extra of monolisp, which most people do not need"
    todo = "pip install 'monolisp[cluster]'"


class SchedulerUnreachable(MonolispError):
    exit_code = Exit.TOOL
    what = "the scheduler {url} cannot be reached"
    why = "{reason}"
    todo = "start it (dask scheduler), and name the address that it prints: --scheduler tcp://HOST:8786"


class ClusterNeedsRemote(MonolispError):
    exit_code = Exit.USAGE
    what = "a cluster needs a remote store that its workers can write to"
    why = "the project's files, toolchains and executables go through it: the scheduler carries only command lines"
    todo = "name it in monolisp.toml (store.remote, store.keys), and give --push --sign-key FILE"


class OtherMonolisp(MonolispError):
    exit_code = Exit.TOOL
    what = "the worker on {machine} has another monolisp"
    why = "another monolisp would make another program"
    todo = "install the same monolisp on every worker"


class RemoteLacks(MonolispError):
    exit_code = Exit.STORE
    what = "a worker did not find the project's files in the remote store"
    why = "they were put there when the matrix began"
    todo = "check that all workers reach the same remote store, and trust the key that signs"


class StepLost(MonolispError):
    exit_code = Exit.TOOL
    what = "a step was lost in the cluster"
    why = "{reason}"
    todo = "look at the workers' own logs, and start the matrix again: what is built is not built twice"


class RemoteExtraMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "remote stores cannot be used: the Python package {module} is not installed"
    why = "they come with an extra of monolisp, which most people do not need"
    todo = "pip install 'monolisp[remote]'"


class NoKeys(MonolispError):
    exit_code = Exit.INPUT
    what = "the remote store {url} cannot be used without a key to trust"
    why = "what comes from it becomes part of every program: it is only believed when a key that you name has signed it"
    todo = 'write the public key of whoever fills it into monolisp.toml: store.keys = ["RW…"]'


class NoSignKey(MonolispError):
    exit_code = Exit.USAGE
    what = "--push needs a key to sign with"
    why = "nobody would use what is not signed"
    todo = "name the secret key: --sign-key FILE (`monolisp keygen FILE` makes one)"


class NoRemote(MonolispError):
    exit_code = Exit.USAGE
    what = "there is no remote store to push to"
    why = "neither --remote nor store.remote in monolisp.toml names one"
    todo = "name it: --remote s3://bucket/prefix or --remote file:///mnt/share"


class PushFailed(MonolispError):
    exit_code = Exit.STORE
    what = "{kind} {digest} could not be put into {url}"
    why = "{reason}"
    todo = "try again: what is there already is left alone"


class TemporaryUnusable(MonolispError):
    exit_code = Exit.STORE
    what = "the temporary directory {path} cannot be made"
    why = "{reason}"
    todo = "name a directory that is yours to write with TMPDIR=DIR"


class BadElf(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} is not an ELF file that can be read"
    why = "{reason}"
    todo = "name an executable"


class BadCore(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} holds no SBCL core that can be read"
    why = "{reason}"
    todo = "name a core, or an executable that monolisp made"


class LinkFailed(MonolispError):
    exit_code = Exit.LINK
    what = "the executable could not be linked"
    why = "{reason}"
    todo = "this is most likely a fault of monolisp: please report it with the lines above"


class NotStatic(MonolispError):
    exit_code = Exit.LINK
    what = "the executable was built but is not truly static, and was deleted"
    why = "{findings}"
    todo = "this is most likely a fault of monolisp: please report it with the lines above"


class NoProvenance(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} does not say what it is made of"
    why = "it has no section monolisp.provenance: monolisp did not make it, or a tool has removed the section"
    todo = "name an executable as `monolisp build` wrote it; `monolisp verify FILE` judges any ELF file"


class DamagedProvenance(MonolispError):
    exit_code = Exit.INPUT
    what = "what {file} says of itself cannot be read"
    why = "{reason}"
    todo = "the file is damaged or forged: get it again from where it came, or build it again"


class ForgedProvenance(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} is not the file that it says it is"
    why = "its code, its core or what it says of itself was changed after it was built"
    todo = "get it again from where it came, or build it again; `strip` and a rename change nothing that counts"


class NotReproducible(MonolispError):
    exit_code = Exit.DIFFERS
    what = "{file} is not the same when it is built again with another {changed}"
    why = "these places differ:\n  {places}"
    todo = (
        "what a program does while it loads is its own: look there for the time, random numbers, names of files and "
        "variables of the environment that are kept"
    )


# --- bills of materials and licences -------------------------------------------------------------------------------


class SbomExtraMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "the Python package {module} is not installed"
    why = "bills of materials and licences come with an extra of monolisp, which most builds do not need"
    todo = "pip install 'monolisp[sbom]'"


class LicenceTextsMissing(MonolispError):
    exit_code = Exit.VERDICT
    what = "{file}: of {count} parts the text of the licence was not found"
    why = "{missing}"
    todo = (
        "name the directory where the sources are (--source-dir DIR), add these texts by hand and say --allow-missing, "
        "or do without these parts"
    )


# --- signatures ----------------------------------------------------------------------------------------------------


class BadKey(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "the key {key} cannot be used"
    why = "{reason}"
    todo = "`monolisp keygen FILE` makes a pair: FILE is the secret key, FILE.pub the public one; minisign's do as well"


class SignExtraMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "nothing can be signed or verified: the Python package {module} is not installed"
    why = "signatures come with an extra of monolisp, which most people do not need"
    todo = "pip install 'monolisp[sign]'"


class NoPassword(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "the secret key {key} needs its password"
    why = "there is no terminal to ask at, and standard input says nothing"
    todo = "name a file whose first line it is, --password-file FILE, or set MONOLISP_KEY_PASSWORD"


class WrongPassword(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "the password is not that of the secret key {key}"
    why = "the key could not be decrypted with it"
    todo = "try again; nobody can recover a password: without it make a new pair, `monolisp keygen FILE`"


class NoSignature(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{file} has no signature"
    why = "there is no {signature}"
    todo = "get it from where the file came from; --signature FILE names one that is elsewhere"


class NotASignature(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{file} is no signature"
    why = "{reason}"
    todo = "get it again: --key wants a detached signature of minisign, --gpg one of OpenPGP"


class WrongKey(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{file} was signed by another key"
    why = "you trust {key}, and it was signed by {found}"
    todo = "do not use the file, unless whoever made it says that this is their key, in a place that you trust"


class BadSignature(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{file} is not what was signed"
    why = "{signature} is not good: {reason}"
    todo = "do not use the file; get both again from where they came from"


class GpgMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "gpg was not found on this machine"
    why = "it makes and verifies OpenPGP signatures"
    todo = "install it: sudo apt-get install gnupg; or use a key of minisign's kind, `monolisp keygen FILE`"


class GpgFailed(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "gpg did not sign {file}"
    why = "{reason}"
    todo = "`gpg -K` shows the keys that can sign; GPG_TTY=$(tty) lets gpg ask for a password"


class GpgKeyUnknown(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "gpg does not have the key {key}"
    why = "a signature can only be verified with the public key of whoever made it"
    todo = "get the key from a place that you trust, and have gpg import it: `gpg --import FILE`"


class BadChecksums(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{file} cannot be used as a list of checksums"
    why = "{reason}"
    todo = "correct or remove it; lines are as `sha256sum FILE` prints them"


class NotAnAttestation(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{file} is no signed attestation"
    why = "{reason}"
    todo = "get it again, or make one: `monolisp attest FILE --key FILE`"


class AttestationOfAnother(MonolispError):
    exit_code = Exit.SIGNATURE
    what = "{attestation} is not about {file}"
    why = "none of its subjects has the sha256 of this file"
    todo = "do not use the file; get both again from where they came from"


# --- building again ------------------------------------------------------------------------------------------------


class NotRebuildable(MonolispError):
    exit_code = Exit.INPUT
    what = "{name} cannot be built again from what it says of itself"
    why = "{reason}"
    todo = "build it with `monolisp build`: such executables say everything; docs/rebuild.md tells what is needed"


class RebuildDiffers(MonolispError):
    exit_code = Exit.DIFFERS
    what = "what was built again is not {file}"
    why = "{reason}"
    todo = (
        "supply what differs as it was (--source-dir DIR), with the monolisp that made it; where only Lisp objects "
        "differ, the program keeps the time or more of its surroundings while it loads; docs/rebuild.md says more"
    )


class SourcesGone(MonolispError):
    exit_code = Exit.SOURCE
    what = "sources of {name} are nowhere to be found: {count}"
    why = "{missing}\n       looked for in: {places}"
    todo = "put them into a directory, and name that: --source-dir DIR (files are known by their sha256, not by name)"


class DamagedBundle(MonolispError):
    exit_code = Exit.SOURCE
    what = "{file} is no bundle that can be used"
    why = "{reason}"
    todo = "get it again from where it came, or make it again with `monolisp bundle FILE -o x.tar.zst`"


# --- OCI images ----------------------------------------------------------------------------------------------------


class BadImage(MonolispError):
    exit_code = Exit.USAGE
    what = "this image cannot be made"
    why = "{reason}"
    todo = "correct that; docs/oci.md says what an image may have"


class WrongPlatform(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} is not for {platform}"
    why = "{reason}"
    todo = "build the program for that platform, or name the one that it is for"


class NotAnOciArchive(MonolispError):
    exit_code = Exit.INPUT
    what = "{file} is no OCI archive that can be used"
    why = "{reason}"
    todo = (
        "make the image again, and name that file; any other tool's OCI image layout, packed as a tar, will do as well"
    )


class NoProgramInImage(MonolispError):
    exit_code = Exit.INPUT
    what = "{file}: the program that an image starts cannot be read"
    why = "{reason}"
    todo = "name the SBOM's file (--sbom FILE), or attach none (--sbom none)"


class BadReference(MonolispError):
    exit_code = Exit.USAGE
    what = "{reference} does not name a place in a registry"
    why = "registry, name and tag are never guessed; names are in small letters"
    todo = "write REGISTRY/NAME:TAG, such as ghcr.io/somebody/hello:1.0 or localhost:5000/hello:latest"


class NoSuchPlatform(MonolispError):
    exit_code = Exit.USAGE
    what = "{file} has no image for {platform}"
    why = "it has: {known}"
    todo = "name one of them, or none: then the file is attached to the whole"


class OciExtraMissing(MonolispError):
    exit_code = Exit.TOOL
    what = "the Python package {module} is not installed"
    why = "registries and time zones come with an extra of monolisp, which most people do not need"
    todo = "pip install 'monolisp[oci]'"


class RegistryUnreachable(MonolispError):
    exit_code = Exit.OUTPUT
    what = "the registry {registry} cannot be reached"
    why = "{reason}"
    todo = "check its name and the network; a registry without TLS, such as one for tests, needs --plain-http"


class RegistryRefuses(MonolispError):
    exit_code = Exit.OUTPUT
    what = "{reference}: the registry refuses"
    why = "{reason}"
    todo = (
        "log in (docker login {registry}) as somebody who may write there; docs/oci.md says where logins are looked for"
    )


class RegistryFailed(MonolispError):
    exit_code = Exit.OUTPUT
    what = "{reference}: the registry did not take the image"
    why = "{reason}"
    todo = "try again: what is there already is not sent again; if it stays so, ask whoever runs the registry"


# --- the page ------------------------------------------------------------------------------------------------------


def all_errors() -> list[type[MonolispError]]:
    """Every error class, in the order of this file."""
    return MonolispError.__subclasses__()


def page() -> str:
    """docs/errors.md."""
    lines = [
        "# Errors and exit codes",
        "",
        "Made from src/monolisp/errors.py by `make docs`; do not edit. Words in braces are filled in when it happens.",
        "",
        "| exit code | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_MEANING.items()]
    for error in all_errors():
        lines += ["", f"## {error.__name__} (exit {int(error.exit_code)})", ""]
        lines += [f"- what: {error.what}", f"- why: {error.why}".replace("\n", " "), f"- try: {error.todo}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
