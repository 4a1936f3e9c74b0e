"""Archives as they should be, and as an attacker or a bad line would make them."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monolisp.errors import BadArchive, DiskFull, StoreUnusable, ToolMissing, UnsafeArchive
from monolisp.sources.unpack import TIME, unpack

Row = tuple[str, bytes, bytes | str]
FILE, DIRECTORY, SYMLINK, HARD_LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
TREE: Sequence[Row] = [
    ("pkg-1.0/", DIRECTORY, b""),
    ("pkg-1.0/README", FILE, b"read me\n"),
    ("pkg-1.0/src/main.c", FILE, b"int main;\n" * 1000),
    ("pkg-1.0/src/alias.c", SYMLINK, "main.c"),
    ("pkg-1.0/src/up", SYMLINK, "../README"),
    ("pkg-1.0/same", HARD_LINK, "pkg-1.0/README"),
]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def tar_of(rows: Sequence[Row], mode: int = 0o644) -> bytes:
    """A tar archive of (name, type, content or target) rows, written without any check."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, (name, kind, content) in enumerate(rows):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime, info.uid, info.uname = kind, mode, number, 1000 + number, "someone"
            if isinstance(content, str):
                info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zip_of(rows: Sequence[Row], mode: int = 0o644) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, kind, content in rows:
            info = zipfile.ZipInfo(name)
            kinds = {SYMLINK: stat.S_IFLNK, DIRECTORY: stat.S_IFDIR, tarfile.CHRTYPE: stat.S_IFCHR}
            info.external_attr = (kinds.get(kind, stat.S_IFREG) | mode) << 16
            archive.writestr(info, content)
    return stream.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def unpacked(archive: Path, content: bytes) -> Path:
    archive.write_bytes(content)
    unpack(archive, archive.parent / "tree")
    return archive.parent / "tree"


def assert_nothing_left(archive: Path) -> None:
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def tree_of(directory: Path) -> dict[str, tuple[str, int, bytes | str]]:
    """Everything in a tree that could differ: name → type, time, mode and content."""
    found: dict[str, tuple[str, int, bytes | str]] = {}
    for path in sorted([directory, *directory.rglob("*")]):
        status = path.lstat()
        if path.is_symlink():
            content: bytes | str = str(path.readlink())
        else:
            content = path.read_bytes() if path.is_file() else b""
        mode = "link" if path.is_symlink() else oct(status.st_mode)
        found[str(path.relative_to(directory))] = (mode, int(status.st_mtime), content)
    return found


class TestGoodArchives:
    @pytest.mark.parametrize("kind", PACKERS)
    def test_tar(self, archive: Path, kind: str) -> None:
        tree = unpacked(archive, PACKERS[kind](tar_of(TREE)))
        assert (tree / "README").read_bytes() == b"read me\n", "the top-level directory is stripped"
        assert (tree / "src" / "alias.c").resolve() == tree / "src" / "main.c"
        assert (tree / "src" / "up").read_bytes() == (tree / "same").read_bytes() == b"read me\n"
        assert not list(archive.parent.glob("*.unpacking"))

    def test_zip(self, archive: Path) -> None:
        tree = unpacked(archive, zip_of([row for row in TREE if row[1] != HARD_LINK]))
        assert (tree / "src" / "alias.c").read_bytes() == b"int main;\n" * 1000

    def test_the_file_name_does_not_decide(self, tmp_path: Path) -> None:
        assert unpacked(tmp_path / "x.zip", gzip.compress(tar_of(TREE))).is_dir()

    def test_without_a_single_top_directory(self, archive: Path) -> None:
        tree = unpacked(archive, tar_of([("a", FILE, b"1"), ("./b/c", FILE, b"2"), (".", DIRECTORY, b"")]))
        assert sorted(path.name for path in tree.iterdir()) == ["a", "b"]

    def test_a_single_file(self, archive: Path) -> None:
        assert (unpacked(archive, tar_of([("a", FILE, b"1")])) / "a").read_bytes() == b"1"

    def test_the_last_member_of_a_name_counts(self, archive: Path) -> None:
        rows: list[Row] = [("a", SYMLINK, "b"), ("a", FILE, b"1"), ("b", FILE, b"2"), ("b", FILE, b"3")]
        tree = unpacked(archive, tar_of(rows))
        assert (tree / "a").read_bytes() == b"1" and not (tree / "a").is_symlink()
        assert (tree / "b").read_bytes() == b"3"

    def test_modes_and_times_are_the_same_everywhere(self, archive: Path, tmp_path: Path) -> None:
        old = os.umask(0o077)
        try:
            first = tree_of(unpacked(archive, tar_of(TREE, mode=0o777)))
        finally:
            os.umask(old)
        (tmp_path / "other").mkdir()
        second = tree_of(unpacked(tmp_path / "other" / "archive", tar_of(TREE, mode=0o6711)))
        assert first == second
        assert {time for _, time, _ in first.values()} == {TIME}
        assert {mode for mode, _, _ in first.values()} == {"0o40755", "0o100755", "link"}, "setuid is cleared"

    def test_a_sparse_looking_hole_and_long_names(self, archive: Path) -> None:
        name = "/".join(["d" * 100] * 8) + "/" + "ü" * 100
        tree = unpacked(archive, tar_of([("t/" + name, FILE, b"\0" * 10000)]))
        assert (tree / name).stat().st_size == 10000


