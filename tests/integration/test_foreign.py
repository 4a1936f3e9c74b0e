"""Foreign code in finished programs: archives of the user's own, so that nothing has to be built first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Monolisp, in_chroot, needs_root, run

TRIPLE = "x86_64-linux-musl"
LIBRARY = """
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
int counter = 41;
const char *const greeting = "hello from C";
struct point { double x, y; };
static int started;
__attribute__((constructor)) static void start(void) { started = 7; }
int was_started(void) { return started; }
int add(int a, int b) { return a + b; }
int apply(int (*f)(int), int x) { return f(x) + 1; }
double square_length(struct point *p) { return p->x * p->x + p->y * p->y; }
int fail_with(int error) { errno = error; return -1; }
void by_qsort(int *v, int n, int (*order)(const void *, const void *)) { qsort(v, n, sizeof *v, order); }
int sum(int n, ...)
{
    va_list rest;
    va_start(rest, n);
    int total = 0;
    while (n--)
        total += va_arg(rest, int);
    va_end(rest);
    return total;
}
"""
HEAD = """
(require "asdf")
(asdf:load-system "cffi")
(defpackage :f (:use :cl :cffi))
(in-package :f)
(defun say (value) (format t "~a~%" value))
"""
PLAIN = """
(sb-alien:load-shared-object "libown.so.3")
(sb-alien:define-alien-routine add sb-alien:int (a sb-alien:int) (b sb-alien:int))
"""

LACKING = (
    PLAIN.replace("define-alien-routine add", "define-alien-routine add_more")
    + "(defun main () (handler-case (add_more 1 2) (error (c) (princ c))))"
)

Archive = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Compile C for the target into libNAME.a."""

    def make(text: str = LIBRARY, name: str = "own", *flags: str) -> Path:
        source, output = tmp_path / f"{name}.c", tmp_path / f"lib{name}.a"
        source.write_text(text, encoding="utf-8")
        zig = [sys.executable, "-m", "ziglang"]
        compiled = source.with_suffix(".o")
        subprocess.run([*zig, "cc", "-target", TRIPLE, "-O2", *flags, "-c", source, "-o", compiled], check=True)
        subprocess.run([*zig, "ar", "rcs", output, compiled], check=True)
        return output

    return make


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "program.lisp").write_text(text, encoding="utf-8")
        return "program.lisp"

    return write


@needs_root
@pytest.mark.slow
def test_everything_that_cffi_does(built: Callable[..., Path], archive: Archive, tmp_path: Path) -> None:
    archive()
    program = built(
        HEAD
        + """
(define-foreign-library own (:darwin "libown.dylib") (:unix (:or "libown.so.3" "libown.so")) (t (:default "libown")))
(use-foreign-library own)
(defcfun "add" :int (a :int) (b :int))
(defcfun "was_started" :int)
(defcvar "counter" :int)
(defcvar ("greeting" *greeting* :read-only t) :string)
(defcallback twice :int ((x :int)) (* 2 x))
(defcallback order :int ((a :pointer) (b :pointer)) (- (mem-ref a :int) (mem-ref b :int)))
(defcstruct point (x :double) (y :double))
(defcfun "square_length" :double (p :pointer))
(assert (equal (list (add 1 2) (was-started) *counter*) '(3 7 41)))
(setf *counter* 1000) ; of the build's process: the program's begins as C says
(defun main ()
  (say (list (add 1 2) (was-started) *counter* *greeting*))
  (incf *counter*)
  (say *counter*)
  (say (foreign-funcall "apply" :pointer (callback twice) :int 21 :int))
  (with-foreign-object (p '(:struct point))
    (setf (foreign-slot-value p '(:struct point) 'x) 3d0 (foreign-slot-value p '(:struct point) 'y) 4d0)
    (say (square-length p)))
  (say (foreign-funcall "fail_with" :int 2 :int))
  (say (sb-alien:get-errno))
  (say (foreign-funcall-varargs "sum" (:int 3) :int 1 :int 2 :int 3 :int))
  (with-foreign-object (s :char 100)
    (foreign-funcall-varargs "snprintf" (:pointer s :size 100 :string "%s %.2f %d")
                             :string "x" :double 3.14159d0 :int 42 :int)
    (say (foreign-string-to-lisp s)))
  (with-foreign-object (v :int 5)
    (loop for i below 5 for x in '(5 3 9 1 4) do (setf (mem-aref v :int i) x))
    (foreign-funcall "by_qsort" :pointer v :int 5 :pointer (callback order) :void)
    (say (loop for i below 5 collect (mem-aref v :int i))))
  (say (pointer-address (foreign-symbol-pointer "add")))
  (say (foreign-symbol-pointer "nothing_of_the_kind"))
  (load-foreign-library 'own)
  (close-foreign-library 'own)
  (sb-alien:load-shared-object "libown.so.3")
  (say (add 5 6))
  (say (handler-case (load-foreign-library "libnotthere.so") (error (c) (remove #\\Newline (princ-to-string c))))))
""",
        "--with-archive",
        "libown.a",
    )
    done = in_chroot(program, tmp_path / "root")
    lines = done.out.splitlines()
    assert lines[:9] == [
        "(3 7 41 hello from C)",
        "42",
        "43",
        "25.0d0",
        "-1",
        "2",
        "6",
        "x 3.14 42",
        "(1 3 4 5 9)",
    ]
    assert int(lines[9]) > 0
    assert lines[10:12] == ["NIL", "11"]
    assert "libnotthere.so is not inside this static executable" in lines[12]
    assert (done.code, len(lines)) == (0, 13)


