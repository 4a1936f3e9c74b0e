"""The desk: where a build asks for what it lacks in C.

Lisp's loader asks for libraries, the C compiler that grovelers start asks for headers, and pkg-config for packages.
The questions come over a socket, one line each, and so do the answers: see linkage/desk.c and cc.py. Most programs ask
for nothing, so what supplies the answers is only imported when there is a question.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import MonolispError, TemporaryUnusable
from monolisp.process import Together
from monolisp.store import remove_tree
from monolisp.toolchain.machine import Machine
from monolisp.toolchain.toolchain import Toolchain

if TYPE_CHECKING:
    from monolisp.libraries.supplier import Supplier
    from monolisp.libraries.supply import Foreign
    from monolisp.libraries.wishes import Wishes


class Desk:
    """Open during one run of the build runtime; `where` tells (system, file) being loaded when something is asked."""

    def __init__(self, wishes: Wishes, toolchain: Toolchain, machine: Machine) -> None:
        self._wishes = wishes
        self._toolchain = toolchain
        self._together = Together(machine.runner)
        self._machine = replace(machine, runner=self._together)
        self._folder = _private_folder(machine.environ.get("TMPDIR") or "/tmp")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.where: Callable[[], tuple[str, str]] = lambda: ("", "")
        self.failure: Exception | None = None

    @cached_property
    def supplier(self) -> Supplier:
        from monolisp.libraries.supplier import Supplier

        return Supplier(self._wishes, self._toolchain, self._machine, lambda: self.where())

    @property
    def address(self) -> Path:
        return self._folder / "desk"

    def __enter__(self) -> Desk:
        try:
            self._socket.bind(str(self.address))
        except OSError as error:
            remove_tree(self._folder)
            raise TemporaryUnusable(path=self.address, reason=error.strerror or error) from error
        self._socket.listen()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if kind is not None:
            self._together.stop()
        self._thread.join(timeout=5)
        remove_tree(self._folder)

    def prepare(self, recipes: Sequence[str]) -> None:
        """Have what is known beforehand: built side by side, and its headers in reach. Raises what building raises."""
        if recipes or self._wishes.recipes:
            self.supplier.prepare(recipes)

    def foreign(self, exports: Sequence[str], looked_up: Sequence[str]) -> Foreign:
        """What the program turned out to need."""
        return self.supplier.foreign(exports, looked_up)

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._socket.accept()
            except OSError:
                return
            with guest, suppress(OSError):
                what, _, name = guest.makefile(encoding="utf-8", errors="surrogateescape").readline().partition("\t")
                guest.sendall(os.fsencode(self._answer(what, name.rstrip("\n")) + "\n"))

    def _answer(self, what: str, name: str) -> str:
        try:
            return self.supplier.answer(what, name)
        except MonolispError as error:
            self.failure = self.failure or error
            return "-" + error.what_text.replace("\n", " ")
        except Exception as error:
            # Whoever asks is waiting: answer first; the build fails with this when Lisp has ended.
            self.failure = self.failure or error
            return "-monolisp itself failed"


def _private_folder(parent: str) -> Path:
    """A new directory that only we may enter, not in the store: the path of a socket has at most 107 bytes. Raises
    TemporaryUnusable."""
    folder = (
        Path(parent if len(os.fsencode(parent)) <= 60 else "/tmp") / f"monolisp-{os.getpid()}-{time.monotonic_ns()}"
    )
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise TemporaryUnusable(path=folder, reason=error.strerror or error) from error
    return folder
