"""Executables built again from what they say of themselves, and bundles with everything that this needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monolisp.errors import Exit
from monolisp.store import sha256_file
from monolisp.target import find_target
from monolisp.toolchain.toolchain import toolchain_digest
from monolisp.toolchain.version import DEFAULT

from .conftest import EXAMPLES, Ended, Monolisp, run
from .test_json import check

ZLIB = """(load "part.lisp")
(sb-alien:load-shared-object "libz.so.1")
(sb-alien:define-alien-routine ("zlibVersion" zlib-version) sb-alien:c-string)
(defun main () (princ (zlib-version)) (princ *before*))
"""
# Nothing of it draws by lot, and it needs no other system.
SYSTEM = {
    "part.asd": '(defsystem "part" :version "1.0" :components ((:file "part")))',
    "part.lisp": '(defpackage part (:use :cl) (:export #:text)) (in-package part) (defun text () "part")',
    "app/app.asd": """(defsystem "app" :depends-on ("part") :components ((:file "app") (:static-file "LICENSE"))
                       :entry-point "app:main")""",
    "app/app.lisp": "(defpackage app (:use :cl) (:export #:main)) (in-package app) (defun main () (princ (part:text)))",
    "app/LICENSE": "MIT",
}
needs_unshare = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="waits for root and Debian's package util-linux: a process without a network",
)


def written(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    return directory


def left(path: Path) -> set[tuple[str, float]]:
    return {(str(item), item.stat().st_mtime) for item in path.rglob("*")}


def test_a_script_with_a_library_that_was_taken_apart(monolisp: Monolisp, tmp_path: Path) -> None:
    """Its files lie elsewhere, under other names; options, --eval, --embed, --include, --recipes are its own."""
    here = written(tmp_path / "here", {"program.lisp": ZLIB, "part.lisp": "(defvar *part* 1)", "data,1.txt": "data"})
    written(here, {"inc/sub/own.h": "#define X 1", "rec/own.toml": (recipe := _recipe())})
    options = ["--heap", "2GiB", "--eval", '(defvar *before* "a,b")', "--embed", "data*", "--include", "inc"]
    done = monolisp("build", "program.lisp", *options, "--recipes", "rec", "--feature", "own", cwd=here)
    assert done.code == 0, done.err
    assert recipe
    attic = tmp_path / "attic"
    (attic / "deep").mkdir(parents=True)
    program = Path(shutil.move(here / "program", tmp_path / "program"))
    for number, path in enumerate(sorted(path for path in here.rglob("*") if path.is_file())):
        shutil.copy(path, attic / "deep" / f"{number}")
    shutil.rmtree(here)
    before = left(attic)
    done = monolisp("rebuild", program, "--source-dir", attic, "-o", "again")
    assert done.code == 0, done.err
    assert done.out.strip() == f"{program}: identical, sha256 {sha256_file(program)}"
    assert (tmp_path / "again").read_bytes() == program.read_bytes()
    assert left(attic) == before


def _recipe() -> str:
    return (Path(EXAMPLES).parent / "src/monolisp/libraries/recipes/lz4.toml").read_text(encoding="utf-8")


def test_what_is_missing(monolisp: Monolisp, built: Callable[..., Path], tmp_path: Path) -> None:
    program = built('(load "part.lisp")(defun main () (princ 1))') if _part(tmp_path) else None
    assert program is not None
    (tmp_path / "part.lisp").write_text("(defvar *part* 2)")
    (tmp_path / "program.lisp").unlink()
    done = monolisp("rebuild", program)
    assert done.code == 6
    assert "sources of program are nowhere to be found: 2" in done.err
    assert f"{tmp_path}/part.lisp was changed since" in done.err
    assert "the file program.lisp (sha256 " in done.err
    assert "--source-dir DIR" in done.err


def _part(folder: Path) -> bool:
    return (folder / "part.lisp").write_text("(defvar *part* 1)") > 0


def system_built(monolisp: Monolisp, directory: Path) -> Path:
    written(directory, SYSTEM)
    done = monolisp("build", "--registry", "..", "--always", cwd=directory / "app")
    assert done.code == 0, done.err
    return directory / "app" / "app"


@pytest.mark.slow
def test_systems_that_were_moved(monolisp: Monolisp, tmp_path: Path) -> None:
    """There is another part.asd, which was never meant; and git has a checkout of neither."""
    program = Path(shutil.move(system_built(monolisp, tmp_path / "here"), tmp_path / "program"))
    (tmp_path / "here").rename(tmp_path / "moved")
    written(tmp_path / "a-newer-one", {name: text.replace('part")', 'new")') for name, text in SYSTEM.items()})
    shutil.rmtree(tmp_path / "a-newer-one" / "app")
    before = left(tmp_path / "moved")
    folders = ("--source-dir", tmp_path / "a-newer-one", "--source-dir", tmp_path / "moved")
    done = monolisp("rebuild", program, *folders, "--json", "-o", "again")
    told = done.json()
    assert told["schema"] == "monolisp-rebuild-1"
    assert [one for one in told["differences"] if not one["what"].startswith("section ")] == []
    assert run([tmp_path / "again"]).out == "part"
    assert left(tmp_path / "moved") == before


def test_systems_are_identical(monolisp: Monolisp, tmp_path: Path) -> None:
    """Found in another way, in another home."""
    program = system_built(monolisp, tmp_path)
    done = monolisp("rebuild", program, "--source-dir", tmp_path, "-o", tmp_path / "again")
    assert done.code == 0, done.err
    assert sha256_file(tmp_path / "again") == sha256_file(program)


def test_a_program_that_reads_the_time_while_it_loads(monolisp: Monolisp, tmp_path: Path) -> None:
    """The object that differs is named, and the file that made it."""
    text = "(defvar *built* (get-internal-real-time)) (defun main () (print *built*))"
    (tmp_path / "app.lisp").write_text(f"(sleep 0.01) {text}", encoding="utf-8")
    assert monolisp("build", "app.lisp").code == 0
    done = monolisp("rebuild", "app", "--json")
    assert done.code == Exit.DIFFERS
    (one,) = done.json()["differences"]
    assert one["what"].startswith("section lisp.core")
    assert one["held"][-1] == "symbol *BUILT*, defined in app.lisp"
    check(done.json())


@pytest.mark.slow
def test_a_system_that_was_changed(monolisp: Monolisp, tmp_path: Path) -> None:
    program = system_built(monolisp, tmp_path)
    (tmp_path / "part.lisp").write_text(SYSTEM["part.lisp"] + "; a word", encoding="utf-8")
    done = monolisp("rebuild", program, "--source-dir", tmp_path, "--json", cwd=tmp_path)
    assert done.code == 13
    whats = [one["what"] for one in done.json()["differences"]]
    assert [what for what in whats if not what.startswith("section ")] == ["system part: source"]
    assert "is not" in done.err
    assert "system part: source: " in done.err
    # And a bundle of something else is none.
    done = monolisp("bundle", program, "--source-dir", tmp_path, "-o", "x.tar.zst", cwd=tmp_path)
    assert done.code == 6
    assert "the files of part, as " in done.err
    assert not (tmp_path / "x.tar.zst").exists()


def test_systems_that_are_gone(monolisp: Monolisp, tmp_path: Path) -> None:
    program = Path(shutil.move(system_built(monolisp, tmp_path / "here"), tmp_path / "program"))
    shutil.rmtree(tmp_path / "here")
    done = monolisp("rebuild", program)
    assert done.code == 6
    assert "the system part 1.0: a directory with part.asd" in done.err
    assert "the system app: a directory with app.asd" in done.err


def test_a_revision_is_that_of_the_record(monolisp: Monolisp, tmp_path: Path) -> None:
    """The original was in a git checkout, its copy is not."""
    here = written(tmp_path / "here", {"program.lisp": "(defun main () (princ 1))"})
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        subprocess.run([*git, *arguments], cwd=here, check=True)
    assert monolisp("build", "program.lisp", cwd=here).code == 0
    assert monolisp("inspect", "program", "--json", cwd=here).json()["program"]["revision"]
    shutil.rmtree(here / ".git")
    done = monolisp("rebuild", "program", cwd=here)
    assert done.code == 0, done.err


def test_what_cannot_be_built_again(monolisp: Monolisp, built: Callable[..., Path], tmp_path: Path) -> None:
    form = '(sb-ext:save-lisp-and-die "dumped" :executable t :toplevel (lambda () (princ 7)))'
    assert monolisp("sbcl", "--non-interactive", "--eval", form).code == 0
    done = monolisp("rebuild", "dumped")
    assert done.code == 3
    assert "a Lisp that was loaded by hand" in done.err
    program = built("(defun main () (princ 1))")
    with program.open("r+b") as stream:
        stream.seek(program.stat().st_size // 2)
        stream.write(b"?")
    for command in (["rebuild", "program"], ["bundle", "program", "-o", "x.tar.zst"]):
        done = monolisp(*command)
        assert done.code == 3
        assert "is not the file that it says it is" in done.err
    assert monolisp("rebuild").code == 2


def test_the_directory_can_be_kept(monolisp: Monolisp, built: Callable[..., Path]) -> None:
    program = built("(defun main () (princ 1))")
    done = monolisp("rebuild", program, "--keep", "--json")
    assert done.code == 0, done.err
    kept = Path(done.json()["kept"])
    try:
        assert (kept / "project" / "program.lisp").is_file()
        assert sha256_file(kept / "built" / "program") == sha256_file(program)
    finally:
        shutil.rmtree(kept)


def test_the_original_is_not_overwritten(monolisp: Monolisp, built: Callable[..., Path]) -> None:
    program = built("(defun main () (princ 1))")
    assert monolisp("rebuild", program, "-o", program).code == 8
    assert monolisp("bundle", program, "-o", program).code == 8
    assert run([program]).out == "1"


def test_another_processor(monolisp: Monolisp, tmp_path: Path) -> None:
    store = Path(os.environ["MONOLISP_STORE"])
    digest = toolchain_digest(DEFAULT, find_target("aarch64-linux-musl"))
    if not (store / "toolchains" / digest).is_dir():
        pytest.skip("waits for the toolchain of aarch64 in the store: monolisp toolchain build --target arm64")
    written(tmp_path, {"program.lisp": "(defun main () (princ 1))"})
    done = monolisp("build", "program.lisp", "--target", "arm64")
    assert done.code == 0, done.err
    done = monolisp("rebuild", "program")
    assert done.code == 0, done.err


# --- bundles ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A program with a library, and its bundle; its sources are gone."""
    assert toolchain.is_dir()
    folder = tmp_path_factory.mktemp("bundled")
    here = written(folder / "here", {"program.lisp": ZLIB, "part.lisp": "(defvar *part* 1)"})
    start = [sys.executable, "-m", "monolisp"]
    done = run([*start, "build", "program.lisp", "--eval", "(defvar *before* 1)"], cwd=here, timeout=600)
    assert done.code == 0, done.err
    done = run([*start, "bundle", "program", "-o", folder / "x.tar.zst"], cwd=here, timeout=600)
    assert done.code == 0, done.err
    assert "MB" in done.out.splitlines()[0]
    program = Path(shutil.move(here / "program", folder / "program"))
    shutil.rmtree(here)
    return program, folder / "x.tar.zst"


