"""Real sources and a real server, for tests and for bench/programs.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
REPAIRS = Path(__file__).parents[1] / "programs"
BUILDAPP = {
    "name": "buildapp",
    "version": "1.5.6",
    "licence": "BSD-2-Clause",
    "place": [
        {
            "debian": "buildapp",
            "version": "1.5.6-3",
            "suite": "bookworm",
            "file": "buildapp_1.5.6.orig.tar.gz",
            "sha256": "d77fb6c151605da660b909af058206f7fe7d9faf972e2c30876d42cb03d6a3ed",
            "size": 16352,
        }
    ],
}
PGLOADER = {
    "name": "pgloader",
    "version": "3.6.10",
    "licence": "PostgreSQL",
    "place": [
        {
            "debian": "pgloader",
            "version": "3.6.10-4",
            "suite": "trixie",
            "file": "pgloader_3.6.10.orig.tar.gz",
            "sha256": "1ff25d5cebca58f095ad8eacf5f5a89e8b4b43d78fc307bc00044016095ef46c",
            "size": 3722933,
        }
    ],
}
MAXIMA = {
    "name": "maxima",
    "version": "5.47.0",
    "licence": "GPL-2.0-or-later",
    "place": [
        {
            "debian": "maxima",
            "version": "5.47.0-7",
            "suite": "trixie",
            "file": "maxima_5.47.0.orig.tar.gz",
            "sha256": "9104021b24fd53e8c03a983509cb42e937a925e8c0c85c335d7709a14fd40f7a",
            "size": 47939891,
        }
    ],
}


def source_of(table: Mapping[str, object], folder: Path) -> Path:
    """Unpack a pinned source archive (the keys of [source] in a recipe), and say where it is."""
    from monolisp.process import run as runner
    from monolisp.progress import Silent
    from monolisp.sources.fetch import FetchOptions, obtain
    from monolisp.sources.pin import parse_pin
    from monolisp.sources.unpack import unpack
    from monolisp.store import Store

    root = os.environ.get("MONOLISP_STORE")
    store = Store(Path(root) if root else Path.home() / ".cache" / "monolisp").prepare()
    pin = parse_pin(dict(table), "a test")
    unpack(obtain(pin, store, FetchOptions(environ=dict(os.environ)), runner, Silent()), folder)
    return folder


@contextmanager
def postgres() -> Iterator[Path]:
    """A PostgreSQL with a password and TLS on port 54329; yields the directory of its socket."""
    assert POSTGRES is not None
    # Not pytest's own directory: nobody but its owner may enter that.
    folder = Path(tempfile.mkdtemp(prefix="monolisp-pg-"))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    (folder / "password").write_text("secret\n", encoding="utf-8")
    subject = ["-subj", "/CN=localhost", "-days", "30", "-nodes", "-newkey", "rsa:2048"]
    key = ["-keyout", data / "server.key", "-out", data / "server.crt"]
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres")
        shutil.chown(data, "postgres")
    log = folder / "log"
    init = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--username=lisp", "-D", str(data)]
    subprocess.run([*as_user, POSTGRES / "initdb", *init], check=True, capture_output=True, cwd="/")
    subprocess.run(["openssl", "req", "-x509", *subject, *key], check=True, capture_output=True)
    for path in (data / "server.key", data / "server.crt"):
        path.chmod(0o600)
        if as_user:
            shutil.chown(path, "postgres")
    options = f"-p 54329 -k {folder} -c ssl=on -c listen_addresses=127.0.0.1"
    control = [*as_user, str(POSTGRES / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run([*control, "-l", str(log), "-o", options, "start"], check=True, capture_output=True, cwd="/")
    try:
        yield folder
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
        shutil.rmtree(folder)
