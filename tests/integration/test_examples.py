"""Real programs, built as a user builds them, compared with what others say of the same input."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import string
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import EXAMPLES, in_chroot, needs_root, run

Example = Callable[[str], Path]


@needs_root
def test_hello_in_an_empty_chroot(example: Example, tmp_path: Path) -> None:
    program = example("hello")
    ldd = run(["ldd", program])
    assert "not a dynamic executable" in ldd.out + ldd.err
    done = in_chroot(program, tmp_path / "root")
    assert (done.code, done.out, done.err) == (0, "Hello from a static executable.\n", "")


def test_wc_agrees_with_coreutils(example: Example, tmp_path: Path) -> None:
    generator = random.Random(7)
    letters = string.ascii_letters + string.digits + string.punctuation
    words = ["".join(generator.choices(letters, k=generator.randrange(1, 12))).encode() for _ in range(5000)]
    blanks = [b" ", b"\n", b"\t", b" \r\n", b""]
    text = b"".join(generator.choice(words) + generator.choice(blanks) for _ in range(2_000_000))
    (tmp_path / "big").write_bytes(text)
    ours = run([example("wc")], stdin=text)
    theirs = run(["wc"], stdin=text, LC_ALL="C")
    assert ours.out.split() == theirs.out.split()
    assert len(text) > 10_000_000


def test_json_pretty(example: Example) -> None:
    value = {"name": "Łódź", "list": [1, 2.5, {"deep": [True, False, None]}], "empty": []}
    done = run([example("json-pretty")], stdin=json.dumps(value, ensure_ascii=False).encode())
    assert done.code == 0, done.err
    assert json.loads(done.out) == value
    assert "\n" in done.out.strip()


def test_json_pretty_fails_as_uiop_programs_do(example: Example) -> None:
    assert run([example("json-pretty")], stdin=b"[1, 2").code == 1


@needs_root
@pytest.mark.slow
def test_checksum_agrees_with_sha256sum(example: Example, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    big = root / "big"
    big.write_bytes(random.Random(1).randbytes(100_000_000))
    theirs = run(["sha256sum", "big"], cwd=root)
    ours = in_chroot(example("checksum"), root, "big")
    assert ours.out == theirs.out, ours.err
    assert hashlib.sha256(big.read_bytes()).hexdigest() in ours.out


@pytest.mark.slow
def test_parallel(example: Example) -> None:
    assert run([example("parallel"), "200000"]).out == "17984\n"


@needs_root
def test_evaluator_compiles_at_run_time(example: Example, tmp_path: Path) -> None:
    forms = b"(defun twice (x) (* 2 x)) (twice 21)"
    forms += b"(defclass a () ((b :initarg :b))) (slot-value (make-instance 'a :b 3) 'b)"
    done = in_chroot(example("evaluator"), tmp_path / "root", stdin=forms)
    assert done.out.split("\n")[:2] == ["TWICE", "42"], done.err
    assert done.out.rstrip().endswith("3")


@pytest.mark.slow
def test_log_report(example: Example) -> None:
    log = (EXAMPLES / "log-report" / "access.log").read_bytes()
    assert run([example("log-report")], stdin=log).out == "2023-10-10 2\n2023-10-11 1\n"


@pytest.mark.slow
def test_web_server_under_load(example: Example) -> None:
    """Four clients at once, 400 requests, every answer right; then SIGTERM ends it with 143."""
    server = subprocess.Popen([example("web")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().decode().split()[-1]
        wrong: list[str] = []

        def client(first: int) -> None:
            for number in range(first, first + 100):
                with urllib.request.urlopen(f"{address}square?n={number}", timeout=20) as answer:
                    if answer.read() != f"{number * number}\n".encode():
                        wrong.append(str(number))

        clients = [threading.Thread(target=client, args=(start * 1000,)) for start in range(4)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert not wrong
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 143
    finally:
        server.kill()
        server.communicate()
