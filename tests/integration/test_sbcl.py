"""monolisp sbcl: the face of any SBCL, and what it dumps."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ended, Monolisp, in_chroot, needs_root, run

STOCK = shutil.which("sbcl")
needs_stock = pytest.mark.skipif(STOCK is None, reason="waits for Debian's package sbcl")
BARE = ("--noinform", "--no-sysinit", "--no-userinit")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="session")
def sbcl(toolchain: Path) -> str:
    """The program that `monolisp sbcl` becomes."""
    done = run([sys.executable, "-m", "monolisp", "exec", "--", "sh", "-c", "command -v sbcl"])
    assert done.code == 0, done.err
    return done.out.strip()


@pytest.fixture
def dumped(monolisp: Monolisp, tmp_path: Path) -> Callable[..., Ended]:
    """Run Lisp text as a script of `monolisp sbcl`."""

    def dump(text: str, *options: str) -> Ended:
        (tmp_path / "dump.lisp").write_text(text, encoding="utf-8")
        return monolisp("sbcl", *options, "--script", "dump.lisp")

    return dump


# --- the same face ---------------------------------------------------------------------------------------------------

SAME = {
    "eval": ([*BARE, "--eval", "(print (+ 1 2))", "--quit"], b""),
    "exit code": ([*BARE, "--eval", "(exit :code 7)"], b""),
    "abort": ([*BARE, "--eval", "(exit :code 8 :abort t)"], b""),
    "standard input": ([*BARE, "--non-interactive"], b""),
    "repl on a pipe": ([*BARE], b"(+ 1 2)\n(list :a)\n"),
    "script on standard input": (["--script"], b'(write-line "from stdin")\n(print (rest *posix-argv*))\n'),
    "arguments": ([*BARE, "--eval", "(print (rest *posix-argv*))", "--quit", "--end-toplevel-options", "a", "b"], b""),
    "user options": ([*BARE, "--non-interactive", "--eval", "(print 1)", "--end-toplevel-options", "--version"], b""),
    "bad option": (["--noinform", "--no-such-option", "--non-interactive"], b""),
    "load": ([*BARE, "--load", "loaded.lisp", "--quit"], b""),
    "no such file": ([*BARE, "--non-interactive", "--load", "none.lisp"], b""),
    "script": (["--script", "loaded.lisp", "x"], b""),
    "script with a missing file": (["--script", "none.lisp"], b""),
    "contrib": (
        [*BARE, "--non-interactive", "--eval", "(require :sb-md5)", "--eval", "(print (find-package :sb-md5))"],
        b"",
    ),
    "unhandled": ([*BARE, "--disable-debugger", "--eval", '(error "boo")'], b""),
    "no print": ([*BARE, "--noprint"], b"(+ 1 2)\n(print :only)\n"),
    "run-program": ([*BARE, "--non-interactive", "--eval", '(run-program "/bin/echo" (list "a b") :output t)'], b""),
    "heap size": (["--dynamic-space-size", "600MB", *BARE, "--eval", "(print (dynamic-space-size))", "--quit"], b""),
    "merge": (["--merge-core-pages", *BARE, "--eval", "(print 1)", "--quit"], b""),
}


@needs_stock
@pytest.mark.parametrize("name", SAME)
def test_as_stock_does(name: str, monolisp: Monolisp, tmp_path: Path) -> None:
    """The same standard output and exit code as Debian's SBCL."""
    (tmp_path / "loaded.lisp").write_text('(format t "loaded ~a~%" (rest *posix-argv*))', encoding="utf-8")
    arguments, stdin = SAME[name]
    launched = [sys.executable, "-m", "monolisp", "sbcl", *arguments]
    ours, theirs = (run([*argv], cwd=tmp_path, stdin=stdin) for argv in (launched, [str(STOCK), *arguments]))
    assert (ours.code, ours.out) == (theirs.code, theirs.out), ours.err


def test_version_and_help(monolisp: Monolisp) -> None:
    assert monolisp("sbcl", "--version").out == "SBCL 2.6.4\n"
    assert "--dynamic-space-size" in monolisp("sbcl", "--help").out


