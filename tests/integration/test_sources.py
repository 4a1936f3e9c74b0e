"""Sources and the host Lisp for real: a server that misbehaves, Debian's archive, a killed process, a full disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest

from monolisp.errors import (
    DiskFull,
    NoHostLisp,
    SourceOffline,
    SourceUnavailable,
    Truncated,
    WrongChecksum,
)
from monolisp.process import Command, run
from monolisp.progress import Silent
from monolisp.sources.debian import Apt, fetch_source
from monolisp.sources.download import Patience, download
from monolisp.sources.fetch import FetchOptions, obtain
from monolisp.sources.pin import DebianPlace, Pin, Place, PlaceFailed, UpstreamPlace, parse_pin
from monolisp.sources.unpack import unpack
from monolisp.store import Store
from monolisp.toolchain.doctor import examine, render
from monolisp.toolchain.host import find_host_lisp, lisp_names

from .bad_server import BODY, Handler

SHA = hashlib.sha256(BODY).hexdigest()
IMPATIENT = Patience(silence=1.0, slowest=1 << 20)
SBCL = parse_pin(
    tomllib.loads(files("monolisp.toolchain").joinpath("sbcl/2.6.4.toml").read_text())["source"], "sbcl/2.6.4.toml"
)
LMDB = DebianPlace(
    "lmdb",
    "0.9.31-1",
    "trixie",
    "lmdb_0.9.31.orig.tar.gz",
    "d35d4f6f46313d62fd342c9dcbf574432919ce5e802d2b6cbe2ebd549821e5c4",
    145086,
)


# --- downloads -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on loopback: its address without a final slash."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.asked, Handler.over = [], threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        Handler.over.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").prepare()


def pin_of(*places: Place) -> Pin:
    return Pin("thing", "1.0", "MIT", places)


def place_at(url: str) -> UpstreamPlace:
    return UpstreamPlace(url, "thing.tar", SHA, len(BODY))


def get(store: Store, *urls: str, patience: Patience = IMPATIENT) -> Path:
    pin = pin_of(*map(place_at, urls))
    return obtain(pin, store, FetchOptions(), run, Silent(), partial(download, patience=patience))


def holds_nothing(store: Store) -> bool:
    return not [path for folder in ("sources", "building") for path in (store.root / folder).glob("*")]


@pytest.mark.parametrize("path", ["right", "moved"])
def test_a_right_file(server: str, store: Store, path: str) -> None:
    found = get(store, f"{server}/{path}")
    assert found.read_bytes() == BODY
    assert {item.name for item in found.parent.iterdir()} == {"thing.tar", ".manifest"}
    asked = len(Handler.asked)
    assert get(store, f"{server}/{path}") == found
    assert len(Handler.asked) == asked, "the second time it comes from the store"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("truncated", f"1000 of {len(BODY)} bytes arrived"),
        ("cut", f"1000 of {len(BODY)} bytes arrived"),
        ("chunked", f"of {len(BODY)} bytes arrived"),
        ("silent", "no answer within 1 seconds"),
        ("stalled", "no answer within 1 seconds after 1000 bytes"),
        ("dripping", "too slow: "),
        ("circle", "HTTP 302"),
        ("elsewhere", "unknown url type: ftp"),
        ("local", "HTTP 302"),
    ],
)
def test_a_place_that_fails(server: str, store: Store, path: str, reason: str) -> None:
    begin = time.monotonic()
    with pytest.raises(SourceUnavailable) as raised:
        get(store, f"{server}/{path}")
    assert f"{server}/{path}: " in raised.value.why_text
    assert reason in raised.value.why_text
    assert time.monotonic() - begin < 8
    assert holds_nothing(store)


@pytest.mark.parametrize("path", ["wrong", "short", "endless"])
def test_wrong_bytes(server: str, store: Store, path: str) -> None:
    with pytest.raises(WrongChecksum) as raised:
        get(store, f"{server}/{path}")
    assert f"{server}/{path}" in raised.value.what_text
    assert holds_nothing(store)
    assert get(store, f"{server}/{path}", f"{server}/right").read_bytes() == BODY


def test_truncation_has_an_error_of_its_own(server: str, tmp_path: Path) -> None:
    with pytest.raises(Truncated):
        download(place_at(f"{server}/truncated"), tmp_path, Silent())


def test_nobody_listens(store: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    with pytest.raises(SourceUnavailable) as raised:
        get(store, address)
    assert "Connection refused" in raised.value.why_text


def test_a_server_that_speaks_no_tls(server: str, store: Store) -> None:
    with pytest.raises(SourceUnavailable) as raised:
        get(store, server.replace("http:", "https:") + "/right")
    assert "SSL" in raised.value.why_text.upper()


def test_every_place_in_its_order(server: str, store: Store) -> None:
    found = get(store, f"{server}/missing", f"{server}/truncated", f"{server}/wrong", f"{server}/right")
    assert found.read_bytes() == BODY
    assert Handler.asked == ["/missing", "/truncated", "/wrong", "/right"]


def test_through_a_proxy(server: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setenv("no_proxy", "")
    assert get(store, "http://upstream.invalid/thing.tar").read_bytes() == BODY
    assert Handler.asked == ["http://upstream.invalid/thing.tar"]


CHILD = """
import sys
from pathlib import Path
from monolisp.process import run
from monolisp.progress import Silent
from monolisp.sources.fetch import FetchOptions, obtain
from monolisp.sources.pin import Pin, UpstreamPlace
from monolisp.store import Store