ESCAPES: list[tuple[str, Sequence[Row]]] = [
    ("absolute name", [("/tmp/evil", FILE, b"x")]),
    ("absolute name behind dots", [("//tmp/evil", FILE, b"x")]),
    ("parent", [("../evil", FILE, b"x")]),
    ("parent in the middle", [("a/../../evil", FILE, b"x")]),
    ("parent that stays inside", [("a/../evil", FILE, b"x")]),
    ("parent directory", [("a/..", DIRECTORY, b"")]),
    ("absolute symlink", [("t/l", SYMLINK, "/etc/passwd")]),
    ("symlink upwards", [("t/l", SYMLINK, "../x"), ("t/a", FILE, b"")]),
    ("symlink to what is stripped", [("t/l", SYMLINK, "../t/a"), ("t/a", FILE, b"")]),
    ("symlink down and up", [("t/l", SYMLINK, "d/../../x"), ("t/d/a", FILE, b"")]),
    ("write through a symlink", [("t/l", SYMLINK, "d"), ("t/l/evil", FILE, b"x")]),
    ("write through a symlink to here", [("t/l", SYMLINK, "."), ("t/l/l2", SYMLINK, ".."), ("t/l/l2/e", FILE, b"x")]),
    ("directory through a symlink", [("t/l", SYMLINK, "d"), ("t/l/d", DIRECTORY, b"")]),
    ("symlink as top directory", [("u", SYMLINK, ".."), ("u/evil", FILE, b"x")]),
    ("device", [("t/null", tarfile.CHRTYPE, b"")]),
]
TAR_ESCAPES: list[tuple[str, Sequence[Row]]] = [
    ("hard link to an absolute name", [("t/l", HARD_LINK, "/etc/passwd")]),
    ("hard link upwards", [("t/l", HARD_LINK, "../../etc/passwd")]),
    ("block device", [("t/sda", tarfile.BLKTYPE, b"")]),
    ("pipe", [("t/pipe", tarfile.FIFOTYPE, b"")]),
    ("unknown kind", [("t/x", b"Z", b"")]),
]


class TestAttacks:
    @pytest.mark.parametrize(
        "rows", [rows for _, rows in ESCAPES + TAR_ESCAPES], ids=[n for n, _ in ESCAPES + TAR_ESCAPES]
    )
    def test_tar(self, archive: Path, rows: Sequence[Row]) -> None:
        with pytest.raises(UnsafeArchive) as raised:
            unpacked(archive, gzip.compress(tar_of([("t/good", FILE, b"good"), *rows])))
        assert str(archive) in raised.value.what_text
        assert raised.value.fields["member"] in [row[0] for row in rows]
        assert_nothing_left(archive)

    @pytest.mark.parametrize("rows", [rows for _, rows in ESCAPES], ids=[n for n, _ in ESCAPES])
    def test_zip(self, archive: Path, rows: Sequence[Row]) -> None:
        with pytest.raises(UnsafeArchive):
            unpacked(archive, zip_of([("t/good", FILE, b"good"), *rows]))
        assert_nothing_left(archive)

    def test_a_hard_link_to_a_symlink_stays_a_symlink(self, archive: Path) -> None:
        rows: list[Row] = [("t/d/l", SYMLINK, "../a"), ("t/d/h", HARD_LINK, "t/d/l"), ("t/a", FILE, b"1")]
        tree = unpacked(archive, tar_of(rows))
        assert (tree / "d" / "h").readlink() == Path("../a")
        with pytest.raises(UnsafeArchive):
            unpacked(archive.with_name("second"), tar_of([*rows, ("t/h", HARD_LINK, "t/d/l")]))


