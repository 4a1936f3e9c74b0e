"""SHA256SUMS; sha256sum itself is asked in tests/integration/test_trust.py."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp.errors import BadChecksums, OutputUnwritable
from monolisp.store import sha256_file
from monolisp.trust.checksums import FILE, checksums_text, parse_checksums, write_checksums

DIGEST = "ab" * 32


def test_entries_of_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"# by hand\n{DIGEST} *z\n{DIGEST}  app\n")
    (tmp_path / "app").write_bytes(b"content")
    (tmp_path / "b").write_bytes(b"")
    assert write_checksums([tmp_path / "b", tmp_path / "app"]) == [tmp_path / FILE]
    names = ["app", "b"]
    lines = [f"{sha256_file(tmp_path / name)}  {name}\n" for name in names]
    assert (tmp_path / FILE).read_text() == "".join([*lines, f"{DIGEST}  z\n"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "app", "b"]


def test_one_list_for_each_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    paths = [tmp_path / "a", tmp_path / "sub" / "b"]
    for path in paths:
        path.write_bytes(b"")
    assert write_checksums(paths) == [tmp_path / FILE, tmp_path / "sub" / FILE]
    assert (tmp_path / "sub" / FILE).read_text().endswith("  b\n")


def test_what_is_right_already_is_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    write_checksums([tmp_path / "a"])
    before = (tmp_path / FILE).stat().st_ino
    write_checksums([tmp_path / "a"])
    assert (tmp_path / FILE).stat().st_ino == before


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    paths = [tmp_path / f"app-{number}" for number in range(20)]
    for path in paths:
        path.write_bytes(path.name.encode())
    threads = [threading.Thread(target=write_checksums, args=([path],)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = parse_checksums((tmp_path / FILE).read_bytes(), FILE)
    assert found == {path.name.encode(): sha256_file(path) for path in paths}


@pytest.mark.parametrize(
    "line",
    ["nonsense", f"{DIGEST} a", f"{DIGEST[:-1]}  a", f"{DIGEST}  ", f"{DIGEST.upper()}  a", f"SHA256 (a) = {DIGEST}"],
)
def test_another_list_is_left_alone(line: str, tmp_path: Path) -> None:
    text = f"{DIGEST}  a\n{line}\n"
    (tmp_path / FILE).write_text(text)
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(BadChecksums, match=FILE) as caught:
        write_checksums([tmp_path / "b"])
    assert "line 2" in caught.value.why_text
    assert (tmp_path / FILE).read_text() == text


def test_a_list_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(OutputUnwritable):
        write_checksums([tmp_path / "b"])


NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: b"\0" not in name) | st.sampled_from([b"\\n", b"a\n\\\r"])


@given(st.dictionaries(NAMES, st.binary(min_size=32, max_size=32).map(bytes.hex)))
def test_there_and_back(entries: dict[bytes, str]) -> None:
    text = checksums_text(entries)
    assert parse_checksums(text, FILE) == entries
    assert checksums_text(parse_checksums(text, FILE)) == text


def test_as_sha256sum_writes_it() -> None:
    """Lines that GNU coreutils 9.1 printed for files of these names and contents."""
    sums = {
        b"b c": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
        b"a\\\nd": "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3",
    }
    assert checksums_text(sums) == (
        b"\\53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3  a\\\\\\nd\n"
        b"4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865  b c\n"
    )