def test_init_files(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / ".sbclrc").write_text('(write-line "user init")', encoding="utf-8")
    done = monolisp("sbcl", "--noinform", "--eval", "(exit)", env={"HOME": str(tmp_path)})
    assert done.out == "user init\n"


def test_own_home_whatever_the_environment_says(monolisp: Monolisp) -> None:
    """SBCL_HOME of another SBCL, as many have it in their profile, would lead to that one's core."""
    line = [*BARE, "--non-interactive", "--eval", "(require :sb-posix)", "--eval", '(print (posix-getenv "SBCL_HOME"))']
    done = monolisp("sbcl", *line, env={"SBCL_HOME": "/usr/lib/sbcl"})
    assert (done.code, done.out) == (0, "\nNIL "), done.err


def test_children_find_it(monolisp: Monolisp) -> None:
    form = '(run-program "sbcl" (list "--version") :search t :output *standard-output*)'
    assert monolisp("sbcl", *BARE, "--non-interactive", "--eval", form).out == "SBCL 2.6.4\n"


@needs_stock
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signals(number: signal.Signals, sbcl: str) -> None:
    codes = []
    for program in (sbcl, str(STOCK)):
        forms = ["--eval", "(progn (print :up) (finish-output) (sleep 60))"]
        child = subprocess.Popen([program, *BARE, "--disable-debugger", *forms], stdout=-1, stderr=-3)
        assert child.stdout is not None
        child.stdout.read(4)
        _wait_for_sleep(child.pid)
        child.send_signal(number)
        codes.append(child.wait(20))
        child.stdout.close()
    assert codes[0] == codes[1]


def _wait_for_sleep(pid: int) -> None:
    """Stock SBCL, too, sometimes goes on when the signal comes before the sleep has begun."""
    for _ in range(2000):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S":
            return
        time.sleep(0.01)
    raise AssertionError("it never sleeps")