BAD: list[tuple[str, bytes]] = [
    ("empty file", b""),
    ("no archive", b"<html>404</html>" * 100),
    ("zeros", bytes(10240)),
    ("gzip of no tar", gzip.compress(b"hello")),
    ("hard link to nothing", tar_of([("t/l", HARD_LINK, "t/x")])),
    ("symlink to nothing", tar_of([("t/l", SYMLINK, ""), ("t/a", FILE, b"")])),
    ("file and directory", tar_of([("t/a", FILE, b""), ("t/a/b", FILE, b"")])),
    ("directory and file", tar_of([("t/a/b", FILE, b""), ("t/a", FILE, b"")])),
    ("directory and symlink", tar_of([("t/a/b", FILE, b""), ("t/a", SYMLINK, "c")])),
    ("name too long", tar_of([("t/" + "x" * 300, FILE, b"")])),
    ("no end", tar_of(TREE)[:-10240].rstrip(b"\0")),
    ("damaged header in the middle", tar_of(TREE).replace(b"main.c\0", b"mAin.c\0", 1)),
    ("damaged gzip checksum", gzip.compress(tar_of(TREE))[:-8] + b"\0" * 8),
    ("damaged zip content", zip_of(TREE[:3]).replace(b"read me", b"READ me")),
    ("zip without directory", zip_of(TREE[:3])[:-30]),
]


class TestDamage:
    @pytest.mark.parametrize("content", [content for _, content in BAD], ids=[name for name, _ in BAD])
    def test_bad(self, archive: Path, content: bytes) -> None:
        with pytest.raises(BadArchive) as raised:
            unpacked(archive, content)
        assert raised.value.why_text
        assert ".unpacking" not in str(raised.value)
        assert_nothing_left(archive)

    @pytest.mark.parametrize("kind", PACKERS)
    @pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.95])
    def test_truncated(self, archive: Path, kind: str, part: float) -> None:
        content = PACKERS[kind](tar_of(TREE))
        end = int(len(content.rstrip(b"\0")) * part)
        with pytest.raises(BadArchive):
            unpacked(archive, content[:end])
        assert_nothing_left(archive)

    def test_a_compression_that_this_python_lacks(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def lacking(*arguments: object, **options: object) -> None:
            raise tarfile.CompressionError("lzma module is not available")

        monkeypatch.setattr(tarfile, "open", lacking)
        with pytest.raises(ToolMissing, match=r"module for \.xz archives"):
            unpacked(archive, lzma.compress(b""))

    @pytest.mark.parametrize(
        ("number", "expected"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EROFS, StoreUnusable)]
    )
    def test_the_disks_faults(
        self, archive: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
    ) -> None:
        def fail(*arguments: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("monolisp.sources.unpack.shutil.copyfileobj", fail)
        with pytest.raises(expected):
            unpacked(archive, tar_of(TREE))
        assert_nothing_left(archive)


SEEDS = [gzip.compress(tar_of(TREE), mtime=0), tar_of(TREE), zip_of(TREE[:5]), tar_of(ESCAPES[10][1])]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_in_an_archive_nothing_leaves_the_directory(data: st.DataObject) -> None:
    """Changed bytes anywhere: the tree, or an error (a kind of archive that this Python cannot read is a missing tool);
    and the directory around it stays as it was."""
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(1, 3))] = data.draw(st.binary(max_size=4))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive"
        archive.write_bytes(content)
        try:
            unpack(archive, Path(folder) / "tree")
        except (BadArchive, UnsafeArchive, ToolMissing):
            assert_nothing_left(archive)
        else:
            tree = Path(folder) / "tree"
            assert sorted(path.name for path in Path(folder).iterdir()) == ["archive", "tree"]
            assert all(path.resolve().is_relative_to(tree.resolve()) for path in tree.rglob("*"))
