"""The store and remote stores as their users meet them: the real command, a real S3 server, faults over HTTP."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monolisp.remote.pack import pack
from monolisp.remote.record import Record, record_text
from monolisp.remote.tier import archive_name, record_name
from monolisp.store import sha256_file
from monolisp.trust.keys import new_pair
from monolisp.trust.signature import sign_content

from .conftest import Ended, Monolisp, run

PROGRAM = '(defun main () (write-line "hello"))'
BUCKET = "monolisp-test"


@pytest.fixture(scope="module")
def first_warm(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with just what hello needs; not to be written to."""
    folder = tmp_path_factory.mktemp("first")
    store = folder / "warm"
    place = store / "toolchains" / toolchain.name
    place.parent.mkdir(parents=True)
    shutil.copytree(toolchain, place, symlinks=True)
    (folder / "hello.lisp").write_text(PROGRAM, encoding="utf-8")
    argv = [sys.executable, "-m", "monolisp", "build", "hello.lisp"]
    done = run([*argv], cwd=folder, MONOLISP_STORE=str(store))
    assert done.code == 0, done.err
    return store


@pytest.fixture
def warm(first_warm: Path, tmp_path: Path) -> Path:
    """A store of the test's own with just what hello needs, and hello.lisp."""
    shutil.copytree(first_warm.parent, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "warm"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str]:
    secret = tmp_path / "secret.key"
    return secret, new_pair(secret)


Pushed = Callable[[str], Ended]


@pytest.fixture
def push(warm: Path, keys: tuple[Path, str], monolisp: Monolisp) -> Pushed:
    def to(url: str, **env: str) -> Ended:
        store = {"MONOLISP_STORE": str(warm), **env}
        return monolisp("store", "push", "--remote", url, "--sign-key", keys[0], env=store)

    return to


class Elsewhere:
    """A machine that has nothing: an empty store, no network but the remote store, no SBCL."""

    def __init__(self, monolisp: Monolisp, folder: Path, key: str) -> None:
        self._monolisp, self._folder, self._key = monolisp, folder, key
        folder.mkdir()
        tools = folder / "tools"
        tools.mkdir()
        for name in ("sh", "make"):
            found = shutil.which(name)
            assert found is not None
            (tools / name).symlink_to(found)
        (folder / "hello.lisp").write_text(PROGRAM, encoding="utf-8")

    def build(self, url: str, *options: str, **env: str) -> Ended:
        text = f'[store]\nremote = ["{url}"]\nkeys = ["{self._key}"]\n'
        (self._folder / "monolisp.toml").write_text(text, encoding="utf-8")
        # apt, and a proxy that is not there: nothing can be built.
        nothing = {"PATH": str(self._folder / "tools"), "https_proxy": "http://127.0.0.1:9"}
        where = {"MONOLISP_STORE": str(self._folder / "store")}
        return self._monolisp("build", "hello.lisp", *options, cwd=self._folder, env=nothing | where | env)

    def runs(self) -> bool:
        return run([self._folder / "hello"]).out == "hello\n"


@pytest.fixture
def elsewhere(monolisp: Monolisp, keys: tuple[Path, str], tmp_path: Path) -> Elsewhere:
    return Elsewhere(monolisp, tmp_path / "elsewhere", keys[1])


# --- looking after it -----------------------------------------------------------------------------------------------


def test_info_verify_prune(warm: Path, monolisp: Monolisp) -> None:
    env = {"MONOLISP_STORE": str(warm)}
    told = monolisp("store", "info", "--json", env=env).json()
    assert {kind["name"] for kind in told["kinds"]} >= {"toolchains", "drivers", "programs"}
    assert "toolchains" in monolisp("store", "info", env=env).out
    assert "0 damaged" in monolisp("store", "verify", env=env).out

    (core,) = warm.glob("toolchains/*/sbcl.core")
    with core.open("r+b") as stream:
        stream.seek(1 << 20)
        stream.write(b"damage")
    done = monolisp("store", "verify", "--json", env=env)
    assert done.code == 1
    assert [row["faults"] for row in done.json()["damaged"]] == [["sbcl.core was changed"]]
    assert not list(warm.glob("toolchains/*"))

    done = monolisp("store", "prune", "--keep", "0", env=env)
    assert done.code == 0
    assert "removed drivers/" in done.out
    assert not list(warm.glob("drivers/*"))
    assert monolisp("store", "prune", "--keep", "ten", env=env).code == 2