def test_a_name_put_together_while_it_runs(built: Callable[..., Path], archive: Archive) -> None:
    archive()
    text = (
        PLAIN
        + """
(defun main ()
  (print (and (sb-sys:find-foreign-symbol-address (concatenate 'string "a" (first (list "pply")))) t)))
"""
    )
    options = ["--with-archive", "libown.a"]
    assert run([built(text, *options)]).out.strip() == "NIL"
    assert run([built(text, *options, "--export", "apply", name="exporting")]).out.strip() == "T"


def test_an_archive_with_hidden_names_can_be_called_while_loading(built: Callable[..., Path], archive: Archive) -> None:
    """As curl's is."""
    archive("int add(int a, int b) { return a + b; }", "own", "-fvisibility=hidden")
    text = PLAIN + "(defvar *sum* (add 1 2)) (defun main () (print (list *sum* (add 3 4))))"
    assert run([built(text, "--with-archive", "libown.a")]).out.strip() == "(3 7)"


def test_only_what_is_called_is_linked(built: Callable[..., Path], archive: Archive) -> None:
    archive("int big[1 << 20] = {1}; int add(int a, int b) { return a + b; }", "big")
    archive("int add(int a, int b) { return a + b; } int unused(void) { return 0; }")
    big = '(sb-alien:load-shared-object "libbig.so")'
    unused = "(defun main () (print 1))"
    with_it = built(big + unused, "--with-archive", "libbig.a")
    without = built(unused, name="without")
    assert with_it.stat().st_size - without.stat().st_size < 1 << 20