url, sha, size, root = sys.argv[1:]
pin = Pin("thing", "1.0", "MIT", (UpstreamPlace(url, "thing.tar", sha, int(size)),))
print(obtain(pin, Store(Path(root)).prepare(), FetchOptions(), run, Silent()))
"""


def child(url: str, store: Store) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", CHILD, url, SHA, str(len(BODY)), str(store.root)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE)


def test_killed_in_the_middle(server: str, store: Store) -> None:
    process = child(f"{server}/dripping", store)
    limit = time.monotonic() + 20
    while not (partial_files := list(store.root.rglob("*.part"))) or partial_files[0].stat().st_size == 0:
        assert time.monotonic() < limit and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((store.root / "sources").glob("*")), "what it had so far is no source"
    assert get(store, f"{server}/right").read_bytes() == BODY
    assert not list((store.root / "building").glob("*"))


def test_two_at_once_fetch_it_once(server: str, store: Store) -> None:
    processes = [child(f"{server}/right", store) for _ in range(3)]
    outputs = {process.communicate(timeout=30)[0] for process in processes}
    assert len(outputs) == 1
    assert Handler.asked == ["/right"]


# --- a full disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("waits for root: mounting a small file system needs it")
    disk = tmp_path / "disk"
    disk.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"waits for a machine that lets root mount a tmpfs: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_download_on_a_full_disk(server: str, small_disk: Path) -> None:
    store = Store(small_disk / "store").prepare()
    with pytest.raises(DiskFull) as raised:
        get(store, f"{server}/right", f"{server}/missing")
    assert str(small_disk) in raised.value.what_text
    assert Handler.asked == ["/right"], "another place cannot help"
    assert holds_nothing(store)


def test_unpacking_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(BODY)
    archive = shutil.make_archive(str(tmp_path / "big"), "gztar", tmp_path, "big")
    with pytest.raises(DiskFull):
        unpack(Path(archive), small_disk / "tree")
    assert list(small_disk.iterdir()) == []


# --- Debian's archive ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where apt knows no Debian archive, or it does not answer."""
    try:
        fetch_source(LMDB, tmp_path_factory.mktemp("debian"), run, os.environ)
    except PlaceFailed as error:
        pytest.skip(f"waits for Debian's archive through apt: {error.reason}")