def test_a_damaged_entry_is_made_again(warm: Path, monolisp: Monolisp) -> None:
    (driver,) = warm.glob("drivers/*/driver.fasl")
    os.truncate(driver, 100)
    done = monolisp("build", "hello.lisp", "--always", env={"MONOLISP_STORE": str(warm)})
    assert done.code == 0, done.err
    assert "is damaged (driver.fasl is not as it was made); it is made again" in done.err


def test_export_and_import(warm: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = monolisp("store", "export", name, "drivers/", "programs/", env={"MONOLISP_STORE": str(warm)})
        assert done.code == 0, done.err
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    other = {"MONOLISP_STORE": str(tmp_path / "other")}
    assert monolisp("store", "import", "one", env=other).out == "2 entries imported\n"
    assert monolisp("store", "import", "one", env=other).out == "0 entries imported\n"
    assert "0 damaged" in monolisp("store", "verify", env=other).out


def test_a_damaged_export_is_refused(warm: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    monolisp("store", "export", "file", "programs/", env={"MONOLISP_STORE": str(warm)})
    content = bytearray((tmp_path / "file").read_bytes())
    content[2000] ^= 1
    (tmp_path / "file").write_bytes(content)
    other = {"MONOLISP_STORE": str(tmp_path / "other")}
    done = monolisp("store", "import", "file", env=other)
    assert done.code == 3
    assert "cannot be imported" in done.err
    assert not list((tmp_path / "other").glob("programs/*"))
    assert monolisp("store", "export", "file", "programs/zz", env={"MONOLISP_STORE": str(warm)}).code == 2


def test_a_shared_store_is_only_read(warm: Path, monolisp: Monolisp, tmp_path: Path) -> None:
    before = sorted(warm.rglob("*"))
    subprocess.run(["chmod", "-R", "a-w", warm], check=True)
    try:
        env = {"MONOLISP_SHARED_STORE": str(warm), "MONOLISP_STORE": str(tmp_path / "own")}
        done = monolisp("build", "hello.lisp", "-o", "again", env=env)
    finally:
        subprocess.run(["chmod", "-R", "u+w", warm], check=True)
    assert done.code == 0, done.err
    assert run([tmp_path / "again"]).out == "hello\n"
    assert sorted(warm.rglob("*")) == before
    assert not list((tmp_path / "own").glob("toolchains/*"))


# --- remote stores --------------------------------------------------------------------------------------------------


def test_from_a_warm_remote_store_to_a_running_hello(
    push: Pushed, elsewhere: Elsewhere, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The figure that is asked for: under 15 s."""
    url = f"file://{tmp_path}/share"
    assert push(url).code == 0
    begin = time.monotonic()
    done = elsewhere.build(url)
    assert done.code == 0, done.err
    assert elsewhere.runs()
    seconds = time.monotonic() - begin
    record_property("seconds", seconds)
    assert seconds < 15
    assert "0 entries pushed" in push(url).out


def test_keys_are_needed(monolisp: Monolisp, tmp_path: Path) -> None:
    (tmp_path / "hello.lisp").write_text(PROGRAM, encoding="utf-8")
    url = f"file://{tmp_path}/share"
    assert "without a key to trust" in monolisp("build", "hello.lisp", "--remote", url).err
    assert "--push needs a key" in monolisp("build", "hello.lisp", "--remote", url, "--push").err
    assert "no remote store" in monolisp("store", "push", "--sign-key", "x").err
    text = f'[store]\nremote = ["{url}"]\nkeys = ["RWno"]\n'
    (tmp_path / "monolisp.toml").write_text(text, encoding="utf-8")
    assert "the key RWno cannot be used" in monolisp("build", "hello.lisp").err


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real S3 server, moto's, on loopback; yields the address of a bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    told = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in (told | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(BUCKET)
        yield f"s3://{BUCKET}/prefix"
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_s3(s3: str, push: Pushed, elsewhere: Elsewhere) -> None:
    done = push(s3)
    assert done.code == 0, done.err
    done = elsewhere.build(s3)
    assert done.code == 0, done.err
    assert elsewhere.runs()


# What a server may do wrong, by the name of the fault.
Fault = Callable[[http.server.BaseHTTPRequestHandler, bytes], bytes | None]
FAULTS: dict[str, Fault] = {
    "lies": lambda _, content: bytes(reversed(content)),
    "truncates": lambda _, content: content[: len(content) // 2],
    "stalls": lambda *_: time.sleep(30) or None,  # type: ignore[func-returns-value]
    "disappears": lambda handler, _: handler.connection.close(),  # type: ignore[func-returns-value]
}


class Server(http.server.ThreadingHTTPServer):
    """Files of a directory over HTTP; what `fault` makes of those whose path holds `where`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fault, self.where = folder, None, ""
        super().__init__(("127.0.0.1", 0), Handler)

    fault: Fault | None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that a test closed is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content: bytes | None = path.read_bytes()
        if self.server.fault is not None and self.server.where in self.path:
            content = self.server.fault(self, path.read_bytes())
            if content is None:
                return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(push: Pushed, tmp_path: Path) -> Iterator[Server]:
    """A warm remote store over HTTP."""
    assert push(f"file://{tmp_path}/share").code == 0
    with Server(tmp_path / "share") as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.mark.slow
def test_http(server: Server, elsewhere: Elsewhere) -> None:
    done = elsewhere.build(server.url)
    assert done.code == 0, done.err
    assert elsewhere.runs()


def local(elsewhere: Elsewhere, toolchain: Path, url: str) -> Ended:
    """Build where the toolchain is, and all else must be made: what the remote store gives is of no use."""
    place = elsewhere._folder / "store" / "toolchains" / toolchain.name
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        shutil.copytree(toolchain, place, symlinks=True)
    return elsewhere.build(url, PATH=os.environ["PATH"])


@pytest.mark.slow
@pytest.mark.parametrize("where", ["index", "archives"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_remote_that_does_wrong_costs_a_warning(
    fault: str, where: str, server: Server, elsewhere: Elsewhere, toolchain: Path
) -> None:
    server.fault, server.where = FAULTS[fault], where
    begin = time.monotonic()
    done = local(elsewhere, toolchain, server.url)
    assert done.code == 0, done.err
    assert done.err.count("warning: the remote store") == 1, done.err
    assert elsewhere.runs()
    # One answer that is waited for, not one for each entry.
    assert time.monotonic() - begin < 40


@pytest.mark.slow
def test_a_remote_that_is_gone(elsewhere: Elsewhere, toolchain: Path) -> None:
    done = local(elsewhere, toolchain, "http://127.0.0.1:9")
    assert done.code == 0, done.err
    assert done.err.count("warning: the remote store http://127.0.0.1:9 is not used any more") == 1
    assert elsewhere.runs()


def forge(share: Path, kind: str, digest: str, entry: Path, key: Path, about: str | None = None) -> None:
    """Put another content under the name of an entry; `about` is what the record says that it is about."""
    archive = share / "new"
    unpacked = pack(entry, archive)
    record = Record(kind, about or digest, sha256_file(archive), archive.stat().st_size, unpacked)
    place = share / archive_name(record.archive)
    place.parent.mkdir(parents=True, exist_ok=True)
    archive.rename(place)
    text = record_text(record, sign_content(record.content, key))
    (share / record_name(kind, digest)).write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "whose", ["a stranger's key", "another entry's record", "files that the manifest does not know"]
)
def test_what_is_forged_is_not_used(
    whose: str,
    server: Server,
    elsewhere: Elsewhere,
    toolchain: Path,
    warm: Path,
    keys: tuple[Path, str],
    tmp_path: Path,
) -> None:
    (program,) = warm.glob("programs/*")
    evil = Path(shutil.copytree(program, tmp_path / "evil"))
    key = keys[0]
    if whose.startswith("a stranger"):
        key = tmp_path / "stranger.key"
        new_pair(key)
    if whose.startswith("files"):
        (evil / "program").write_bytes(b"\x7fELF evil")
    about = "0" * 32 if whose.startswith("another") else None
    forge(server.folder, "programs", program.name, evil, key, about)
    done = local(elsewhere, toolchain, server.url)
    assert done.code == 0, done.err
    assert done.err.count("warning: the remote store") == 1, done.err
    assert elsewhere.runs()


@pytest.mark.slow
def test_an_interrupted_push_leaves_nothing_to_take(
    warm: Path, keys: tuple[Path, str], elsewhere: Elsewhere, toolchain: Path, tmp_path: Path
) -> None:
    share = tmp_path / "share"
    argv = [sys.executable, "-m", "monolisp", "store", "push", "--remote", f"file://{share}", "--sign-key", keys[0]]
    child = subprocess.Popen(
        [*map(str, argv)], env={**os.environ, "MONOLISP_STORE": str(warm)}, stderr=subprocess.DEVNULL
    )
    while not list(share.glob("archives/*/*")):
        assert child.poll() is None
        time.sleep(0.001)
    child.kill()
    child.wait()
    names = {json.loads(json.loads(path.read_text())["record"])["archive"] for path in share.glob("index/*/*.json")}
    assert names <= {path.name.partition(".")[0] for path in share.glob("archives/*/*.tar.zst")}
    done = local(elsewhere, toolchain, f"file://{share}")
    assert (done.code, "warning" in done.err) == (0, False), done.err
