"""ACL2, a theorem prover: built by its own makefile with the SBCL of `monolisp exec`, then one static executable."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monolisp.store import remove_tree

from .conftest import Ended, needs_root, run
from .real import source_of

STOCK = shutil.which("sbcl")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="waits for Debian's package make"),
]

ACL2 = {
    "name": "acl2",
    "version": "8.6",
    "licence": "BSD-3-Clause",
    "place": [
        {
            "debian": "acl2",
            "version": "8.6+dfsg-2",
            "suite": "trixie",
            "file": "acl2_8.6+dfsg.orig.tar.gz",
            "sha256": "f633ff0ad42874381b96c34b38f4612629c3c267e2c6214f9543d03a447b366e",
            "size": 240329345,
        }
    ],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that is gone after these tests: two gigabytes."""
    folder = tmp_path_factory.mktemp("acl2")
    yield folder
    remove_tree(folder)


@pytest.fixture(scope="module")
def source(place: Path) -> Path:
    """ACL2's source and its books."""
    return source_of(ACL2, place / "source")


def make(source: Path, tree: Path, *command: str) -> Path:
    """Have ACL2's makefile build a copy of its sources, without the books, and say where the script is that starts it.

    It would ask git for a version if it were not told that there is none.
    """
    shutil.copytree(source, tree, ignore=lambda folder, _: ["books"] if folder == str(source) else [])
    done = run([*command], cwd=tree, timeout=1200, ACL2_SNAPSHOT_INFO="NONE")
    assert done.code == 0, done.out + done.err + (tree / "make.log").read_text(encoding="utf-8")[-3000:]
    return tree / "saved_acl2"


@pytest.fixture(scope="module")
def saved_acl2(source: Path, place: Path, toolchain: Path) -> Path:
    """What ACL2 saves by itself: a core, and a script that starts sbcl with it."""
    return make(source, place / "static", sys.executable, "-m", "monolisp", "exec", "--", "make", "LISP=sbcl")


# ACL2's script evaluates (SBCL-RESTART), and :Q leads from there to SBCL's prompt.
DUMP = """
(in-package "ACL2")
(defun start ()
  (with-simple-restart (abort "Leave ACL2 for Lisp.")
    (sbcl-restart))
  (sb-impl::toplevel-repl nil))
(sb-ext:save-lisp-and-die "acl2" :executable t :save-runtime-options t :toplevel #'start)
"""


@pytest.fixture(scope="module")
def executable(saved_acl2: Path) -> Path:
    """The core as an executable, with the sizes that the script says."""
    tree = saved_acl2.parent
    (tree / "dump.lisp").write_text(DUMP, encoding="utf-8")
    sizes = re.findall(r"--(?:tls-limit|dynamic-space-size|control-stack-size) \d+", saved_acl2.read_text("utf-8"))
    assert len(sizes) == 3
    options = [*" ".join(sizes).split(), "--core", "saved_acl2.core", "--no-userinit", "--load", "dump.lisp"]
    done = run([sys.executable, "-m", "monolisp", "sbcl", *options], cwd=tree)
    assert done.code == 0, done.out + done.err
    return tree / "acl2"


def said(done: Ended) -> list[str]:
    """What ACL2 says, without what differs from one run or build to the next."""
    assert done.code == 0, done.err
    lines = done.out[done.out.index("+ ACL2 Version") :].splitlines()
    return [line for line in lines if not re.search(r"^Time: |built \w+ \d+, \d{4}|:SYSTEM \.", line)]


THEOREMS = b"""
(thm (equal (append (append x y) z) (append x (append y z))))
(thm (equal (append x y) (append y x)))
"""


@pytest.mark.parametrize("started", ["saved_acl2", "executable"])
def test_it_proves_and_refuses(started: str, request: pytest.FixtureRequest) -> None:
    out = "\n".join(said(run([request.getfixturevalue(started)], stdin=THEOREMS)))
    proven, refused = out.split("Proof succeeded.")
    # As ACL2 counts with a stock SBCL.
    assert "Prover steps counted:  435\n" in proven
    assert "Form:  ( THM ...)\nRules: ((:DEFINITION BINARY-APPEND)\n" in proven
    assert "******** FAILED ********" in refused


def test_it_is_static(executable: Path) -> None:
    done = run([sys.executable, "-m", "monolisp", "verify", executable])
    assert done.code == 0, done.out


REVERSE = """(in-package "ACL2")
(defun rev (x)
  (declare (xargs :guard (true-listp x)))
  (if (consp x) (append (rev (cdr x)) (list (car x))) nil))
(defthm rev-append (equal (rev (append x y)) (append (rev y) (rev x))))
(defthm rev-rev (implies (true-listp x) (equal (rev (rev x)) x)))
"""


@needs_root
def test_certifying_where_there_is_nothing_else(executable: Path, place: Path) -> None:
    """A book is proven and compiled by one process; another loads its compiled code, or would say that it cannot."""
    root = place / "root"
    root.mkdir()
    (root / "reverse.lisp").write_text(REVERSE, encoding="utf-8")
    shutil.copy2(executable, root / "acl2")

    def acl2(text: bytes) -> list[str]:
        return said(run(["chroot", root, "/acl2"], stdin=text, HOME="/"))

    assert '* Step 5:  Compile the functions defined in "/reverse.lisp".' in acl2(b'(certify-book "reverse")')
    lines = acl2(b'(include-book "reverse" :load-compiled-file t)\n(rev (list 1 2 3))\n')
    assert "ACL2 !>(3 2 1)" in lines


# Books of ACL2's community, each after those that it includes; each is undone to certify the next one.
BOOKS = [
    "perm",
    "how-many",
    "orderedp",
    "ordered-perms",
    "convert-perm-to-how-many",
    "isort",
    "msort",
    "bsort",
    "equisort",
    "equisort2",
]
CERTIFY = "".join(f'(certify-book "{book}")\n(u)\n' for book in BOOKS).encode()


@pytest.mark.skipif(STOCK is None, reason="waits for Debian's package sbcl")
def test_as_with_debians_sbcl(source: Path, executable: Path, place: Path) -> None:
    """Sorting programs are proven correct with the same words and the same certificates."""
    stock = make(source, place / "stock", "make", f"LISP={STOCK}")

    def certified(acl2: Path) -> tuple[list[str], dict[str, bytes]]:
        folder = shutil.copytree(source / "books" / "sorting", place / "sorting")
        lines = said(run([acl2], cwd=folder, stdin=CERTIFY))
        certificates = {path.name: path.read_bytes() for path in folder.glob("*.cert")}
        remove_tree(folder)
        return lines, certificates

    ours, theirs = certified(executable), certified(stock)
    assert len(ours[1]) == len(BOOKS)
    assert ours == theirs
