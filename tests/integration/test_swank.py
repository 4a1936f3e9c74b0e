"""Editors: the static SBCL, and programs with swank inside, serve SLIME's protocol. Needs cl-swank; Emacs itself is
tried when Debian's emacs-nox and slime are there.

The protocol: messages are S-expressions in UTF-8, each behind its length in octets as six hexadecimal digits.
Source: SLIME 2.27, slime.el and swank.lisp.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import Monolisp, needs_root, run

SWANK = Path("/usr/share/common-lisp/source/slime")
EMACS = shutil.which("emacs")
SLIME = sorted(Path("/usr/share/emacs/site-lisp/elpa").glob("slime-[0-9]*"))
pytestmark = pytest.mark.skipif(not SWANK.is_dir(), reason="waits for Debian's cl-swank")

TOKEN = re.compile(r'\s*(?:([()])|"((?:\\.|[^"\\])*)"|([^\s()"]+))', re.DOTALL)


def read(text: str) -> Any:
    """An S-expression: lists, text, whole numbers; NIL is None, T is True, another symbol its name in lower case."""
    stack: list[list[Any]] = [[]]
    for bracket, string, atom in TOKEN.findall(text):
        if bracket == "(":
            stack.append([])
        elif bracket == ")":
            done = stack.pop()
            stack[-1].append(done or None)
        elif atom:
            word = atom.lower()
            stack[-1].append(int(word) if word.isdigit() else {"nil": None, "t": True}.get(word, word))
        else:
            stack[-1].append(re.sub(r"\\(.)", r"\1", string, flags=re.DOTALL))
    return stack[0][0]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Editor:
    """SLIME's side of a connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        self.asked = 0
        self.heard: list[Any] = []

    def send(self, message: str) -> None:
        octets = message.encode()
        self.socket.sendall(b"%06x" % len(octets) + octets)

    def wait_for(self, *wanted: Any) -> Any:
        """The next message that begins with `wanted`; the others are kept in `heard`."""
        while True:
            message = read(self.file.read(int(self.file.read(6), 16)).decode())
            if message[0] == ":ping":
                self.send(f"(:emacs-pong {message[1]} {message[2]})")
            if message[: len(wanted)] == list(wanted):
                return message
            self.heard.append(message)

    def start(self, form: str, thread: object = "t", package: str = "COMMON-LISP-USER") -> int:
        """Have a form evaluated; its number."""
        self.asked += 1
        self.send(f"(:emacs-rex {form} {quoted(package)} {thread} {self.asked})")
        return self.asked

    def result(self, number: int) -> Any:
        while True:
            _, answer, answered = self.wait_for(":return")
            if answered == number:
                assert answer[0] == ":ok", answer
                return answer[1]

    def ask(self, form: str, thread: object = "t", package: str = "COMMON-LISP-USER") -> Any:
        return self.result(self.start(form, thread, package))

    def evaluate(self, text: str) -> Any:
        """Output and value, as text."""
        return self.ask(f"(swank:eval-and-grab-output {quoted(text)})")

    def compile(self, text: str) -> Any:
        """What C-c C-c does: compile text that is somewhere in a buffer."""
        place = "'((:position 1) (:line 1 1))"
        return self.ask(f'(swank:compile-string-for-emacs {quoted(text)} "app.lisp" {place} nil nil)')

    def restart(self, debug: Any, name: str) -> None:
        """Take the restart `name` of the debugger that a :debug message told of."""
        _, thread, level, _, restarts, *_ = debug
        place = [restart[0].lstrip("*") for restart in restarts].index(name)
        self.start(f"(swank:invoke-nth-restart-for-emacs {level} {place})", thread)
        self.wait_for(":debug-return", thread, level)


