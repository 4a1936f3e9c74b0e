"""A server that behaves as badly as the path of a request says."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

BODY = bytes(range(256)) * 8192


class Handler(BaseHTTPRequestHandler):
    """The path says how to behave. `asked` are the paths of all requests."""

    asked: ClassVar[list[str]] = []
    over = threading.Event()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("http://"):
            self.path = "/right"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, "serve_" + self.path.strip("/").split("/")[0])()

    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments

    def _head(self, length: int | None, code: int = 200, header: tuple[str, str] | None = None) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if header is not None:
            self.send_header(*header)
        self.end_headers()

    def serve_right(self) -> None:
        self._head(len(BODY))
        self.wfile.write(BODY)

    def serve_truncated(self) -> None:
        self._head(len(BODY))
        self.wfile.write(BODY[:1000])

    def serve_cut(self) -> None:
        self._head(None)
        self.wfile.write(BODY[:1000])

    def serve_chunked(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self._head(None, header=("Transfer-Encoding", "chunked"))
        self.wfile.write(b"400\r\n" + BODY[:0x400] + b"\r\n400\r\n" + BODY[:7])
        self.close_connection = True

    def serve_wrong(self) -> None:
        self._head(len(BODY))
        self.wfile.write(BODY[:-1] + b"X")

    def serve_short(self) -> None:
        self._head(9)
        self.wfile.write(b"not found")

    def serve_endless(self) -> None:
        self._head(None)
        while not self.over.is_set():
            self.wfile.write(BODY)

    def serve_missing(self) -> None:
        self.send_error(404)

    def serve_silent(self) -> None:
        self.over.wait(20)

    def serve_stalled(self) -> None:
        self._head(len(BODY))
        self.wfile.write(BODY[:1000])
        self.over.wait(20)

    def serve_dripping(self) -> None:
        self._head(len(BODY))
        for place in range(0, len(BODY), 1000):
            if self.over.wait(0.1):
                return
            self.wfile.write(BODY[place : place + 1000])

    def serve_moved(self) -> None:
        self._head(0, 302, ("Location", "/right"))

    def serve_circle(self) -> None:
        self._head(0, 302, ("Location", "/circle"))

    def serve_elsewhere(self) -> None:
        self._head(0, 302, ("Location", "ftp://127.0.0.1/right"))

    def serve_local(self) -> None:
        self._head(0, 302, ("Location", "file:///etc/passwd"))
