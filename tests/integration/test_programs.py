"""Real programs from Debian's source packages, built by their own build files with `monolisp exec`."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

import pytest

from .conftest import Monolisp, in_chroot, needs_postgres, needs_root, run
from .real import BUILDAPP, MAXIMA, PGLOADER, POSTGRES, REPAIRS, source_of

LISP = Path("/usr/share/common-lisp/source")


def needs(*systems: str) -> pytest.MarkDecorator:
    lacking = [system for system in systems if not (LISP / system).is_dir()]
    return pytest.mark.skipif(bool(lacking), reason=f"waits for Debian's packages of {', '.join(lacking)}")


def build_buildapp(monolisp: Monolisp, folder: Path) -> Path:
    tree = source_of(BUILDAPP, folder)
    done = monolisp("exec", "--", "make", cwd=tree)
    assert done.code == 0, done.err + done.out
    return tree / "buildapp"


@needs_root
@pytest.mark.slow
def test_buildapp_builds_another(monolisp: Monolisp, tmp_path: Path) -> None:
    buildapp = build_buildapp(monolisp, tmp_path / "buildapp")
    assert monolisp("verify", buildapp).code == 0
    (tmp_path / "hi.lisp").write_text('(defun main (argv) (format t "hi ~a~%" (rest argv)) 3)', encoding="utf-8")
    line = ("--load", "hi.lisp", "--entry", "main", "--output", "hi")
    done = monolisp("exec", "--", buildapp, *line)
    assert done.code == 0, done.err + done.out
    assert monolisp("verify", "hi").code == 0
    ended = in_chroot(tmp_path / "hi", tmp_path / "root", "x")
    assert ended.out == "hi (x)\n"


# --- pgloader --------------------------------------------------------------------------------------------------------

ROWS = 20000


def psql(cluster: Path, query: str) -> str:
    assert POSTGRES is not None
    argv = [POSTGRES / "psql", "-XAt", "-h", cluster, "-p", "54329", "-U", "lisp", "-d", "postgres", "-c", query]
    done = run([*argv], PGPASSWORD="secret")
    assert done.code == 0, done.err
    return done.out.strip()


@pytest.fixture
def pgloader(monolisp: Monolisp, tmp_path: Path) -> Path:
    """Debian's rules build it, with a buildapp of ours; documentation is left out."""
    buildapp = build_buildapp(monolisp, tmp_path / "buildapp")
    tree = source_of(PGLOADER, tmp_path / "pgloader")
    (tree / "named-readtables.asd").symlink_to(REPAIRS / "named-readtables" / "named-readtables.asd")
    rules = ("make", "-f", "debian/rules", "override_dh_auto_build-arch", "SPHINXBUILD=true")
    path = f"{buildapp.parent}:/usr/local/bin:/usr/bin:/bin"
    done = monolisp("exec", "--", *rules, cwd=tree, env={"PATH": path})
    assert done.code == 0, done.err[-3000:] + done.out[-3000:]
    assert re.search(r"linked: sqlite .*freetds .*openssl", done.out + done.err)
    program = tree / "build" / "bin" / "pgloader"
    assert monolisp("verify", program).code == 0
    return program


@pytest.mark.slow
@needs_root
@needs_postgres
@needs("postmodern", "esrap", "cl-asdf", "mssql", "qmynd", "zs3", "ixf", "db3")
def test_pgloader(pgloader: Path, cluster: Path, tmp_path: Path) -> None:
    """From a CSV file, and from an SQLite database, into PostgreSQL, out of a root directory with nothing of Debian."""
    rows = [(n, f"name {n} é", n * n) for n in range(ROWS)]
    root = tmp_path / "root"
    (root / "tmp").mkdir(parents=True)
    # Its Lisp library for passwords reads this file.
    (root / "dev").mkdir()
    os.mknod(root / "dev" / "urandom", stat.S_IFCHR | 0o666, os.makedev(1, 9))
    with sqlite3.connect(root / "rows.db") as database:
        database.execute("create table from_sqlite (id integer primary key, name text, square integer)")
        database.executemany("insert into from_sqlite values (?, ?, ?)", rows)
    (root / "rows.csv").write_text("".join(f'{n},"{name}",{square}\n' for n, name, square in rows), encoding="utf-8")
    target = "postgresql://lisp:secret@127.0.0.1:54329/postgres"
    (root / "csv.load").write_text(
        f"""LOAD CSV FROM '/rows.csv' (id, name, square) INTO {target}?tablename=from_csv
            WITH fields terminated by ',', fields optionally enclosed by '"'
            BEFORE LOAD DO $$ create table from_csv (id bigint, name text, square bigint); $$;\n""",
        encoding="utf-8",
    )
    for arguments in (["/csv.load"], ["sqlite:///rows.db", target]):
        done = in_chroot(pgloader, root, *arguments)
        assert (done.code, "Total import time" in done.out) == (0, True), done.out + done.err
    expected = f"{ROWS}|{sum(n * n for n in range(ROWS))}|{sum(len(name) for _, name, _ in rows)}"
    for table in ("from_csv", "from_sqlite"):
        assert psql(cluster, f"select count(*), sum(square), sum(length(name)) from {table}") == expected
    same = "select md5(string_agg(id || name || square, ',' order by id)) from "
    assert psql(cluster, same + "from_csv") == psql(cluster, same + "from_sqlite")


# --- Maxima ----------------------------------------------------------------------------------------------------------

# A good part of its own tests, chosen for numbers in the last place; all 13,372 of them pass, which takes a minute.
PARTS = ("rtest1", "rtest4", "rtest8", "rtest16", "rtestode", "rtest_gamma", "rtest_sign", "rtest_integrate")


@pytest.mark.slow
@needs_root
def test_maxima(monolisp: Monolisp, tmp_path: Path) -> None:
    tree = source_of(MAXIMA, tmp_path / "maxima")
    options = ("--enable-sbcl-exec", "--with-default-lisp=sbcl")
    for line in (("sh", "./configure", *options), ("make", "-C", "src")):
        done = monolisp("exec", "--", *line, cwd=tree)
        assert done.code == 0, done.err[-3000:] + done.out[-3000:]
    maxima = tree / "src" / "binary-sbcl" / "maxima"
    assert monolisp("verify", maxima).code == 0
    files = ", ".join(f'"{part}"' for part in PARTS)
    done = run([tree / "maxima-local", f"--batch-string=run_testsuite(tests = [{files}]);"], timeout=600)
    assert done.code == 0
    counted = re.search(r"No unexpected errors found out of ([0-9,]+) tests", done.out)
    assert counted, done.out[-3000:]
    assert int(counted[1].replace(",", "")) > 3000
    start = ("--noinform", "--eval", "(cl-user::run)", "--end-toplevel-options")
    ended = in_chroot(maxima, tmp_path / "root", *start, "--very-quiet", "--batch-string=factor(x^4-1);")
    assert "(x - 1) (x + 1) (x  + 1)" in ended.out, ended.out + ended.err