@pytest.mark.usefixtures("debian")
class TestDebian:
    def test_the_pinned_version(self, store: Store) -> None:
        before = apts_own()
        found = obtain(pin_of(LMDB), store, FetchOptions(), run, Silent())
        assert hashlib.sha256(found.read_bytes()).hexdigest() == LMDB.sha256
        assert {path.name for path in found.parent.iterdir()} == {LMDB.file, ".manifest"}, "no lists of apt are kept"
        assert apts_own() == before, "the machine's own apt is as it was"

    def test_a_revision_that_has_left_the_suite(self, store: Store) -> None:
        found = obtain(pin_of(replace(LMDB, version="0.9.31-0.999")), store, FetchOptions(), run, Silent())
        assert found.name == LMDB.file

    def test_other_bytes_than_the_pinned_ones(self, store: Store) -> None:
        with pytest.raises(WrongChecksum) as raised:
            obtain(pin_of(replace(LMDB, sha256="0" * 64)), store, FetchOptions(), run, Silent())
        assert "Debian source package lmdb" in raised.value.what_text
        assert LMDB.sha256 in raised.value.why_text
        assert holds_nothing(store)

    @pytest.mark.parametrize(
        ("place", "reason"),
        [
            (replace(LMDB, package="no-such-package-here"), "Unable to find a source package"),
            (replace(LMDB, suite="no-such-suite"), "does not have a Release file"),
            (replace(LMDB, version="0.1-1", file="lmdb_0.1.orig.tar.gz"), "the suite now has lmdb_0.9.31.orig.tar.gz"),
        ],
    )
    def test_what_apt_cannot_give(self, store: Store, place: DebianPlace, reason: str) -> None:
        with pytest.raises(SourceUnavailable) as raised:
            obtain(pin_of(place), store, FetchOptions(), run, Silent())
        assert reason in raised.value.why_text
        assert holds_nothing(store)

    def test_before_the_machines_first_update(self, tmp_path: Path) -> None:
        """A fresh container has no lists at all, so apt cannot say what is Debian's."""

        def without_lists(command: Command, started: Callable[[int], None] | None = None) -> object:
            argv = list(command.argv)
            if "indextargets" in argv:
                argv[1:1] = ["-o", f"Dir::State::Lists={tmp_path}"]
            return run(replace(command, argv=argv), started)

        (tmp_path / "apt").mkdir()
        fresh = Apt(tmp_path / "apt", without_lists, os.environ).archives()  # type: ignore[arg-type]
        assert fresh == Apt(tmp_path / "apt", run, os.environ).archives()

    @pytest.mark.skipif(os.geteuid() != 0, reason="waits for root: becoming another user needs it")
    def test_without_being_root(self, tmp_path: Path) -> None:
        tmp_path = Path("/tmp") / f"monolisp-test-{os.getpid()}"
        tmp_path.mkdir()
        os.chown(tmp_path, 65534, 65534)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                fetch_source(LMDB, tmp_path, run, os.environ)
                code = 0 if (tmp_path / LMDB.file).is_file() else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        shutil.rmtree(tmp_path)
        assert os.waitstatus_to_exitcode(status) == 0

    @pytest.mark.slow
    def test_on_a_full_disk(self, small_disk: Path) -> None:
        store = Store(small_disk / "store").prepare()
        with pytest.raises(DiskFull):
            obtain(pin_of(LMDB), store, FetchOptions(), run, Silent())

    def test_the_pinned_sbcl(self, store: Store, tmp_path: Path) -> None:
        pin = replace(SBCL, places=tuple(place for place in SBCL.places if isinstance(place, DebianPlace)))
        archive = obtain(pin, store, FetchOptions(), run, Silent())
        with pytest.raises(SourceOffline):
            obtain(SBCL, Store(tmp_path / "other").prepare(), FetchOptions(offline=True), run, Silent())
        given = FetchOptions(offline=True, source_dir=archive.parent)
        assert obtain(SBCL, Store(tmp_path / "third").prepare(), given, run, Silent()).name == archive.name
        unpack(archive, tmp_path / "sbcl")
        assert (tmp_path / "sbcl" / "make.sh").stat().st_mode & 0o777 == 0o755
        assert "2.6.4" in (tmp_path / "sbcl" / "NEWS").read_text()[:200]

    @pytest.mark.slow
    def test_a_host_lisp_where_none_is_installed(self, store: Store, path_without_lisp: str) -> None:
        options = FetchOptions(environ={"PATH": path_without_lisp})
        lisp = find_host_lisp(store, options, run, path_without_lisp)
        assert lisp.kind == "sbcl" and lisp.parallel and len(lisp.sha256) == 64
        form = b"(print (funcall (compile nil (quote (lambda (x) (* x x)))) 12)) (print sb-ext:*core-pathname*)"
        done = run(Command(lisp.argv, {"PATH": path_without_lisp}, stdin=form))
        assert "144" in done.text
        assert str(store.root) in done.text, "it runs its own core, not one of the machine's"
        again = find_host_lisp(store, replace(options, offline=True), run, path_without_lisp)
        assert again == lisp


def apts_own() -> list[tuple[str, int]]:
    folders = [Path("/var/lib/apt"), Path("/var/lib/apt/lists"), Path("/var/cache/apt")]
    return [(str(folder), folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()]


# --- the host Lisp and the machine ---------------------------------------------------------------------------------


@pytest.fixture
def path_without_lisp(tmp_path: Path) -> str:
    """A PATH with everything that this machine has but Lisps."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for directory in map(Path, os.environ["PATH"].split(":")):
        for program in directory.iterdir() if directory.is_dir() else []:
            if program.name not in lisp_names() and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


def test_no_host_lisp_offline(store: Store, path_without_lisp: str) -> None:
    with pytest.raises(NoHostLisp):
        find_host_lisp(store, FetchOptions(offline=True), run, path_without_lisp)


def test_a_host_lisp_on_path(store: Store) -> None:
    if not any(shutil.which(name) for name in lisp_names()):
        pytest.skip("waits for a Lisp on PATH")
    lisp = find_host_lisp(store, FetchOptions(offline=True), run, os.environ["PATH"])
    assert Path(lisp.argv[0]).is_absolute() and lisp.version


def test_the_doctor_agrees_that_tests_can_run_here(store: Store) -> None:
    diagnosis = examine(store, os.environ)
    assert diagnosis.ok, render(diagnosis)
    nowhere = examine(store, {"PATH": str(store.root)})
    assert not nowhere.ok
    assert "make" in render(nowhere)