def test_at_a_terminal(sbcl: str) -> None:
    """A prompt, an answer, an error that enters the debugger, Ctrl-C, and the end."""
    child, master = pty.fork()
    if child == 0:
        os.execv(sbcl, ["sbcl", *BARE])
    said = b""

    def expect(text: bytes) -> None:
        nonlocal said
        end = time.monotonic() + 20
        while text not in said:
            assert time.monotonic() < end, said
            if select.select([master], [], [], 1)[0]:
                said += os.read(master, 4096)
        said = said[said.index(text) + len(text) :]

    expect(b"* ")
    os.write(master, b"(* 6 7)\n")
    expect(b"42")
    os.write(master, b'(error "boo")\n')
    expect(b"debugger invoked")
    expect(b"\n0] ")
    os.write(master, b":abort\n")
    expect(b"* ")
    os.write(master, b"(loop)\n")
    time.sleep(0.5)
    os.write(master, b"\x03")
    expect(b"Interactive interrupt")
    expect(b"\n0] ")
    os.write(master, b":abort\n")
    expect(b"* ")
    os.write(master, b"(exit :code 5)\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5


# --- what it dumps ---------------------------------------------------------------------------------------------------


@needs_root
def test_a_toplevel_function(dumped: Callable[..., Ended], monolisp: Monolisp, tmp_path: Path) -> None:
    done = dumped(
        '(save-lisp-and-die "out" :executable t :toplevel (lambda () (print (rest *posix-argv*)) (exit :code 3)))'
    )
    assert (done.code, done.out) == (0, ""), done.err
    assert "truly static" in done.err
    assert monolisp("verify", "out").code == 0
    ended = in_chroot(tmp_path / "out", tmp_path / "root", "--version", "x")
    # Without :save-runtime-options the runtime's options are the runtime's, as ever.
    assert (ended.code, ended.out) == (0, "SBCL 2.6.4\n")
    assert in_chroot(tmp_path / "out", tmp_path / "root", "a").out == '\n("a") '
    assert names_in(tmp_path) == ["dump.lisp", "out", "root"]


def test_saved_runtime_options(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    form = "(list (rest *posix-argv*) (dynamic-space-size))"
    text = (
        f'(save-lisp-and-die "out" :executable t :save-runtime-options t :toplevel (lambda () (print {form}) (exit)))'
    )
    (tmp_path / "dump.lisp").write_text(text, encoding="utf-8")
    assert dumped(text, "--dynamic-space-size", "700MB").code == 0
    assert run([tmp_path / "out", "--version", "--eval", "1"]).out == '\n(("--version" "--eval" "1") 734003200) '


@needs_root
def test_compressed(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    text = '(save-lisp-and-die "{}" :executable t :compression {} :purify t :toplevel (lambda () (print 1) (exit)))'
    assert dumped(text.format("plain", "nil")).code == 0
    assert dumped(text.format("small", "t")).code == 0
    assert (tmp_path / "small").stat().st_size < (tmp_path / "plain").stat().st_size / 2
    assert in_chroot(tmp_path / "small", tmp_path / "root").out == "\n1 "


def test_the_repl_as_an_executable(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """Without a toplevel function it is an SBCL of its own, with SBCL's options, and can compile."""
    assert dumped('(defun square (x) (* x x)) (save-lisp-and-die "out" :executable t)').code == 0
    line = [*BARE, "--eval", "(print (funcall (compile nil (list 'lambda nil '(square 5)))))", "--quit"]
    assert run([tmp_path / "out", *line]).out == "\n25 "


def test_a_plain_core_stays_one(dumped: Callable[..., Ended], monolisp: Monolisp, tmp_path: Path) -> None:
    assert dumped('(defvar *kept* 42) (save-lisp-and-die "plain.core")').code == 0
    assert (tmp_path / "plain.core").read_bytes()[:4] == b"LCBS"
    line = ["--core", "plain.core", *BARE]
    assert monolisp("sbcl", *line, "--eval", "(print *kept*)", "--quit").out == "\n42 "
    save = '(save-lisp-and-die "again" :executable t :toplevel (lambda () (print *kept*) (exit)))'
    assert monolisp("sbcl", *line, "--eval", save).code == 0
    assert run([tmp_path / "again"]).out == "\n42 "


def test_several_at_once_from_forked_children(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    done = dumped("""
        (require :sb-posix)
        (let ((children (loop for n below 3
                              collect (let ((n n) (pid (sb-posix:fork)))
                                        (when (zerop pid)
                                          (save-lisp-and-die (format nil "out~d" n) :executable t
                                                             :toplevel (lambda () (print n) (exit))))
                                        pid))))
          (dolist (pid children) (assert (zerop (nth-value 1 (sb-posix:waitpid pid 0))))))
        (write-line "all")
        """)
    assert (done.code, done.out) == (0, "all\n"), done.err
    assert [run([tmp_path / f"out{n}"]).out for n in range(3)] == [f"\n{n} " for n in range(3)]


def test_over_a_running_executable(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    main = "(lambda () (print {}) (finish-output) (read-line) (exit))"
    text = f'(save-lisp-and-die "a b/out" :executable t :toplevel {main})'
    (tmp_path / "a b").mkdir()
    assert dumped(text.replace("{}", "1")).code == 0
    child = subprocess.Popen([tmp_path / "a b" / "out"], stdin=-1, stdout=-1)
    assert child.stdout is not None
    child.stdout.readline()
    assert dumped(text.replace("{}", "2")).code == 0
    child.communicate(b"\n", timeout=20)
    assert child.returncode == 0
    assert run([tmp_path / "a b" / "out"], stdin=b"\n").out == "\n2 "
    assert names_in(tmp_path / "a b") == ["out"]


@pytest.mark.parametrize(
    "form",
    [
        '(progn (setf uiop:*image-entry-point* (function p::main)) (uiop:dump-image "out" :executable t))',
        '(asdf:make "p")',
        '(asdf:operate :program-op "p")',
        "(asdf:operate (quote asdf:program-op) :p)",
    ],
)
def test_as_asdf_dumps(form: str, monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "p.asd").write_text(
        '(defsystem "p" :components ((:file "p")) :build-operation "program-op" :build-pathname "out"'
        ' :entry-point "p::main")',
        encoding="utf-8",
    )
    (tmp_path / "p.lisp").write_text(
        '(defpackage p (:use :cl)) (in-package p)\n(defun main () (format t "p ~a~%" (uiop:command-line-arguments)))',
        encoding="utf-8",
    )
    line = ["--eval", "(require :asdf)", "--eval", f'(push #p"{tmp_path}/" asdf:*central-registry*)']
    done = monolisp("sbcl", *BARE, "--non-interactive", *line, "--eval", '(asdf:load-system "p")', "--eval", form)
    assert done.code == 0, done.err + done.out
    assert run([tmp_path / "out", "x"]).out == "p (x)\n"


def test_as_deploy_does(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """Hooks before saving, foreign libraries closed and opened anew at start, an entry point of its own."""
    done = dumped("""
        (require :asdf)
        (defvar *state* :unset)
        (uiop:register-image-dump-hook (lambda () (setf *state* :dumped)))
        (uiop:register-image-restore-hook (lambda () (push :restored *features*)) nil)
        (defun main () (print (list *state* (and (find :restored *features*) t))) (finish-output) 0)
        (setf uiop:*image-entry-point* #'main)
        (uiop:dump-image "out" :executable t)
        """)
    assert done.code == 0, done.err
    assert run([tmp_path / "out"]).out == "\n(:DUMPED T) "


# --- foreign libraries -----------------------------------------------------------------------------------------------

LZ4 = """
(load-shared-object "liblz4.so.1")
(define-alien-routine "LZ4_versionString" c-string)
(write-line (lz4-versionstring))
(save-lisp-and-die "out" :executable t :toplevel (lambda () (write-line (lz4-versionstring)) (exit)))
"""


@needs_root
@pytest.mark.slow
def test_a_library_is_found(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """While the script runs, and inside the executable."""
    done = dumped(LZ4)
    assert (done.code, done.out) == (0, "1.10.0\n"), done.err
    assert "linked: lz4" in done.err
    assert in_chroot(tmp_path / "out", tmp_path / "root").out == "1.10.0\n"


def test_a_library_at_a_prompt(monolisp: Monolisp) -> None:
    done = run(
        [sys.executable, "-m", "monolisp", "sbcl", *BARE],
        stdin=b'(load-shared-object "liblz4.so.1")\n'
        b'(alien-funcall (extern-alien "LZ4_versionNumber" (function int)))\n',
    )
    assert "11000" in done.out, done.err


def test_a_library_that_nobody_has(dumped: Callable[..., Ended]) -> None:
    done = dumped('(load-shared-object "libnotthere.so.1")')
    assert done.code != 0
    assert "no recipe answers to it" in done.err
    assert "--with-archive" in done.err


def test_named_beforehand(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """An archive of one's own, and a lookup by name in the finished executable."""
    (tmp_path / "own.c").write_text("int answer(void) { return 42; }\n", encoding="utf-8")
    for line in (["cc", "-c", "own.c", "-o", "own.o"], ["ar", "rcs", "libown.a", "own.o"]):
        subprocess.run(line, cwd=tmp_path, check=True)
    text = """
        (load-shared-object "libown.so")
        (defun ask (name)
          (alien-funcall (sap-alien (sb-sys:int-sap (sb-sys:find-foreign-symbol-address name)) (function int))))
        (print (ask (format nil "ans~a" "wer")))
        (save-lisp-and-die "out" :executable t :toplevel (lambda () (print (ask (format nil "an~a" "swer"))) (exit)))
        """
    done = dumped(text, "--with-archive", "libown.a", "--soname", "libown.so")
    assert done.code == 0, done.err
    assert run([tmp_path / "out"]).out == "\n42 "


OWN = """
(load-shared-object "./libown.so")
(define-alien-routine "answer" int)
{more}
(save-lisp-and-die "out" :executable t :toplevel (lambda () (print (answer)) (exit)))
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An archive by the name of a shared library, as our C compiler makes them."""
    (tmp_path / "own.c").write_text("int answer(void) { return 42; }\n", encoding="utf-8")
    for line in (["cc", "-c", "own.c", "-o", "own.o"], ["ar", "rcs", "libown.so", "own.o"]):
        subprocess.run(line, cwd=tmp_path, check=True)
    return tmp_path / "libown.so"


def test_a_library_by_a_relative_path(own: Path, dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """By the name that Lisp keeps, wherever the executable is started; also after a change of directory."""
    (tmp_path / "below").mkdir()
    done = dumped(OWN.format(more='(alien-funcall (extern-alien "chdir" (function int c-string)) "below")'))
    assert done.code == 0, done.err
    (program,) = tmp_path.rglob("out")
    assert run([program], cwd=Path("/")).out == "\n42 "


def test_a_library_that_is_gone_when_it_is_linked(own: Path, dumped: Callable[..., Ended], tmp_path: Path) -> None:
    done = dumped(OWN.format(more='(delete-file "libown.so")'))
    assert (done.code, "cannot be had any more" in done.err) == (11, True), done.err
    assert not (tmp_path / "out").exists()


def test_a_failure_that_the_program_handled(own: Path, dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """Is forgotten: neither other libraries nor the dump suffer."""
    more = '(handler-case (load-shared-object "libnotthere.so") (error () (write-line "no")))'
    done = dumped(OWN.format(more=more + '(load-shared-object "liblz4.so.1")'))
    assert (done.code, done.out) == (0, "no\n"), done.err
    assert run([tmp_path / "out"]).out == "\n42 "


def test_inside_a_build_of_another(own: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    """What an SBCL below a build asks for is its own."""
    (tmp_path / "inner.lisp").write_text(OWN.format(more=""), encoding="utf-8")
    inner = '(run-program "sbcl" (list "--script" "inner.lisp") :search t)'
    (tmp_path / "outer.lisp").write_text(f"{inner} (defun main () (print 1))", encoding="utf-8")
    done = monolisp("exec", "--", sys.executable, "-m", "monolisp", "build", "outer.lisp")
    assert done.code == 0, done.err
    assert "libown" not in done.out
    assert run([tmp_path / "out"]).out == "\n42 "


def test_names_outlive_a_plain_core(dumped: Callable[..., Ended], monolisp: Monolisp, tmp_path: Path) -> None:
    text = """
        (defun ask (name) (print (and (sb-sys:find-foreign-symbol-address name) t)))
        (ask (format nil "str~a" "verscmp"))
        (save-lisp-and-die "own.core")
        """
    assert dumped(text).code == 0
    save = '(save-lisp-and-die "out" :executable 1 :toplevel (lambda () (ask "strverscmp") (exit)))'
    done = monolisp("sbcl", "--core", "own.core", *BARE, "--non-interactive", "--eval", save)
    assert done.code == 0, done.err
    assert run([tmp_path / "out"]).out == "\nT "


# --- env, exec, shell ------------------------------------------------------------------------------------------------


def test_exec(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(
        "out: out.lisp\n\tsbcl --non-interactive --no-userinit --load out.lisp\n\t$(CC) --version >cc.txt\n",
        encoding="utf-8",
    )
    text = '(save-lisp-and-die "out" :executable t :toplevel (lambda () (print 1) (exit)))'
    (tmp_path / "out.lisp").write_text(text, encoding="utf-8")
    done = monolisp("exec", "--", "make", "-e")
    assert done.code == 0, done.err
    assert run([tmp_path / "out"]).out == "\n1 "
    assert "clang" in (tmp_path / "cc.txt").read_text(encoding="utf-8")
    assert monolisp("exec", "--", "sh", "-c", "exit 9").code == 9
    missing = monolisp("exec", "--", "no-such-command")
    assert (missing.code, "no-such-command" in missing.err) == (5, True)
    assert monolisp("exec").code == 2
    assert "usage: monolisp exec" in monolisp("exec", "--help").out


def test_env(monolisp: Monolisp, tmp_path: Path) -> None:
    told = monolisp("env")
    (tmp_path / "env.sh").write_text(told.out, encoding="utf-8")
    done = run(["sh", "-c", ". ./env.sh; sbcl --version; echo ${SBCL_HOME-none} $CC"], cwd=tmp_path, SBCL_HOME="/x")
    assert done.out.startswith("SBCL 2.6.4\n")
    assert done.out.endswith(" cc\n")
    assert "unset SBCL_HOME\n" in monolisp("env", env={"SBCL_HOME": "/x"}).out


def test_shell(monolisp: Monolisp) -> None:
    done = run([sys.executable, "-m", "monolisp", "shell"], stdin=b"sbcl --version; exit 4\n", SHELL="/bin/sh")
    assert (done.code, done.out) == (4, "SBCL 2.6.4\n")


@pytest.mark.slow
def test_pkg_config(monolisp: Monolisp, tmp_path: Path) -> None:
    """C of a project's own finds the libraries that Lisp will be linked with."""
    (tmp_path / "x.c").write_text("#include <lz4.h>\nint main(void) { return LZ4_versionNumber() != 11000; }\n")
    (tmp_path / "f.c").write_text("int f(void) { return 0; }\n")
    (tmp_path / "m.c").write_text("#include <zlib.h>\nint f(void);\nint main(void) { return f(); }\n")
    own = "cc -c f.c && ar rcs libf.a f.o && cc -o m m.c -L. -lf && ./m"
    line = f"cc x.c -o x $(pkg-config --cflags --libs liblz4) && ./x && {own}"
    done = monolisp("exec", "--", "sh", "-c", line)
    assert done.code == 0, done.err


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_threads_are_named(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    done = dumped(
        '(sb-thread:make-thread (lambda () (sleep 60)) :name "sleeper") (save-lisp-and-die "out" :executable t)'
    )
    assert done.code != 0
    assert '"sleeper"' in done.err
    assert names_in(tmp_path) == ["dump.lisp"]


def test_saved_after_all_once_threads_have_ended(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    done = dumped("""
        (let ((thread (sb-thread:make-thread (lambda () (sleep 1)))))
          (handler-case (save-lisp-and-die "out" :executable t) (error () (write-line "not yet")))
          (sb-thread:join-thread thread))
        (save-lisp-and-die "out" :executable t :toplevel (lambda () (print 1) (exit)))
        """)
    assert (done.code, done.out) == (0, "not yet\n"), done.err
    assert run([tmp_path / "out"]).out == "\n1 "


def test_callable_exports(dumped: Callable[..., Ended]) -> None:
    done = dumped('(defun f ()) (save-lisp-and-die "out" :executable t :callable-exports (list (quote f)))')
    assert done.code != 0
    assert ":CALLABLE-EXPORTS (F): a static executable" in done.err


def test_a_contrib_that_is_not_there(dumped: Callable[..., Ended]) -> None:
    done = dumped("(require :sb-simd)")
    assert done.code != 0
    assert "sb-simd is not part of a static SBCL" in done.err
    assert "AVX2" in done.err


@needs_stock
def test_a_core_of_another(monolisp: Monolisp) -> None:
    core = next((path for path in Path("/usr/lib").glob("**/sbcl.core")), None)
    assert core is not None
    done = monolisp("sbcl", "--core", core, "--version")
    assert done.code == 3
    assert "was saved by another one" in done.err
    assert monolisp("sbcl", "--core", "none.core").code != 0


def test_nowhere_to_put_it(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    assert dumped('(save-lisp-and-die "none/out" :executable t)').code != 0
    (tmp_path / "folder").mkdir()
    done = dumped('(save-lisp-and-die #p"folder" :executable t)')
    assert (done.code, "is a directory" in done.err) == (8, True), done.err
    assert names_in(tmp_path) == ["dump.lisp", "folder"]
    assert names_in(tmp_path / "folder") == []


def test_finishing_fails_loudly(dumped: Callable[..., Ended], tmp_path: Path) -> None:
    """A library that clashes with libc: the dump cannot be linked."""
    (tmp_path / "own.c").write_text("int answer(void) { extern int nowhere(void); return nowhere(); }\n")
    for line in (["cc", "-c", "own.c", "-o", "own.o"], ["ar", "rcs", "libown.a", "own.o"]):
        subprocess.run(line, cwd=tmp_path, check=True)
    text = """
        (load-shared-object "libown.so")
        (define-alien-routine "answer" int)
        (save-lisp-and-die "out" :executable t :toplevel (lambda () (print (answer)) (exit)))
        """
    done = dumped(text, "--with-archive", "libown.a", "--soname", "libown.so")
    assert (done.code, "nowhere" in done.err) == (11, True), done.err
    assert names_in(tmp_path) == ["dump.lisp", "libown.a", "own.c", "own.o"]


def test_monolisp_is_gone(monolisp: Monolisp, sbcl: str, tmp_path: Path) -> None:
    """The SBCL of a shell may outlive the monolisp that started it."""
    face = tmp_path / "face"
    shutil.copytree(Path(sbcl).parents[1], face, symlinks=True)
    clerk = (face / "clerk").read_text(encoding="utf-8").replace(sys.executable, "/no/such/python")
    (face / "clerk").write_text(clerk, encoding="utf-8")
    done = run([face / "bin" / "sbcl", *BARE, "--eval", '(save-lisp-and-die "out" :executable t)'], cwd=tmp_path)
    assert (done.code, "is gone; start it anew" in done.err) == (9, True), done.err
    assert names_in(tmp_path) == ["face"]


@needs_stock
def test_another_sbcl_below(monolisp: Monolisp) -> None:
    """Is not led to our core."""
    assert monolisp("exec", "--", str(STOCK), "--non-interactive", "--eval", "(exit :code 3)").code == 3


@pytest.mark.parametrize("stream", ["2>&-", "2>&1 >/dev/null | true"])
def test_nobody_reads_what_the_clerk_says(stream: str, sbcl: str, tmp_path: Path) -> None:
    save = '(save-lisp-and-die \\"out\\" :executable t)'
    line = f'{sbcl} {" ".join(BARE)} --eval "{save}" {stream}'
    done = run(["bash", "-c", f"set -o pipefail; {line}"], cwd=tmp_path)
    assert (done.code, (tmp_path / "out").exists()) == (0, True)


def test_no_toolchain_offers_to_build_it(tmp_path: Path) -> None:
    """At a terminal a person is asked; whoever says no gets an error and no minutes of work."""
    child, master = pty.fork()
    if child == 0:
        os.environ["MONOLISP_STORE"] = str(tmp_path / "store")
        os.execv(sys.executable, [sys.executable, "-m", "monolisp", "sbcl", "--version"])
    said = b""
    while b"[Y/n]" not in said:
        said += os.read(master, 4096)
    os.write(master, b"n\n")
    while True:
        try:
            said += os.read(master, 4096)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert b"you said that it shall not be built now" in said


# --- the launcher ----------------------------------------------------------------------------------------------------


def test_no_python_starts_once_the_way_is_known(sbcl: str, tmp_path: Path) -> None:
    """bin/monolisp, as pip installs it, becomes SBCL by itself; with options of ours, or a project file, it asks."""
    launcher = Path(sys.executable).parent / "monolisp"
    assert run([launcher, "sbcl", "--version"]).out == "SBCL 2.6.4\n"
    trace = tmp_path / "trace"
    if shutil.which("strace") is None:
        pytest.skip("waits for Debian's package strace")
    for arguments, python in ((["--version"], False), (["--with", "lz4", "--version"], True), (["--version"], False)):
        done = run(["strace", "-f", "-e", "trace=execve", "-o", trace, launcher, "sbcl", *arguments], cwd=tmp_path)
        assert done.out == "SBCL 2.6.4\n", done.err
        assert ("python" in trace.read_text(encoding="utf-8")) == python
    (tmp_path / "monolisp.toml").write_text("", encoding="utf-8")
    run(["strace", "-f", "-e", "trace=execve", "-o", trace, launcher, "sbcl", "--version"], cwd=tmp_path)
    assert "python" in trace.read_text(encoding="utf-8")


def test_the_launcher_gives_the_same_environment(sbcl: str, tmp_path: Path) -> None:
    launcher = Path(sys.executable).parent / "monolisp"
    form = "(dolist (line (sort (posix-environ) #'string<)) (write-line line))"
    line = ["sbcl", *BARE, "--non-interactive", "--eval", form]
    told = [
        run([*start, *line], cwd=tmp_path) for start in ([launcher], [launcher], [sys.executable, "-m", "monolisp"])
    ]
    shown = [{row for row in one.out.splitlines() if not row.startswith(("_=", "PWD=", "OLDPWD="))} for one in told]
    assert shown[0] == shown[1] == shown[2]