@pytest.fixture(scope="module")
def server(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that was started as SLIME starts one: by writing to an inferior Lisp."""
    folder = tmp_path_factory.mktemp("swank")
    port_file = folder / "port"
    argv = [sys.executable, "-m", "monolisp", "sbcl"]
    with subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as lisp:
        assert lisp.stdin is not None
        lisp.stdin.write(f"""
(progn (load {quoted(str(SWANK / "swank-loader.lisp"))} :verbose t)
       (funcall (read-from-string "swank-loader:init") :from-emacs t)
       (funcall (read-from-string "swank:start-server") {quoted(str(port_file))} :dont-close t))
""")
        lisp.stdin.flush()
        deadline = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().endswith("\n")):
            assert lisp.poll() is None and time.monotonic() < deadline, "swank did not start"
            time.sleep(0.05)
        yield int(port_file.read_text())
        lisp.kill()


@pytest.fixture
def editor(server: int) -> Iterator[Editor]:
    editor = Editor(server)
    yield editor
    editor.socket.close()


def test_who_is_there(editor: Editor) -> None:
    info = editor.ask("(swank:connection-info)")
    told = dict(zip(info[::2], info[1::2], strict=True))
    implementation = told[":lisp-implementation"]
    assert implementation[implementation.index(":version") + 1] == "2.6.4"
    assert told[":style"] == ":spawn"


def test_evaluation(editor: Editor) -> None:
    assert editor.evaluate('(progn (princ "zażółć") (* 6 7))') == ["zażółć", "42"]
    assert editor.ask('(swank:interactive-eval "(list 1 :b)")') == "=> (1 :B)"


def test_a_string_is_compiled_and_its_warnings_have_places(editor: Editor) -> None:
    def compile_string(text: str) -> Any:
        return editor.ask(
            f'(swank:compile-string-for-emacs {quoted(text)} "app.lisp" \'((:position 1) (:line 1 1)) nil nil)'
        )

    _, notes, successful, *_ = compile_string("(defun twice (x) (* 2 x))")
    assert (notes, successful) == (None, True)
    assert editor.evaluate("(twice 21)") == ["", "42"]
    _, notes, *_ = compile_string("(defun broken (x) (car 5 x))")
    assert any(":warning" in note and ":location" in note for note in notes), notes


def test_completion_and_descriptions(editor: Editor) -> None:
    assert editor.ask('(swank:simple-completions "multiple-value-b" "CL-USER")')[1] == "multiple-value-bind"
    editor.ask("(swank:swank-require '(swank-c-p-c swank-fuzzy swank-arglists))")
    assert "multiple-value-bind" in editor.ask('(swank:completions "m-v-b" "CL-USER")')[0]
    assert any(row[0] == "multiple-value-bind" for row in editor.ask('(swank:fuzzy-completions "mvbind" "CL-USER")')[0])
    assert "MAPCAR" in editor.ask('(swank:describe-symbol "mapcar")')
    assert editor.ask('(swank:operator-arglist "mapcar" "CL-USER")') == "(mapcar FUNCTION LIST &REST MORE-LISTS)"


def test_an_error_enters_the_debugger(editor: Editor) -> None:
    editor.evaluate('(defun deep (x) (declare (optimize debug)) (restart-case (error "no ~a" x) (pass () \'passed)))')
    number = editor.start('(swank:interactive-eval "(deep 7)")')
    debug = editor.wait_for(":debug")
    _, thread, _, condition, _, frames, _ = debug
    assert condition[0] == "no 7"
    names = [frame[1] for frame in frames]
    at = next(place for place, name in enumerate(names) if "DEEP 7" in name)
    assert editor.ask(f"(swank:frame-locals-and-catch-tags {at})", thread)[0] == [
        [":name", "X", ":id", 0, ":value", "7"]
    ]
    assert (
        editor.ask(f'(swank:eval-string-in-frame "(+ x 1)" {at} "CL-USER")', thread)
        == "=> 8 (4 bits, #x8, #o10, #b1000)"
    )
    editor.restart(debug, "PASS")
    assert editor.result(number) == "=> PASSED"


def test_an_endless_loop_is_interrupted(editor: Editor) -> None:
    editor.evaluate("(defvar *looping* nil)")
    editor.start('(swank:interactive-eval "(progn (setf *looping* t) (loop))")')
    while editor.evaluate("*looping*") != ["", "T"]:
        time.sleep(0.01)
    editor.send("(:emacs-interrupt t)")
    debug = editor.wait_for(":debug")
    assert "Interrupt from Emacs" in debug[3][0]
    editor.restart(debug, "ABORT")
    assert editor.evaluate("(+ 1 1)") == ["", "2"]


def test_the_repl(editor: Editor) -> None:
    editor.ask("(swank:swank-require '(swank-repl))")
    editor.ask('(swank-repl:create-repl nil :coding-system "utf-8-unix")')
    editor.ask('(swank-repl:listener-eval "(print :here)")', ":repl-thread")
    written = "".join(message[1] for message in editor.heard if message[0] == ":write-string")
    assert ":HERE" in written


PROGRAM = """
(require "asdf")
(asdf:load-system "swank")
(swank:swank-require (cons 'swank-indentation swank-loader::*contribs*))
(defun greeting () "one")
(defun main ()
  (format t "~a~%" (swank:create-server :port 0 :interface "127.0.0.1" :dont-close t))
  (loop
    (with-simple-restart (continue "Greet again.")
      (format t "~a~%" (greeting))
      (finish-output))
    (sleep 0.05)))
"""


def built_program(monolisp: Monolisp, folder: Path) -> Path:
    (folder / "app.lisp").write_text(PROGRAM)
    done = monolisp("build", "app.lisp")
    assert done.code == 0, done.err
    return folder / "app"


def dumped_program(monolisp: Monolisp, folder: Path) -> Path:
    (folder / "dump.lisp").write_text(f'{PROGRAM}\n(save-lisp-and-die "app" :executable t :toplevel #\'main)\n')
    done = monolisp("sbcl", "--script", "dump.lisp")
    assert done.code == 0, done.err
    return folder / "app"


Made = Callable[[Monolisp, Path], Path]


@contextmanager
def running(program: Path, root: Path) -> Iterator[tuple[Editor, subprocess.Popen[str]]]:
    """The program alone in the directory `root`, and an editor that is connected to it."""
    root.mkdir()
    shutil.copy2(program, root / "program")
    argv = ["chroot", str(root), "/program"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield Editor(int(child.stdout.readline())), child
        finally:
            child.kill()


def printed(child: subprocess.Popen[str], wanted: str) -> bool:
    assert child.stdout is not None
    return any(line.strip() == wanted for line in child.stdout)


@needs_root
@pytest.mark.parametrize("made", [pytest.param(built_program, marks=pytest.mark.slow), dumped_program])
def test_a_running_program_is_changed_and_debugged(monolisp: Monolisp, tmp_path: Path, made: Made) -> None:
    with running(made(monolisp, tmp_path), tmp_path / "root") as (editor, child):
        assert printed(child, "one")
        modules = editor.ask("(swank:swank-require '(swank-repl swank-fuzzy swank-indentation))")
        assert "swank-fuzzy" in map(str.lower, modules)
        editor.evaluate('(defun greeting () "two")')
        assert printed(child, "two")
        editor.evaluate('(defun greeting () (error "three"))')
        debug = editor.wait_for(":debug")
        assert debug[3][0] == "three"
        assert any("MAIN" in frame[1] for frame in debug[5])
        editor.evaluate('(defun greeting () "four")')
        editor.restart(debug, "CONTINUE")
        assert printed(child, "four")
        (tmp_path / "root" / "tmp").mkdir()
        editor.compile('(defun greeting () "five")')
        assert printed(child, "five")


EMACS_SIDE = r"""
(package-initialize)
(require 'slime)
(slime-setup)
(defun wait-until (test)
  (let ((turns 0))
    (while (not (funcall test))
      (when (> (setq turns (1+ turns)) 600) (error "timed out"))
      (accept-process-output nil 0.1))))
(defun ask (text) (message "=> %s" (slime-eval `(swank:eval-and-grab-output ,text))))

(defvar connections 0)
(add-hook 'slime-connected-hook (lambda () (setq connections (1+ connections))) t)

(setq slime-lisp-implementations '((static ("monolisp" "sbcl"))))
(slime)
(wait-until (lambda () (= connections 1)))
(message "Lisp %s" (slime-lisp-implementation-version))
(find-file "oops.lisp")
(insert "(defun oops () (error \"boo\"))")
(save-buffer)
(defvar compiled nil)
(add-hook 'slime-compilation-finished-hook (lambda (&rest _) (setq compiled t)))
(slime-compile-and-load-file)
(wait-until (lambda () compiled))
(slime-eval-async '(swank:interactive-eval "(oops)"))
(wait-until 'sldb-buffers)
(with-current-buffer (car (sldb-buffers))
  (message "debugger %S" (slime-eval '(swank:backtrace 0 1)))
  (sldb-abort))
(wait-until (lambda () (not (sldb-buffers))))
(slime-quit-lisp t)

(slime-connect "127.0.0.1" (string-to-number (getenv "PROGRAM_PORT")))
(wait-until (lambda () (= connections 2)))
(ask "(greeting)")
(ask "(defun greeting () \"changed\")")
(ask "(greeting)")
"""


@needs_root
@pytest.mark.slow
@pytest.mark.skipif(not (EMACS and SLIME), reason="waits for Debian's emacs-nox and slime")
def test_emacs_itself(monolisp: Monolisp, tmp_path: Path) -> None:
    """Emacs starts the static SBCL and works with it, then connects to a program in an empty root."""
    (tmp_path / "side.el").write_text(EMACS_SIDE)
    with running(built_program(monolisp, tmp_path), tmp_path / "root") as (editor, _):
        port = editor.socket.getpeername()[1]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        argv = [str(EMACS), "--batch", "--load", "side.el"]
        done = run([*argv], cwd=tmp_path, PATH=path, PROGRAM_PORT=str(port))
    assert done.code == 0, done.err
    assert "Lisp 2.6.4" in done.err
    assert 'debugger ((0 "(OOPS)"' in done.err
    assert re.findall(r"^=> (.*)$", done.err, re.MULTILINE) == ['( "one")', "( GREETING)", '( "changed")']
