"""The same bytes, whoever builds, where and when."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from monolisp.errors import Exit
from monolisp.store import sha256_file

from .conftest import EXAMPLES, Monolisp, run
from .same import require_same

# A program with what SBCL draws by lot, and with places in its source: symbols, types, structures, tables.
PROGRAM = """
(defpackage app (:use :cl))
(in-package app)
(deftype narrow () '(or (integer 3 99) (member :a :b app::c) (cons (integer 0 7) (vector single-float 13))))
(defstruct point (x 0 :type narrow) (y nil :type (or null (simple-array (unsigned-byte 7) (5)))))
(defvar *table* (let ((table (make-hash-table :test #'equal)))
                  (dolist (key '(a b c "d" (e f) #\\g 7 2.5)) (setf (gethash key table) (gensym "KEY")))
                  table))
(declaim (ftype (function (narrow &key (:deep (or narrow null))) (values narrow &optional)) narrowed))
(defun narrowed (n &key deep) (or deep n))
(defvar *temporary* (sb-ext:posix-getenv "TMPDIR"))
(defun main () (format t "~a ~a~%" (narrowed 5 :deep 7) (hash-table-count *table*)))
"""


def built(monolisp: Monolisp, directory: Path, text: str, **env: str) -> str:
    directory.mkdir(parents=True)
    (directory / "app.lisp").write_text(text, encoding="utf-8")
    done = monolisp("build", "app.lisp", "--always", cwd=directory, env=env)
    assert done.code == 0, done.err
    assert run([directory / "app"]).out == "7 8\n"
    return sha256_file(directory / "app")


def test_a_script_in_other_places_and_times(monolisp: Monolisp, tmp_path: Path) -> None:
    """Other directories, user names, time zones, locales, environments, parts of a second."""
    other = {"USER": "someone", "LOGNAME": "someone", "HOME": str(tmp_path / "home"), "TZ": "Asia/Tokyo"}
    other["TMPDIR"] = str(tmp_path)
    found = {
        built(monolisp, tmp_path / "a", PROGRAM),
        built(monolisp, tmp_path / "a-longer" / "name" / "of" / "a-directory", PROGRAM),
        built(monolisp, tmp_path / "b", PROGRAM, **other, LC_ALL="tr_TR.UTF-8"),
        built(monolisp, tmp_path / "c", PROGRAM, **{f"VARIABLE_{number}": "x" * number for number in range(200)}),
    }
    assert len(found) == 1


def test_temporary_files_go_where_the_user_says(monolisp: Monolisp, tmp_path: Path) -> None:
    """Those of UIOP, as CFFI's groveler makes them, and of other processes, while the program is loaded; the executable
    does not know."""
    mine = tmp_path / "of-mine"
    mine.mkdir()
    place = "(uiop:native-namestring (uiop:temporary-directory))"
    (tmp_path / "app.lisp").write_text(
        f"""(require :asdf)
            (dolist (said (list {place} (uiop:run-program "echo $TMPDIR/" :output '(:string :stripped t))))
              (unless (equal said "{mine}/") (error "they go to ~a" said)))
            (uiop:setup-temporary-directory)
            (unless (equal {place} "{mine}/") (error "now they go to ~a" {place}))
            (defun main () (princ {place}))"""
    )
    done = monolisp("build", "app.lisp", env={"TMPDIR": str(mine)})
    assert done.code == 0, done.err
    assert run([tmp_path / "app"], TMPDIR="/theirs").out == "/theirs/"


def test_nothing_of_the_place_is_inside(monolisp: Monolisp, tmp_path: Path) -> None:
    built(monolisp, tmp_path / "a-place-of-mine", PROGRAM, USER="a-user-of-mine", SECRET="a-secret-of-mine")
    content = (tmp_path / "a-place-of-mine" / "app").read_bytes()
    # SBCL keeps pathnames in pieces; "toolchains-" begins the name of the directory in which its core was made.
    for text in (b"a-place-of-mine", b"a-user-of-mine", b"a-secret-of-mine", os.fsencode(tmp_path), b"toolchains-"):
        assert text not in content
        assert text.decode().encode("utf-32-le") not in content


@pytest.mark.slow
def test_another_store(toolchain: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """As on another machine: the toolchain was brought there, all else is made anew."""
    store = tmp_path / "another" / "store"
    (store / "toolchains").mkdir(parents=True)
    shutil.copytree(toolchain, store / "toolchains" / toolchain.name, symlinks=True)
    here = built(monolisp, tmp_path / "here", PROGRAM)
    dated = built(monolisp, tmp_path / "dated", PROGRAM, MONOLISP_STORE=str(store), SOURCE_DATE_EPOCH="1")
    there = built(monolisp, tmp_path / "there", PROGRAM, MONOLISP_STORE=str(store))
    assert here == there
    assert here != dated, "SOURCE_DATE_EPOCH is part of what an executable says of itself"


def test_an_example(monolisp: Monolisp, tmp_path: Path) -> None:
    found = set()
    for place in ("one", "two/deeper"):
        directory = Path(shutil.copytree(EXAMPLES / "evaluator", tmp_path / place))
        argv = [sys.executable, "-m", "monolisp", "build", "evaluator.lisp", "-o", "out"]
        assert run([*argv], cwd=directory).code == 0
        found.add(sha256_file(directory / "out"))
    assert len(found) == 1


TYPES = """
(deftype narrow () '(or (integer 3 99) (member :a :b c) (cons (integer 0 7) (vector single-float 13))))
(defstruct point x)
(defstruct (point3 (:include point)) z)
(defclass shape () ())
(defclass square (shape) ())
(defvar *specifiers*
  '(narrow point point3 shape square (or point shape) (not narrow) (and narrow integer) (member :a :b) (member c)
    (eql 3) (integer 3 *) (integer * 99) (integer 3 99) (mod 8) (unsigned-byte 8) rational (rational 1/2 3) float
    (single-float 0.0 1.0) (double-float (0d0) 1d0) complex (complex single-float) character standard-char base-char
    string simple-string (simple-array character (5)) (vector t) (vector single-float 13) (array * (2 3)) bit-vector
    list cons null (cons integer) (cons (integer 0 7) (vector single-float 13)) symbol keyword boolean function
    (function (integer) integer) (function (narrow &key (:deep narrow)) (values narrow &optional)) sequence
    (satisfies evenp) (and integer (satisfies evenp)) (or null (simple-array (unsigned-byte 7) (5))) hash-table t nil))
(defvar *testable* (remove-if (lambda (specifier) (and (consp specifier) (find (car specifier) '(function satisfies))))
                              *specifiers*))
(dolist (specifier *testable*) (typep 3 specifier) (compile nil `(lambda (x) (typep x ',specifier))))
(defun answers ()
  (list (loop for a in *specifiers* collect (loop for b in *specifiers*
                                                  collect (multiple-value-list (subtypep a b))
                                                  collect (multiple-value-list (subtypep `(and ,a ,b) nil))))
        (loop for a in (remove '(and integer (satisfies evenp)) *testable* :test #'equal)
              for predicate = (compile nil `(lambda (x) (typep x ',a)))
              collect (loop for x in (list 3 4 :a 'c 2.5 1/2 #\\a "abc" nil (make-point3) (make-instance 'square))
                            collect (and (funcall predicate x) t)))))
(defun main () (prin1 (answers)) (terpri))
"""


def test_types_are_what_they_were(monolisp: Monolisp, tmp_path: Path) -> None:
    """Types got other numbers when the core was saved; what is asked about them has the same answers."""
    (tmp_path / "app.lisp").write_text(TYPES, encoding="utf-8")
    done = monolisp("build", "app.lisp")
    assert done.code == 0, done.err
    options = ["--noinform", "--no-sysinit", "--no-userinit", "--non-interactive"]
    asked = monolisp("sbcl", *options, "--load", "app.lisp", "--eval", "(main)")
    assert asked.code == 0, asked.err
    assert run([tmp_path / "app"]).out == asked.out
    assert len(asked.out) > 10_000


WITH_THE_TIME = """
(defvar *built* (get-universal-time))
(defvar *place* (namestring *default-pathname-defaults*))
(defun main () (print *built*) (print *place*))
"""


SEEDED = """
(defvar *seeded* (make-random-state t))
(defvar *copy* (make-random-state *seeded*))
(setf *random-state* (sb-ext:seed-random-state t))
(defvar *fixed* (sb-ext:seed-random-state 42))
(defvar *late* nil)
(defvar *early* nil)
(defun drawn (state) (random 1000000000 state))
(defun early () (setf *early* (drawn *seeded*)))
(random 10 (make-random-state t))
(push (lambda () (setf *late* (make-random-state t)) HOOKS) sb-ext:*save-hooks*)
(defun main ()
  (format t "~{~d ~}" (list (or *early* (drawn *seeded*)) (drawn *copy*) (drawn *random-state*) (drawn *late*)
                            (drawn *fixed*))))
"""


@pytest.mark.parametrize("hooks", ["(push 'early sb-ext:*init-hooks*)", "(setf sb-ext:*init-hooks* '())"])
def test_what_chance_seeds_is_the_same_in_builds_and_another_in_runs(
    hooks: str, monolisp: Monolisp, tmp_path: Path
) -> None:
    """Also in an empty root directory, where SBCL would know but its process number and the time since it began; and
    where hooks for saving seed, and set those for starting. A copy repeats what it was copied from."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "app.lisp").write_text(SEEDED.replace("HOOKS", hooks), encoding="utf-8")
        done = monolisp("build", "app.lisp", cwd=tmp_path / place)
        assert done.code == 0, done.err
    require_same(tmp_path / "a" / "app", tmp_path / "b" / "app")
    in_nothing = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "chroot", tmp_path / "a", "/app"]
    runs = [run(in_nothing).out.split() for _ in range(2)] + [run([tmp_path / "a" / "app"]).out.split()]
    seeded, copies, current, late, fixed = zip(*runs, strict=True)
    assert seeded == copies
    assert len({*seeded, *current, *late}) == 9
    assert len({*fixed}) == 1


class TestCheck:
    def test_the_same(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "app.lisp").write_text(PROGRAM, encoding="utf-8")
        done = monolisp("build", "app.lisp", "--check-reproducible")
        assert done.code == 0, done.err
        assert "the same bytes with another directory, user, time" in done.err
        assert sha256_file(tmp_path / "app") in done.err

    @pytest.mark.slow
    def test_where_it_differs(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "app.lisp").write_text(WITH_THE_TIME, encoding="utf-8")
        done = monolisp("build", "app.lisp", "--check-reproducible")
        assert done.code == Exit.DIFFERS
        assert "section lisp.core" in done.err
        assert "symbol *BUILT*, defined in app.lisp" in done.err
        assert "symbol *PLACE*, defined in app.lisp" in done.err
        assert (tmp_path / "app").exists()

    def test_a_large_directory_is_not_copied(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "app.lisp").write_text(PROGRAM, encoding="utf-8")
        with (tmp_path / "data").open("wb") as stream:
            stream.truncate(600_000_000)
        done = monolisp("build", "app.lisp", "--check-reproducible")
        assert done.code == 0, done.err
        assert "the same bytes with another user, time" in done.err


# What differs from one build to the next, ten times: the directory always does.
CONDITIONS: list[dict[str, str]] = [
    {},
    {"USER": "someone", "LOGNAME": "someone", "HOME": "/"},
    {"TZ": "Asia/Tokyo"},
    {"LC_ALL": "tr_TR.UTF-8"},
    {f"VARIABLE_{number}": "x" * number for number in range(300)},
    {"HOSTNAME": "another", "PWD": "/", "TMPDIR": "/var/tmp"},
    {"cold": "yes"},
    {"cores": "1"},
    {"cold": "yes", "TZ": "America/Caracas", "USER": "x"},
    {"SECRET": "y" * 50_000},
]


@pytest.mark.slow
@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_ten_builds_of_each_example(example: str, toolchain: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    found = []
    for number, conditions in enumerate(CONDITIONS):
        place = tmp_path / ("n" * (number + 1)) / example
        shutil.copytree(EXAMPLES / example, place)
        env = {name: value for name, value in conditions.items() if name not in ("cold", "cores")}
        if "cold" in conditions:
            env["MONOLISP_STORE"] = str(tmp_path / f"store-{number}")
            env["MONOLISP_SHARED_STORE"] = str(toolchain.parents[1])
        one_core = ["taskset", "-c", "0"] if "cores" in conditions else []
        what = example if (place / f"{example}.asd").exists() else f"{example}.lisp"
        argv = [*one_core, sys.executable, "-m", "monolisp", "build", what, "-o", "out", "--always"]
        done = run(argv, cwd=place, **env)
        assert done.code == 0, done.err
        found.append(place / "out")
    for other in found[1:]:
        require_same(found[0], other)


@pytest.mark.slow
def test_a_toolchain_that_is_built_elsewhere(toolchain: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """Another store, longer by some letters, another time, a larger environment."""
    elsewhere = {"MONOLISP_STORE": str(tmp_path / "a-longer-name"), "TZ": "Asia/Tokyo", "MORE": "x" * 5000}
    done = monolisp("toolchain", "build", env=elsewhere)
    assert done.code == 0, done.err
    other = Path(done.out.strip())
    assert other.name == toolchain.name
    assert contents(other) == contents(toolchain)


@pytest.mark.slow
def test_libraries_that_are_built_elsewhere(toolchain: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """Another store, time zone, user."""
    found = []
    for store, zone in (("one", "UTC"), ("another-of-a-longer-name", "Asia/Tokyo")):
        (tmp_path / store / "toolchains").mkdir(parents=True)
        shutil.copytree(toolchain, tmp_path / store / "toolchains" / toolchain.name, symlinks=True)
        env = {"MONOLISP_STORE": str(tmp_path / store), "TZ": zone, "USER": store}
        done = monolisp("library", "build", "zlib", "lz4", "expat", "libyaml", "libffi", "lmdb", env=env)
        assert done.code == 0, done.err
        found.append(contents(tmp_path / store / "libraries"))
    assert found[0] == found[1]
    assert len([name for name in found[0] if name.endswith(".a")]) >= 6


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_what_was_compiled_before_makes_no_difference(monolisp: Monolisp, tmp_path: Path) -> None:
    """A cold store, one in which other systems were compiled before, and a warm one."""
    systems = "(require :asdf) (asdf:load-system :cl-ppcre) (defun main () (print 1))"
    more = systems.replace(":cl-ppcre)", ":split-sequence) (asdf:load-system :cl-ppcre)")
    shared = {"MONOLISP_SHARED_STORE": os.environ["MONOLISP_STORE"]}
    (tmp_path / "one.lisp").write_text(systems, encoding="utf-8")
    (tmp_path / "two.lisp").write_text(more, encoding="utf-8")
    found = []
    for store, programs in (("a", ["one"]), ("b", ["two", "one", "one"])):
        for program in programs:
            env = {**shared, "MONOLISP_STORE": str(tmp_path / store)}
            done = monolisp("build", f"{program}.lisp", "--always", env=env)
            assert done.code == 0, done.err
            if program == "one":
                found.append((tmp_path / "one").rename(tmp_path / f"one-{len(found)}"))
    first, second, third = found
    require_same(first, second)
    require_same(first, third)


def test_builds_at_the_same_time_make_no_difference(toolchain: Path, tmp_path: Path) -> None:
    """Each finds nothing compiled. ASDF deletes a compiled file before it puts another into its place."""
    text = "(require :asdf) (asdf:load-system :alexandria) (asdf:load-system :cl-ppcre) (defun main () (print 1))"
    env = {"MONOLISP_STORE": str(tmp_path / "store"), "MONOLISP_SHARED_STORE": str(toolchain.parents[1])}

    def build(name: str) -> Path:
        place = tmp_path / name
        place.mkdir()
        (place / "app.lisp").write_text(text, encoding="utf-8")
        done = run([sys.executable, "-m", "monolisp", "build", "app.lisp"], cwd=place, **env)
        assert done.code == 0, done.err
        return place / "app"

    with ThreadPoolExecutor() as pool:
        first, *others = pool.map(build, "abc")
    for other in others:
        require_same(first, other)


def test_uiop_lists_directories_in_an_executable(monolisp: Monolisp, tmp_path: Path) -> None:
    """Code keeps the functions that it refers to; DIRECTORY must be SBCL's own when UIOP is loaded."""
    listed = """(mapcar #'file-namestring (uiop:directory-files "/etc/" "hosts"))"""
    program = f"(require :asdf) (defun main () (print {listed}))"
    (tmp_path / "app.lisp").write_text(program, encoding="utf-8")
    assert monolisp("build", "app.lisp").code == 0
    assert "hosts" in run([tmp_path / "app"]).out
