"""Readers of what others may have written, fed with mutated files: only errors of errors.py may come out, in time.

    make fuzz                                100,000 inputs; the result goes to docs/fuzzing.md
    python tests/fuzz.py COUNT [SEED]        as many as you like, printed only

Hypothesis draws the mutations and shrinks what fails; a few hundred run with the unit tests (tests/unit/test_fuzz.py).
"""

from __future__ import annotations

import faulthandler
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from monolisp.errors import MonolispError

ROOT = Path(__file__).parents[1]
# Seconds for one input: deriving a key from a password may rightly take a few.
DEADLINE = 20
# Bytes of address space: a reader that asks for more has believed a number in the file.
MEMORY = 4 << 30


class TooSlow(BaseException):
    """An input took longer than DEADLINE. No Exception: nothing that is under test may swallow it."""


# --- mutations -----------------------------------------------------------------------------------------------------

_NUMBERS = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32]
_NUMBERS += [(1 << 63) - 1, 1 << 63, (1 << 64) - 1]
_EDITS = (*["set"] * 4, *["number"] * 4, "delete", "repeat", "insert", "cut")


@st.composite
def mutated_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after a few edits, anywhere."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        edit = draw(st.sampled_from(_EDITS))
        if edit == "set":
            content[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif edit == "number":
            size = draw(st.sampled_from([2, 4, 8]))
            number = draw(st.sampled_from(_NUMBERS)) & ((1 << 8 * size) - 1)
            place -= place % size
            content[place : place + size] = number.to_bytes(size, draw(st.sampled_from(["little", "big"])))
        elif edit == "delete":
            del content[place : place + draw(st.integers(1, 64))]
        elif edit == "repeat":
            content[place:place] = content[place : place + draw(st.integers(1, 64))] * draw(st.integers(1, 3))
        elif edit == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            del content[place:]
    return bytes(content)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("\x1b[0m")
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner), max_leaves=5
)


