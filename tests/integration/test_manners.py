"""How a finished program behaves: arguments, signals, streams, errors, memory, finding itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import in_chroot, needs_root, run

Built = Callable[..., Path]

ARGUMENTS = '(defun main () (format t "~{~a~%~}" sb-ext:*posix-argv*))'
WAITING = """
(defun main ()
  (format t "ready~%") (finish-output)
  (unwind-protect (loop (sleep 1))
    (format t "cleaned~%") (finish-output)))
"""


def wait_until_ready(child: subprocess.Popen[bytes]) -> None:
    """Until it has printed "ready", and its FINISH-OUTPUT has returned: SBCL's streams are not safe against
    interruption, whoever runs them."""
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    time.sleep(0.2)


def test_every_argument_is_the_programs(built: Built) -> None:
    program = built(ARGUMENTS)
    wild = [
        "--help",
        "--version",
        "--core",
        "x",
        "--eval",
        "(exit)",
        "--dynamic-space-size",
        "1",
        "--end-runtime-options",
    ]
    wild += ["--no-sysinit", "--noinform", "--script", "--", "--end-toplevel-options", "", "a b", "żółć", "--tls-limit"]
    done = run([program, *wild])
    assert done.out.split("\n")[:-1] == [str(program), *wild]
    assert done.code == 0


def test_one_argument_entry_gets_the_arguments(built: Built) -> None:
    program = built('(defun main (arguments) (format t "~s" arguments))')
    assert run([program, "a", "b"]).out == '("a" "b")'
    assert run([program]).out == "NIL"


def test_entry_option(built: Built) -> None:
    program = built("(defpackage :app (:use :cl)) (in-package :app) (defun run () (princ 42))", "--entry", "app:run")
    assert run([program]).out == "42"


def test_utf_8_whatever_the_locale(built: Built) -> None:
    program = built('(defun main (words) (format t "~a ~a ~a~%" (first words) (length (first words)) (read-line)))')
    for locale in ("C", "POSIX", "en_US.ISO-8859-1", "tr_TR.UTF-8", ""):
        done = run([program, "zażółć"], stdin="gęślą\n".encode(), LC_ALL=locale, LANG=locale)
        assert done.out == "zażółć 6 gęślą\n", locale


def test_unhandled_error_exits_1_with_a_backtrace(built: Built) -> None:
    program = built('(defun deep () (error "no luck")) (defun main () (princ "before") (deep))')
    done = run([program], stdin=b"(print 1)\n")
    assert done.code == 1
    assert done.out == "before"
    assert "no luck" in done.err
    assert "DEEP" in done.err


def test_unhandled_error_in_another_thread_exits_1(built: Built) -> None:
    text = '(defun main () (sb-thread:join-thread (sb-thread:make-thread (lambda () (error "in a thread")))))'
    done = run([built(text)])
    assert done.code == 1
    assert "in a thread" in done.err


def test_debugger_is_kept_on_request(built: Built) -> None:
    done = run([built('(defun main () (error "no luck"))', "--debugger")])
    assert "debugger invoked on a SIMPLE-ERROR" in done.err
    assert "0] " in done.out


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(built: Built, sign: signal.Signals, code: int) -> None:
    child = subprocess.Popen([built(WAITING)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until_ready(child)
    child.send_signal(sign)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (code, b"cleaned\n", b"")


def test_signals_end_a_program_with_busy_threads(built: Built) -> None:
    text = """
    (defun main ()
      (dotimes (i 3) (sb-thread:make-thread (lambda () (loop))))
      (format t "ready~%") (finish-output) (loop (sleep 1)))
    """
    child = subprocess.Popen([built(text)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until_ready(child)
    begin = time.monotonic()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=20)
    assert child.returncode == 143
    assert time.monotonic() - begin < 8


def test_a_program_may_handle_the_interrupt_itself(built: Built) -> None:
    text = """
    (defun main ()
      (format t "ready~%") (finish-output)
      (handler-case (loop (sleep 1))
        (sb-sys:interactive-interrupt () (format t "mine~%"))))
    """
    child = subprocess.Popen([built(text)], stdout=subprocess.PIPE)
    wait_until_ready(child)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0] == b"mine\n"
    assert child.returncode == 0


@pytest.mark.parametrize("ending", ["", "(sb-ext:exit :code 0)"])
def test_a_closed_pipe_ends_it_quietly(built: Built, ending: str) -> None:
    program = built(f'(defun main () (dotimes (i 300000) (format t "line ~d~%" i)) {ending})')
    done = run(["bash", "-c", f"set -o pipefail; '{program}' | head -n 1"])
    assert done.out == "line 0\n"
    assert done.err == ""
    assert done.code == 141


def test_a_pipe_closed_before_the_last_flush(built: Built) -> None:
    done = run(["bash", "-c", f"('{built('(defun main () (princ 1) (sleep 0.3))')}'; echo $? >&2) | true"])
    assert done.err.strip() in {"0", "141"}


@pytest.mark.slow
def test_output_is_flushed_at_exit(built: Built) -> None:
    for ending in ("", "(sb-ext:exit :code 3)", "(sb-ext:exit)"):
        done = run([built(f'(defun main () (write-string "out") (write-string "err" *error-output*) {ending})')])
        assert (done.out, done.err) == ("out", "err")


def test_a_full_disk_is_an_error(built: Built) -> None:
    program = built('(defun main () (dotimes (i 100000) (format t "line~%")))')
    done = run(["bash", "-c", f"'{program}' > /dev/full"])
    assert done.code == 1
    assert "No space left" in done.err


def test_heap_is_baked_in_and_can_be_raised(built: Built) -> None:
    program = built('(defun main () (format t "~d" (sb-ext:dynamic-space-size)))', "--heap", "300MiB")
    assert run([program]).out == str(300 << 20)
    assert run([program], MONOLISP_HEAP="2GiB").out == str(2 << 30)
    wrong = run([program], MONOLISP_HEAP="plenty")
    assert wrong.code == 2
    assert "MONOLISP_HEAP=plenty is not a size" in wrong.err


def test_stack_is_baked_in_and_can_be_raised(built: Built) -> None:
    text = """
    (declaim (optimize (debug 0) (safety 1)))
    (defun depth (n) (if (zerop n) 0 (+ 1 (depth (- n 1)))))
    (defun main (words)
      (format t "~d ~d" (depth (parse-integer (first words)))
              (sb-thread:join-thread (sb-thread:make-thread #'depth :arguments (list (parse-integer (first words)))))))
    """
    program = built(text, "--stack", "64MiB")
    assert run([program, "1000000"]).out == "1000000 1000000"
    shallow = run([program, "1000000"], MONOLISP_STACK="2MiB")
    assert shallow.code == 1
    assert "exhausted" in shallow.err
    assert run([program, "3000000"], MONOLISP_STACK="256MiB").out == "3000000 3000000"


def test_heap_exhaustion_ends_it(built: Built) -> None:
    text = "(defvar *all* nil) (defun main () (loop (push (make-array 100000) *all*)))"
    done = run([built(text, "--heap", "200MiB")])
    assert done.code not in (0, 130)
    assert "xhausted" in done.err


def test_finds_its_core_under_any_name(built: Built, tmp_path: Path) -> None:
    program = built(ARGUMENTS)
    link = tmp_path / "link"
    link.symlink_to(program)
    assert run([link, "x"]).out == f"{link}\nx\n"
    assert run(["program", "x"], PATH=f"{tmp_path}:{os.environ['PATH']}").out == "program\nx\n"
    assert run(["bash", "-c", f"exec -a anything '{program}' x"]).out == "anything\nx\n"
    other = tmp_path / "with space ü"
    program.rename(other)
    assert run([other]).code == 0


@needs_root
def test_finds_its_core_without_proc(built: Built, tmp_path: Path) -> None:
    program = built(ARGUMENTS)
    root = tmp_path / "root"
    assert in_chroot(program, root, "x").out == "/program\nx\n"
    (root / "dir").mkdir()
    (root / "dir" / "link").symlink_to("../program")
    assert run(["chroot", root, "/dir/link"]).out == "/dir/link\n"
    assert run(["env", "PATH=/dir:/nowhere", "/usr/sbin/chroot", root, "link"]).out == "link\n"


def test_survives_strip(built: Built) -> None:
    program = built(ARGUMENTS)
    assert run(["strip", program]).code == 0
    assert run([program, "x"]).out == f"{program}\nx\n"


def test_threads_run_program_sockets_and_names(built: Built) -> None:
    text = """
    (require :sb-bsd-sockets)
    (defun main ()
      (let ((threads (loop for i below 20 collect (let ((i i)) (sb-thread:make-thread (lambda () (* i i)))))))
        (format t "~d~%" (reduce #'+ (mapcar #'sb-thread:join-thread threads))))
      (format t "~a~%" (with-output-to-string (s) (sb-ext:run-program "echo" '("child" "ż") :search t :output s)))
      (format t "~d~%" (sb-ext:process-exit-code (sb-ext:run-program "/bin/sh" '("-c" "exit 7"))))
      (format t "~a~%" (sb-bsd-sockets:host-ent-address (sb-bsd-sockets:get-host-by-name "localhost")))
      (let ((server (make-instance 'sb-bsd-sockets:inet-socket :type :stream :protocol :tcp))
            (client (make-instance 'sb-bsd-sockets:inet-socket :type :stream :protocol :tcp)))
        (sb-bsd-sockets:socket-bind server #(127 0 0 1) 0)
        (sb-bsd-sockets:socket-listen server 1)
        (sb-bsd-sockets:socket-connect client #(127 0 0 1) (nth-value 1 (sb-bsd-sockets:socket-name server)))
        (let ((peer (sb-bsd-sockets:socket-accept server)))
          (sb-bsd-sockets:socket-send client "hi" 2)
          (format t "~a~%" (sb-bsd-sockets:socket-receive peer nil 2)))))
    """
    done = run([built(text)])
    assert done.out == "2470\nchild ż\n\n7\n#(127 0 0 1)\nhi\n", done.err


def test_contribs_can_be_required_while_building(built: Built) -> None:
    names = (
        "sb-posix sb-bsd-sockets sb-introspect sb-cltl2 sb-sprof sb-md5 sb-queue sb-concurrency sb-rotate-byte sb-cover"
    )
    requires = " ".join(f"(require :{name})" for name in names.split())
    program = built(f"{requires} (defun main () (princ (sb-posix:getpid)) (princ (length *modules*)))")
    assert run([program]).code == 0


def test_paths_of_the_build_machine_do_not_decide_at_run_time(built: Built, tmp_path: Path) -> None:
    program = built('(defun main () (format t "~a ~a" (probe-file "here") *default-pathname-defaults*))')
    other = tmp_path / "other"
    other.mkdir()
    (other / "here").touch()
    assert run([program], cwd=other).out.startswith(str(other / "here"))


def test_calling_what_nothing_defines_raises_lisps_error(built: Built) -> None:
    text = """
    (defun main ()
      (handler-case (sb-alien:alien-funcall (sb-alien:extern-alien "no_such_function" (function sb-alien:int)))
        (sb-kernel::undefined-alien-function-error (c) (format t "function: ~a~%" c)))
      (handler-case (print (sb-alien:extern-alien "no_such_variable" sb-alien:int))
        (sb-kernel::undefined-alien-variable-error (c) (format t "variable: ~a~%" c)))
      (format t "~a~%" (sb-alien:alien-funcall (sb-alien:extern-alien "abs" (function sb-alien:int sb-alien:int)) -5))
      (handler-case (sb-alien:load-shared-object "libnothing.so.1")
        (error (c) (format t "~a~%" c))))
    """
    done = run([built(text)])
    lines = done.out.split("\n")
    assert lines[0].startswith("function:")
    assert "no_such_function" in lines[0]
    assert lines[1].startswith("variable:")
    assert lines[2] == "5"
    assert "not inside this static executable" in done.out
    assert done.code == 0


def test_embedded_files(built: Built, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(bytes(range(256)))
    text = '(defun main () (print (monolisp:embedded-files)) (print (length (monolisp:embedded-file "data/a.bin"))))'
    assert run([built(text, "--embed", "data/*")]).out.split("\n")[1:] == ['("data/a.bin") ', "256 "]


@needs_root
def test_nobody_is_at_home(built: Callable[..., Path], tmp_path: Path) -> None:
    """UIOP wants a home directory when it starts; in an empty root, without HOME, there is none but the root."""
    program = built("(require :asdf) (defun main () (print (user-homedir-pathname)))")
    (tmp_path / "root").mkdir()
    shutil.copy2(program, tmp_path / "root" / "program")
    chroot = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert run(["env", "-i", str(chroot), tmp_path / "root", "/program"]).out == '\n#P"/" '
