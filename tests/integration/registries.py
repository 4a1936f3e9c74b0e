"""Registries on this machine: Debian's docker-registry, and one that does what Debian's does not."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DOCKER_REGISTRY = shutil.which("docker-registry")
# htpasswd -nbB me secret
ACCOUNT = "me:$2b$05$r9NTJce4CeRNEcWUnM49KeiQz1nFYxt4HziS9Zd9SwzYkYhZLqzGO\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def docker_registry(folder: Path, account: str | None = None, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Debian's registry with its data in `folder`, for one `account` (a line of htpasswd) or for all, with TLS when it
    is given certificate and key; yields HOST:PORT."""
    assert DOCKER_REGISTRY is not None
    port = free_port()
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}", "secret": "test"}
    if tls is not None:
        http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": http,
    }
    if account is not None:
        (folder / "htpasswd").write_text(account, encoding="utf-8")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    # JSON is YAML.
    (folder / "config.yml").write_text(json.dumps(config), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([DOCKER_REGISTRY, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the registry ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the registry does not answer")


@dataclass
class Books:
    """What the other registry has, how it behaves, and what it was asked. `failing` are answers still to be given to
    whoever puts a manifest."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: bool = False
    failing: list[int] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """A registry of OCI 1.1: it knows of subjects, gives relative addresses to upload to, and may want a token, which
    the account me:secret gets."""

    protocol_version = "HTTP/1.1"
    books: Books

    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments

    def _say(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.books.asked.append(f"{self.command} {url.path}")
        if url.path == "/token":
            self._give_token()
        elif self.books.tokens and self.headers.get("Authorization") != "Bearer good":
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="test",scope="repository:a:pull,push"'
            self._say(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}', WWW_Authenticate=realm)
        elif url.path == "/v2/":
            self._say(200)
        elif "/blobs/uploads/" in url.path:
            self._upload(url.path, url.query, body)
        elif "/blobs/" in url.path:
            found = self.books.blobs.get(url.path.rpartition("/")[2])
            self._say(404 if found is None else 200, found or b"")
        else:
            self._manifest(url.path.rpartition("/")[2], body)

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def _give_token(self) -> None:
        told = self.headers.get("Authorization", "").removeprefix("Basic ")
        if base64.b64decode(told) == b"me:secret":
            self._say(200, b'{"token":"good"}')
        else:
            self._say(401)

    def _upload(self, path: str, query: str, body: bytes) -> None:
        if self.command == "POST":
            self._say(202, Location=f"{path}1?state=x")
            return
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        assert query == f"state=x&digest={digest.replace(':', '%3A')}"
        self.books.blobs[digest] = body
        self._say(201)

    def _manifest(self, name: str, body: bytes) -> None:
        if self.command != "PUT":
            found = self.books.manifests.get(name)
            self._say(404 if found is None else 200, found or b"")
        elif self.books.failing:
            self._say(self.books.failing.pop(), b'{"errors":[{"code":"DENIED","message":"not today"}]}')
        else:
            told: Any = json.loads(body)
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.books.manifests |= {name: body, digest: body}
            subject = told.get("subject")
            self._say(201, **({"OCI_Subject": subject["digest"]} if subject else {}))


@contextmanager
def other_registry() -> Iterator[tuple[str, Books]]:
    """Yields HOST:PORT and its books."""
    books = Books()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Ours", (Handler,), {"books": books}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_port}", books
    finally:
        server.shutdown()
        server.server_close()