@st.composite
def mutated_json(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with other values in places of its tree, or else as bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(mutated_bytes(seeds))
    told = json.loads(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        inner, key = draw(st.sampled_from(list(_places(told)) or [({"": told}, "")]))
        if draw(st.booleans()):
            inner[key] = draw(_VALUES)
        else:
            del inner[key]
    return json.dumps(told).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree: what it is in, and its key there."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


# --- what is fed ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """What reads a file; it gets `share` of a hundred inputs; `act` is given an input and a place for it."""

    name: str
    share: int
    seeds: Callable[[], Sequence[bytes]]
    act: Callable[[bytes, Path], None]
    mutated: Callable[[Sequence[bytes]], st.SearchStrategy[bytes]] = mutated_bytes


@cache
def record() -> bytes:
    from monolisp.provenance.record import encode
    from tests.unit.provenance.test_record import FULL

    return encode(FULL)


def with_note(note: bytes) -> bytes:
    from monolisp.provenance.note import SECTION
    from tests.unit.elf.making import LOAD, R, Sec, Seg, X, make_elf

    sections = [Sec(".text", data=b"code"), Sec("lisp.core", data=b"core" * 8), Sec(SECTION, data=note)]
    return make_elf([Seg(LOAD, R | X, b"code", 0x400000)], sections)


def executables() -> list[bytes]:
    """One whose seal is right, and others."""
    from monolisp.provenance.note import SECTION, sealing
    from tests.unit.elf.making import FORMS, Sec, static_program

    note = b"MONOLISP" + bytes(32) + record()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sealed")
        path.write_bytes(with_note(note))
        with sealing(path):
            pass
        sealed = path.read_bytes()
    return [sealed, *(static_program(form, sections=[Sec(SECTION, data=note)]) for form in FORMS)]


def read_executable(content: bytes, place: Path) -> None:
    from monolisp.provenance.note import inspect
    from monolisp.provenance.record import as_json
    from monolisp.provenance.show import as_table
    from monolisp.provenance.statement import statement

    place.write_bytes(content)
    found = inspect(place)
    as_table("app", found).encode("utf-8", "surrogatepass")
    json.dumps(as_json(found.provenance))
    statement("app", "ab" * 32, found.provenance)


def read_record(content: bytes, place: Path) -> None:
    read_executable(with_note(b"MONOLISP" + bytes(32) + content), place)


def programs() -> list[bytes]:
    from tests.unit.elf.making import FORMS, dynamic_program, static_program

    return [make(form) for form in FORMS for make in (static_program, dynamic_program)]


def judge_program(content: bytes, place: Path) -> None:
    from monolisp.elf import verify
    from monolisp.elf.report import as_table

    place.write_bytes(content)
    as_table(verify(place, run=False))


def cores() -> list[bytes]:
    from tests.unit.elf.making import Sec, make_elf
    from tests.unit.lisp.making import Name, make_core

    core = make_core([Name("malloc"), Name("environ", data=True), Name("free")])
    trailer = len(b"program").to_bytes(8, "little") + core[:8]
    inside = make_elf(sections=[Sec("lisp.core", data=core)])
    return [core, make_core([], options=True), inside, b"program" + core + trailer]


def read_core(content: bytes, place: Path) -> None:
    from monolisp.lisp.corefile import build_id_of, core_span, is_compressed, linkage_of, tells_linkage

    place.write_bytes(content)
    for read in (build_id_of, core_span, is_compressed, tells_linkage):
        with suppress(MonolispError):
            read(place)
    linkage_of(place)


@dataclass(frozen=True)
class Keys:
    """A pair, and the secret key once more, encrypted at little cost."""

    secret: bytes
    encrypted: bytes
    public: str


@cache
def keys() -> Keys:
    from monolisp.trust.keys import minisign

    pair = minisign().KeyPair.generate()
    secret, public = bytes(pair.secret_key), str(pair.public_key.to_base64(), "ascii")
    pair.secret_key.encrypt("password", opslimit=32768, memlimit=1 << 24)
    return Keys(secret, bytes(pair.secret_key), public)


def key_files() -> list[bytes]:
    pair = keys()
    return [pair.secret, pair.encrypted, b"untrusted comment: a key\n" + pair.public.encode()]


def read_key(content: bytes, place: Path) -> None:
    from monolisp.trust.keys import key_id, parse_public, parse_secret, read_public

    place.write_bytes(content)
    with suppress(MonolispError):
        key_id(parse_public(content, "key"))
    with suppress(MonolispError):
        read_public(content.decode("utf-8", "replace"))
    parse_secret(content, "key", lambda: "password").sign(b"", trusted_comment="")


def signatures() -> list[bytes]:
    from monolisp.trust.keys import parse_secret

    secret = parse_secret(keys().secret, "key", None)
    return [bytes(secret.sign(b"content", prehash=hashed, trusted_comment="file:a")) for hashed in (True, False)]


def read_signature(content: bytes, place: Path) -> None:
    """A signature that was changed is good no more, except in what nobody signed: its comment and its line ends."""
    from monolisp.trust.signature import verify_file

    signature = place.with_suffix(".minisig")
    signature.write_bytes(content)
    place.write_bytes(b"content")
    verify_file(place, signature, keys().public)
    good = [one.splitlines()[1:] for one in signatures()]
    assert content.splitlines()[1:] in good, "a forged signature was taken for good"


def envelopes() -> list[bytes]:
    from monolisp.provenance.statement import statement
    from monolisp.trust.envelope import in_envelope
    from monolisp.trust.keys import parse_secret
    from tests.unit.provenance.test_record import FULL

    told = statement("app", "ab" * 32, FULL)
    return [in_envelope(told, parse_secret(keys().secret, "key", None)), told]


def read_envelope(content: bytes, place: Path) -> None:
    from monolisp.trust.envelope import out_of_envelope, parse_statement

    del place
    with suppress(MonolispError):
        parse_statement(content, "statement")
    told = out_of_envelope(content, keys().public, "envelope")
    assert told == envelopes()[1], "a forged statement was taken for good"


def checksums() -> list[bytes]:
    from monolisp.trust.checksums import checksums_text

    return [checksums_text({b"app": "ab" * 32, b"a\\b\nc": "cd" * 32, "ü".encode(): "ef" * 32}), b"# a comment\n"]


def read_checksums(content: bytes, place: Path) -> None:
    from monolisp.trust.checksums import checksums_text, parse_checksums

    del place
    found = parse_checksums(content, "SHA256SUMS")
    assert parse_checksums(checksums_text(found), "again") == found


def statuses() -> list[bytes]:
    key = "E2" * 20
    lines = ["NEWSIG", f"KEY_CONSIDERED {key} 0", "GOODSIG E2E2E2E2E2E2E2E2 Somebody <a@example.org>"]
    lines += [f"VALIDSIG {key} 2026-01-01 1 0 4 0 22 10 00 {key}", "BADSIG E2 x", f"ERRSIG E2 22 10 00 1 9 {key}"]
    return ["".join(f"[GNUPG:] {line}\n" for line in lines).encode()]


def read_status(content: bytes, place: Path) -> None:
    from monolisp.trust.gpg import signatures_in, status_lines

    del place
    for verdict in signatures_in(status_lines(content.decode("utf-8", "replace"))):
        str(verdict)


READERS = (
    Reader("executables", 30, executables, read_executable),
    Reader("provenance records", 20, lambda: [record()], read_record, mutated_json),
    Reader("ELF files, judged", 10, programs, judge_program),
    Reader("cores", 15, cores, read_core),
    Reader("keys", 5, key_files, read_key),
    Reader("signatures", 6, signatures, read_signature),
    Reader("attestations", 7, envelopes, read_envelope, mutated_json),
    Reader("SHA256SUMS", 4, checksums, read_checksums),
    Reader("what gpg says", 3, statuses, read_status),
)


# --- feeding -------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of a reader's inputs: how many, how many were refused with which error, the slowest one's seconds."""

    count: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooSlow in whatever takes longer; what hangs in C ends the process, with a traceback."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def feed(reader: Reader, count: int, number: int, place: Path) -> Tally:
    """Give a reader `count` inputs, drawn from the seed `number`; raises what it should not have raised."""
    tally, seeds = Tally(), reader.seeds()

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(reader.mutated(seeds))
    def one(content: bytes) -> None:
        tally.count += 1
        begin = time.perf_counter()
        with within(DEADLINE):
            try:
                reader.act(content, place)
            except MonolispError as error:
                str(error)
                tally.refused[error.name] = tally.refused.get(error.name, 0) + 1
        tally.slowest = max(tally.slowest, time.perf_counter() - begin)

    one()
    return tally


def main() -> None:
    count = int(sys.argv[1])
    keep = Path(sys.argv[2]) if len(sys.argv) > 2 and not sys.argv[2].isdigit() else None
    number = int(sys.argv[2]) if len(sys.argv) > 2 and keep is None else int(time.time())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    begin = time.monotonic()
    print(f"seed {number}", flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="monolisp-fuzz-") as folder:
        for reader in READERS:
            tally = feed(reader, count * reader.share // 100, number, Path(folder, "input"))
            refused = ", ".join(f"{name} {times:,}" for name, times in sorted(tally.refused.items()))
            rows.append((tally, f"| {reader.name} | {tally.count:,} | {refused or '–'} | {tally.slowest:.3f} s |"))
            print(rows[-1][1], flush=True)
    if keep is not None:
        keep.write_text(report(rows, number, time.monotonic() - begin), encoding="utf-8")


PREFACE = f"""\
Files that others wrote, or changed, are read: executables, cores, keys, signatures, attestations, checksums. Each
reader is given files that are right but for a few edits: bytes, numbers at the limits of their types, pieces that are
missing, repeated or moved, other values in JSON. It may refuse them with an error of [errors.md](errors.md), and
nothing else: no traceback, no more than {MEMORY >> 30} GiB of memory or {DEADLINE} seconds. A signature or attestation
that was changed must not be taken for good."""


def report(rows: Sequence[tuple[Tally, str]], number: int, taken: float) -> str:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=ROOT)
    dirty = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True, cwd=ROOT)
    total = sum(tally.count for tally, _ in rows)
    lines = [
        "# Fuzzing",
        "",
        *PREFACE.splitlines(),
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- commit: {commit.stdout.strip()}{' and changes on top' if dirty.stdout.strip() else ''}",
        f"- inputs: {total:,}, with Hypothesis {version('hypothesis')}, seed {number}, in {taken / 60:.1f} minutes",
        "- failures: none",
        "",
        "| reader | inputs | refused with | slowest |",
        "| --- | --- | --- | --- |",
        *(row for _, row in rows),
        "",
        "Written by `make fuzz`. A few hundred inputs for each reader are part of `make test`.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