def alone(bundle: Path, *arguments: str | Path, store: Path | None = None, cwd: Path) -> Ended:
    """monolisp rebuild --bundle without a network; with `store` nothing is there that others made."""
    argv = ["unshare", "-n", sys.executable, "-m", "monolisp", "rebuild", "--bundle", bundle, *arguments]
    return run([*argv], cwd=cwd, timeout=3000, **({"MONOLISP_STORE": str(store)} if store else {}))


@needs_unshare
def test_a_bundle_needs_nothing_else(bundled: tuple[Path, Path], tmp_path: Path) -> None:
    program, bundle = bundled
    done = alone(bundle, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.strip() == f"program: identical, sha256 {sha256_file(program)}"
    assert alone(bundle, program, cwd=tmp_path).code == 0


@pytest.mark.slow
@needs_unshare
def test_a_bundle_and_an_empty_store(bundled: tuple[Path, Path], tmp_path: Path) -> None:
    """zlib is built from the bundle's source, with the bundle's toolchain; nothing of it comes into the store."""
    program, bundle = bundled
    store = tmp_path / "store"
    done = alone(bundle, "-o", tmp_path / "again", store=store, cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "again").read_bytes() == program.read_bytes()
    assert not (store / "toolchains").exists()


@pytest.mark.slow
@needs_unshare
def test_a_bundle_from_source(bundled: tuple[Path, Path], tmp_path: Path) -> None:
    """SBCL is built with the bundle's SBCL, from the bundle's source, and comes out the same."""
    _, bundle = bundled
    done = alone(bundle, "--from-source", "-o", tmp_path / "again", store=tmp_path / "store", cwd=tmp_path)
    assert done.code == 0, done.err
    assert run([tmp_path / "again"]).out == "1.3.11"


@pytest.mark.slow
def test_what_is_in_a_bundle(bundled: tuple[Path, Path], tmp_path: Path) -> None:
    """As a person without monolisp sees it, who only has tar, zstd and sha256sum."""
    import zstandard

    program, bundle = bundled
    with bundle.open("rb") as source, (tmp_path / "plain.tar").open("wb") as target:
        zstandard.ZstdDecompressor().copy_stream(source, target)
    subprocess.run(["tar", "-xf", "plain.tar"], cwd=tmp_path, check=True)
    folder = tmp_path / "program-bundle"
    done = run(["sha256sum", "--quiet", "--strict", "-c", "MANIFEST"], cwd=folder)
    assert (done.code, done.out) == (0, "")
    assert sha256_file(folder / "executable" / "program") == sha256_file(program)
    names = {path.name.partition("-")[0] for path in (folder / "wheels").iterdir()}
    assert {"monolisp", "ziglang", "zstandard", "platformdirs"} <= names
    assert len(list((folder / "sources").iterdir())) == 3
    text = (folder / "README.txt").read_text(encoding="utf-8")
    assert "pip install --no-index --find-links wheels monolisp" in text
    assert max(map(len, text.splitlines())) < 400
    host = run([folder / "host-lisp" / "bin" / "sbcl", "--no-sysinit", "--no-userinit", "--eval", "(exit :code 7)"])
    assert host.code == 7
    # Unpacked by hand it does as well.
    start = [sys.executable, "-m", "monolisp", "rebuild", folder / "executable" / "program"]
    done = run([*start, "--source-dir", folder, "--offline"], cwd=tmp_path)
    assert done.code == 0, done.err


@pytest.mark.slow
def test_a_bundle_is_the_same_each_time(bundled: tuple[Path, Path], monolisp: Monolisp, tmp_path: Path) -> None:
    """Of an unpacked bundle the same bundle can be made again."""
    import zstandard

    program, bundle = bundled
    with bundle.open("rb") as source, (tmp_path / "plain.tar").open("wb") as target:
        zstandard.ZstdDecompressor().copy_stream(source, target)
    subprocess.run(["tar", "-xf", "plain.tar"], cwd=tmp_path, check=True)
    folder = tmp_path / "program-bundle"
    done = monolisp("bundle", program, "--source-dir", folder, "-o", "again.tar.zst", "--offline")
    assert done.code == 0, done.err
    assert sha256_file(tmp_path / "again.tar.zst") == sha256_file(bundle)


def test_a_bundle_without_its_executable(
    bundled: tuple[Path, Path], monolisp: Monolisp, built: Callable[..., Path], tmp_path: Path
) -> None:
    assert bundled
    program = built("(defun main () (princ 1))")
    options = ("--without-executable", "--with", "lz4")
    done = monolisp("bundle", program, "-o", "small.tar.zst", *options)
    assert done.code == 0, done.err
    expected = sha256_file(program)
    program.unlink()
    done = monolisp("rebuild", "--bundle", "small.tar.zst")
    assert done.code == 0, done.err
    assert done.out.strip() == f"program: identical, sha256 {expected}"


def test_a_damaged_bundle(bundled: tuple[Path, Path], monolisp: Monolisp, tmp_path: Path) -> None:
    _, bundle = bundled
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "damaged").write_bytes(content)
    done = monolisp("rebuild", "--bundle", "damaged")
    assert done.code == 6
    assert "damaged is no bundle that can be used" in done.err
    assert monolisp("rebuild", "--bundle", "nothing").code == 3