@pytest.mark.slow
def test_soname_and_header(monolisp: Monolisp, archive: Archive, tmp_path: Path, source: Callable[[str], str]) -> None:
    archive(name="strange")
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "answer.h").write_text("#define ANSWER 42\n", encoding="utf-8")
    (tmp_path / "g.asd").write_text(
        '(defsystem "g" :defsystem-depends-on ("cffi-grovel") :depends-on ("cffi") :serial t :entry-point "g:main"'
        ' :components ((:file "package") (:cffi-grovel-file "constants") (:cffi-wrapper-file "wrapper")'
        ' (:file "main")))',
        encoding="utf-8",
    )
    texts = {
        "package": "(defpackage :g (:use :cl :cffi) (:export #:main))",
        "constants": '(in-package :g) (include "answer.h" "errno.h") (constant (answer "ANSWER"))'
        ' (constant (e-again "EAGAIN")) #+linux (constant (glibc "__GLIBC__") :optional t)',
        "wrapper": '(in-package :g) (include "stdlib.h") (defwrapper "labs" :long (x :long))',
        "main": '(in-package :g) (load-foreign-library "libown.so.3") (defcfun "add" :int (a :int) (b :int))'
        " (defun main () (print (list (add answer 1) (labs -5) (boundp 'glibc))))",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.lisp").write_text(text, encoding="utf-8")
    options = ["--with-archive", "libstrange.a", "--soname", "libown.so.3", "--include", "headers"]
    done = monolisp("build", *options)
    assert done.code == 0, done.err
    assert "libown.so.3" in done.out
    assert run([tmp_path / "g"]).out.strip() == "(43 5 NIL)"


def test_absent(built: Callable[..., Path]) -> None:
    text = (
        PLAIN
        + """
(defun main () (print (handler-case (add 1 2) (sb-kernel::undefined-alien-error () :undefined))))
"""
    )
    assert run([built(text, "--absent", "libown")]).out.strip() == ":UNDEFINED"


def test_an_archive_that_changed(built: Callable[..., Path], archive: Archive) -> None:
    archive("int add(int a, int b) { return a + b; }")
    text = PLAIN + "(defun main () (print (add 1 2)))"
    assert run([built(text, "--with-archive", "libown.a")]).out.strip() == "3"
    archive("int add(int a, int b) { return a * 10 + b; }")
    assert run([built(text, "--with-archive", "libown.a")]).out.strip() == "12"


def test_names_that_end_with_numbers(built: Callable[..., Path], archive: Archive) -> None:
    archive("int one(void) { return 1; }", "part1")
    archive("int two(void) { return 2; }", "part2")
    text = """
(sb-alien:load-shared-object "libpart2.so")
(sb-alien:load-shared-object "libpart1.so.4")
(defun main ()
  (print (list (sb-alien:alien-funcall (sb-alien:extern-alien "one" (function sb-alien:int)))
               (sb-alien:alien-funcall (sb-alien:extern-alien "two" (function sb-alien:int))))))
"""
    program = built(text, "--with-archive", "libpart1.a", "--with-archive", "libpart2.a")
    assert run([program]).out.strip() == "(1 2)"


def test_places_that_may_not_be_looked_at(built: Callable[..., Path], archive: Archive) -> None:
    archive()
    text = f"""
(or (ignore-errors (sb-alien:load-shared-object "/proc/1/root/lib/nothing.so"))
    (ignore-errors (sb-alien:load-shared-object "/{"x" * 300}/libown.so"))
    (sb-alien:load-shared-object "libown.so.3"))
(sb-alien:define-alien-routine add sb-alien:int (a sb-alien:int) (b sb-alien:int))
(defun main () (print (add 1 2)))
"""
    assert run([built(text, "--with-archive", "libown.a")]).out.strip() == "3"


class TestErrors:
    """Each is one clear error, and nothing is left behind."""

    def test_no_recipe(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "want.asd").write_text('(defsystem "want" :components ((:file "want")))', encoding="utf-8")
        text = '(sb-alien:load-shared-object "libsqlte3.so.0") (defun main ())'
        (tmp_path / "want.lisp").write_text(text, encoding="utf-8")
        done = monolisp("build")
        assert done.code == 11
        for part in ("libsqlte3.so.0", "want.lisp", "of the system want", "sqlite", "--with-archive", "--absent"):
            assert part in done.err

    def test_no_recipe_of_that_name(self, monolisp: Monolisp, source: Callable[[str], str]) -> None:
        done = monolisp("build", source("(defun main ())"), "--with", "sqlight")
        assert done.code == 2
        assert "did you mean sqlite?" in done.err

    def test_a_name_that_two_define(self, monolisp: Monolisp, archive: Archive, source: Callable[[str], str]) -> None:
        archive(name="one")
        archive(name="two")
        text = '(sb-alien:load-shared-object "libtwo.so")' + PLAIN.replace("libown.so.3", "libone.so")
        options = ["--with-archive", "libone.a", "--with-archive", "libtwo.a"]
        done = monolisp("build", source(text + "(defun main () (print (add 1 2)))"), *options)
        assert done.code == 11
        assert "add is defined by both libtwo and libone" in done.err

    def test_a_name_inside_that_two_define(
        self, monolisp: Monolisp, archive: Archive, source: Callable[[str], str]
    ) -> None:
        archive("int shared_helper(void) { return 1; } int one(void) { return shared_helper(); }", "one")
        archive("int shared_helper(void) { return 2; } int two(void) { return shared_helper(); }", "two")
        text = """
(sb-alien:load-shared-object "libone.so")
(sb-alien:load-shared-object "libtwo.so")
(defun main ()
  (print (list (sb-alien:alien-funcall (sb-alien:extern-alien "one" (function sb-alien:int)))
               (sb-alien:alien-funcall (sb-alien:extern-alien "two" (function sb-alien:int))))))
"""
        done = monolisp("build", source(text), "--with-archive", "libone.a", "--with-archive", "libtwo.a")
        assert done.code == 11
        assert "shared_helper is defined by both libone.a and libtwo.a" in done.err

    def test_an_archive_that_lacks_something(
        self, monolisp: Monolisp, archive: Archive, source: Callable[[str], str]
    ) -> None:
        archive("int elsewhere(int); int add(int a, int b) { return elsewhere(a) + b; }")
        done = monolisp("build", source(PLAIN + "(defun main () (print (add 1 2)))"), "--with-archive", "libown.a")
        assert done.code == 11
        assert "elsewhere, which nothing defines" in done.err
        assert "libown.a" in done.err

    def test_a_function_that_the_archive_lacks(self, built: Callable[..., Path], archive: Archive) -> None:
        archive()
        program = built(LACKING, "--with-archive", "libown.a")
        assert 'The alien function "add_more" is undefined.' in run([program]).out

    @pytest.mark.prelinked
    def test_a_function_that_the_archive_lacks_is_told(
        self, monolisp: Monolisp, archive: Archive, source: Callable[[str], str]
    ) -> None:
        archive()
        done = monolisp("build", source(LACKING), "--with-archive", "libown.a")
        assert done.code == 0, done.err
        assert "nothing defines add_more" in done.err

    def test_a_shared_library(self, monolisp: Monolisp, source: Callable[[str], str], tmp_path: Path) -> None:
        (tmp_path / "x.c").write_text("int add(int a, int b) { return a + b; }", encoding="utf-8")
        zig = [sys.executable, "-m", "ziglang", "cc", "-shared", "-O2"]
        subprocess.run([*zig, tmp_path / "x.c", "-o", tmp_path / "libown.so"], check=True)
        done = monolisp("build", source(PLAIN + "(defun main ())"), "--with-archive", "libown.so")
        assert done.code == 11
        assert "libown.so cannot be linked in" in done.err
        assert "it is a shared library" in done.err

    def test_thread_local_variables_of_the_linker(
        self, monolisp: Monolisp, archive: Archive, source: Callable[[str], str]
    ) -> None:
        archive("_Thread_local int x = 5; int add(int a, int b) { return a + b + x++; }")
        text = PLAIN + "(defun main () (print (add 1 2)))"
        done = monolisp("build", source(text), "--with-archive", "libown.a")
        assert done.code == 11
        assert "-femulated-tls" in done.err

    def test_emulated_thread_local_variables(self, built: Callable[..., Path], archive: Archive) -> None:
        archive("_Thread_local int x = 5; int add(int a, int b) { return a + b + x++; }", "own", "-femulated-tls")
        text = """
(assert (equal (list (add 0 0) (add 0 0)) '(5 6)))
(defun main ()
  (print (list (add 0 0) (add 0 0)
               (sb-thread:join-thread (sb-thread:make-thread (lambda () (add 0 0)))))))
"""
        assert run([built(PLAIN + text, "--with-archive", "libown.a")]).out.strip() == "(5 6 5)"

    def test_a_header_that_nobody_has(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "g.asd").write_text(
            '(defsystem "g" :defsystem-depends-on ("cffi-grovel") :serial t'
            ' :components ((:file "package") (:cffi-grovel-file "constants")))',
            encoding="utf-8",
        )
        (tmp_path / "package.lisp").write_text("(defpackage :g (:use :cl))", encoding="utf-8")
        text = '(in-package :g) (include "nowhere.h") (constant (x "X"))'
        (tmp_path / "constants.lisp").write_text(text, encoding="utf-8")
        done = monolisp("build")
        assert done.code == 11, done.err
        for part in ("nowhere.h", "constants.lisp", "of the system g", "--include"):
            assert part in done.err

    def test_a_recipe_circle(self, monolisp: Monolisp, source: Callable[[str], str], tmp_path: Path) -> None:
        recipes(tmp_path, one='depends = ["two"]', two='depends = ["one"]')
        done = monolisp("build", source("(defun main ())"), "--recipes", "recipes", "--with", "one")
        assert done.code == 11
        assert "one → two → one" in done.err

    def test_a_wrong_checksum(self, monolisp: Monolisp, source: Callable[[str], str], tmp_path: Path) -> None:
        recipes(tmp_path, one="")
        (tmp_path / "sources").mkdir()
        (tmp_path / "sources" / "one.tar.gz").write_bytes(b"not what was pinned")
        options = ["--recipes", "recipes", "--with", "one", "--source-dir", "sources", "--offline"]
        done = monolisp("build", source("(defun main ())"), *options)
        assert done.code == 6
        assert "one.tar.gz" in done.err
        assert "0" * 64 in done.err

    def test_a_tool_that_is_missing(self, monolisp: Monolisp, source: Callable[[str], str], tmp_path: Path) -> None:
        recipes(tmp_path, one='tools = ["no-such-tool"]')
        done = monolisp("build", source("(defun main ())"), "--recipes", "recipes", "--with", "one", "--offline")
        assert done.code == 5
        assert "no-such-tool" in done.err
        assert "one" in done.err

    def test_a_recipe_with_faults(self, monolisp: Monolisp, source: Callable[[str], str], tmp_path: Path) -> None:
        recipes(tmp_path, one="sonmes = []\ntools = 3")
        done = monolisp("build", source("(defun main ())"), "--recipes", "recipes", "--with", "one")
        assert done.code == 11
        assert "unknown key sonmes (did you mean sonames?)" in done.err
        assert "tools" in done.err


def recipes(tmp_path: Path, **more: str) -> None:
    """Recipes of a source that is not there, each with further lines."""
    (tmp_path / "recipes").mkdir()
    for name, lines in more.items():
        text = f"""
summary = "a test"
archives = ["lib{name}.a"]
{lines}
[source]
name = "{name}"
version = "1"
licence = "MIT"
[[source.place]]
url = "https://example.org/{name}.tar.gz"
sha256 = "{"0" * 64}"
size = 19
[build]
system = "compile"
sources = ["*.c"]
"""
        (tmp_path / "recipes" / f"{name}.toml").write_text(text, encoding="utf-8")
