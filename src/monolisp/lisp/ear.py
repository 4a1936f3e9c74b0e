"""Hearing what the Lisp side tells while it works."""

from __future__ import annotations

import fcntl
import os
import termios
import threading
import time
from array import array
from collections.abc import Callable
from contextlib import suppress

from monolisp.lisp.events import Event, parse_event
from monolisp.progress import Progress


class Ear:
    """Hears the events of one run: a pipe, and a thread that reads it until the other side is closed."""

    def __init__(self, progress: Progress, compiling: Callable[[], object] = lambda: None) -> None:
        """`compiling` is called when the first file is to be compiled."""
        self.events: list[Event] = []
        self._compiling = compiling
        self._progress = progress
        self._reading, self.writing = os.pipe()
        self._thread: threading.Thread | None = None

    def listen(self) -> None:
        """The child has its copy of the writing end: let go of ours and hear."""
        os.close(self.writing)
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        with os.fdopen(self._reading, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                event = parse_event(line)
                if event is None:
                    continue
                self.events.append(event)
                if event.name == "compiling":
                    self._compiling()
                if event.name == "file":
                    self._progress.note(f"loading {event.text('file')}")

    def where(self) -> tuple[str, str]:
        """System and file being loaded now, as the events read so far say."""
        for _ in range(100):
            if not self._unread():
                break
            time.sleep(0.001)
        event = self.last("file")
        return (event.text("system"), event.text("file")) if event else ("", "")

    def _unread(self) -> int:
        """Bytes that Lisp has written and this thread has not read."""
        room = array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self._reading, termios.FIONREAD, room)
        return room[0]

    def last(self, name: str) -> Event | None:
        return next((event for event in reversed(self.events) if event.name == name), None)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join(timeout=5)
        else:
            os.close(self.writing)
            os.close(self._reading)
