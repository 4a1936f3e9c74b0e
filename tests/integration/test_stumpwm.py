"""StumpWM as one static executable: a window manager that runs where there is nothing but an X server's socket."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import in_chroot, needs_root, run

LISP = Path("/usr/share/common-lisp/source")
PACKAGES = {
    "stumpwm": (LISP / "stumpwm").is_dir(),
    "cl-clx-sbcl": (LISP / "clx").is_dir(),
    "xvfb": shutil.which("Xvfb") is not None,
    "x11-utils": all(shutil.which(name) for name in ("xev", "xprop", "xwininfo")),
}
LACKING = [name for name, there in PACKAGES.items() if not there]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"waits for Debian's packages {', '.join(LACKING)}"),
]

# CLX 0.7.5 tells READ-N-BYTES how many bytes it wants; since SBCL 2.4.7 that argument is where to end.
LOAD = """
(require :asdf)
(asdf:load-system "clx")
(defun xlib::buffer-read-default (display vector start end timeout)
  (let ((stream (xlib::display-input-stream display)))
    (cond ((and (eql timeout 0) (not (listen stream))) :timeout)
          ((= (read-sequence vector stream :start start :end end) end) nil)
          (t :end-of-file))))
(asdf:load-system "stumpwm/build")
"""
# What ASDF's program-op does for this system; it would write beside the system's sources.
DUMP = """
(setf uiop:*image-entry-point* #'stumpwm:main)
(uiop:dump-image "stumpwm" :executable t)
"""
WAYS = {
    "sbcl": (LOAD + DUMP, ["sbcl", "--non-interactive", "--no-userinit", "--load", "script.lisp"]),
    "build": (LOAD, ["build", "script.lisp", "--entry", "stumpwm:main", "-o", "stumpwm"]),
}


@pytest.fixture(scope="module", params=WAYS)
def stumpwm(request: pytest.FixtureRequest, toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    text, arguments = WAYS[request.param]
    folder = tmp_path_factory.mktemp("stumpwm")
    (folder / "script.lisp").write_text(text, encoding="utf-8")
    done = run([sys.executable, "-m", "monolisp", *arguments], cwd=folder, timeout=600)
    assert done.code == 0, done.err
    verified = run([sys.executable, "-m", "monolisp", "verify", folder / "stumpwm"])
    assert verified.code == 0, verified.out
    return folder / "stumpwm"


MANUAL = """@chapter Windows
!!! fullscreen
@@@ stumpwm:run-shell-command
$$$ *new-window-hook*
"""


@needs_root
def test_its_manual(stumpwm: Path, tmp_path: Path) -> None:
    """Its only option that needs no X server: documentation out of the running program."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "stumpwm.texi.in").write_text(MANUAL, encoding="utf-8")
    done = in_chroot(stumpwm, root, "--generate-manual")
    assert done.code == 0, done.err
    lines = (root / "stumpwm.texi").read_text(encoding="utf-8").splitlines()
    expected = [
        "@chapter Windows",
        "@deffn {Command} fullscreen ",
        "@defun {stumpwm:run-shell-command} cmd &optional collect-output-p",
        "@defvr {Hook} *new-window-hook*",
        "A hook called whenever a window is added to the window list. This",
    ]
    assert [line for line in expected if line not in lines] == []


@needs_root
def test_without_an_x_server(stumpwm: Path, tmp_path: Path) -> None:
    done = in_chroot(stumpwm, tmp_path / "root")
    assert done.code != 0
    assert 'Socket error in "connect": 2 (No such file or directory)' in done.err


# --- with an X server ------------------------------------------------------------------------------------------------

# Read by the window manager: it is to say when it has started, and to end with its first client.
SETTINGS = """
(add-hook *start-hook*
          (lambda ()
            (with-open-file (starts "/starts" :direction :output :if-exists :append :if-does-not-exist :create)
              (write-line "started" starts))))
(add-hook *destroy-window-hook* (lambda (window) (when (search "Tester" (window-title window)) (run-commands "quit"))))
"""


@contextmanager
def running(argv: list[str | Path], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended when the test is, however that ends."""
    with subprocess.Popen(argv, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def display() -> Iterator[str]:
    """The name of a display, 800 by 600."""
    ours, theirs = os.pipe()
    argv = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
    with running(argv, pass_fds=[theirs], stderr=subprocess.DEVNULL):
        os.close(theirs)
        with os.fdopen(ours) as file:
            number = file.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"


@pytest.fixture
def root(stumpwm: Path, display: str) -> Iterator[Path]:
    """A directory with the program, its settings and the socket of the X server, which lies in /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        root = Path(name)
        (root / "tmp" / ".X11-unix").mkdir(parents=True)
        socket = Path("tmp", ".X11-unix", f"X{display[1:]}")
        (root / socket).hardlink_to("/" / socket)
        (root / ".stumpwmrc").write_text(SETTINGS, encoding="utf-8")
        shutil.copy2(stumpwm, root / "program")
        yield root


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@needs_root
def test_it_manages_windows(root: Path, display: str) -> None:
    """A client is given the whole screen; SIGHUP makes StumpWM start itself again; it quits when told to."""

    def window(argument: str) -> str:
        """The window that a property of the root window, or of another, names."""
        found = re.search(r"window id # (0x[0-9a-f]+)", run(["xprop", "-display", display, *argument.split()]).out)
        return found.group(1) if found else ""

    def starts() -> int:
        return (root / "starts").read_text(encoding="utf-8").count("started") if (root / "starts").exists() else 0

    def tester() -> str:
        return run(["xwininfo", "-display", display, "-name", "Event Tester"]).out

    with running(["chroot", root, "/program"], env={**os.environ, "HOME": "/", "DISPLAY": display}) as manager:
        until(lambda: starts() == 1, "it did not start")
        manager.send_signal(signal.SIGHUP)
        until(lambda: starts() == 2, "it did not start again")
        check = window("-root _NET_SUPPORTING_WM_CHECK")
        name = run(["xprop", "-display", display, "-id", check, "_NET_WM_NAME"]).out
        assert name.split(" = ")[1:] == ['"stumpwm"\n']
        with running(["xev", "-display", display], stdout=subprocess.DEVNULL):
            until(lambda: window("-root _NET_CLIENT_LIST"), "the client's window is not managed")
            until(lambda: "-geometry 800x600+0+0" in tester(), "the client's window was not made larger")
            assert window("-root _NET_CLIENT_LIST") in tester()
        assert manager.wait(30) == 0
