from __future__ import annotations

import hashlib
import os
import stat
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monolisp.errors import OutputIsInput, OutputUnwritable
from monolisp.oci import Compression, Contents, write_archive

from .making import AARCH64, Opened, full, opened, program

EPOCH = 1_700_000_000


@pytest.fixture
def two(tmp_path: Path) -> list[Contents]:
    one = full(tmp_path)
    return [one, replace(one, executable=program(tmp_path, AARCH64, "other"), platform="linux/arm64")]


class TestTheSameBytes:
    @pytest.mark.parametrize("compression", Compression)
    def test_built_twice(self, two: list[Contents], tmp_path: Path, compression: Compression) -> None:
        first = write_archive(two, tmp_path / "a.tar", EPOCH, "1.0", compression)
        for path in tmp_path.rglob("*"):
            if not path.is_symlink():
                os.utime(path, (1, 1))
        two[0].executable.chmod(0o700)
        (tmp_path / "zones" / "UTC").chmod(0o600)
        assert write_archive(two, tmp_path / "b.tar", EPOCH, "1.0", compression) == first
        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()

    def test_the_name_of_the_file_does_not_count(self, two: list[Contents], tmp_path: Path) -> None:
        """gzip would keep it."""
        (tmp_path / "deeper").mkdir()
        write_archive(two, tmp_path / "a.tar", EPOCH, "1.0")
        write_archive(two, tmp_path / "deeper" / "other.tar", EPOCH, "1.0")
        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "deeper" / "other.tar").read_bytes()

    def test_the_order_of_labels_does_not_count(self, tmp_path: Path) -> None:
        one = replace(full(tmp_path), labels={"a": "1", "b": "2"}, annotations={"c": "3", "d": "4"})
        other = replace(one, labels={"b": "2", "a": "1"}, annotations={"d": "4", "c": "3"})
        digests = {write_archive([image], tmp_path / "a.tar", EPOCH, "1.0") for image in (one, other)}
        assert len(digests) == 1

    def test_no_time_and_no_name_in_gzip_s_header(self, tmp_path: Path) -> None:
        """Two archives of the same second would not tell. Source: RFC 1952, 2.3."""
        write_archive([full(tmp_path)], tmp_path / "a.tar", EPOCH, "1.0")
        image = opened(tmp_path / "a.tar")
        for layer in layers(image):
            assert image.blob(layer)[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"

    def test_what_counts(self, tmp_path: Path) -> None:
        one = full(tmp_path)
        others = [
            replace(one, name="other"),
            replace(one, tmp=False),
            replace(one, user=None),
            replace(one, certificates=None),
            replace(one, labels={}),
            replace(one, annotations={}),
        ]
        digests = [write_archive([image], tmp_path / "a.tar", EPOCH, "1.0") for image in [one, *others]]
        digests.append(write_archive([one], tmp_path / "a.tar", EPOCH + 1, "1.0"))
        assert len(set(digests)) == len(others) + 2

    def test_compression_does_not_change_what_is_run(self, tmp_path: Path) -> None:
        """The image's identity is the digest of its configuration, which names the plain tars."""
        found = []
        for compression in Compression:
            write_archive([full(tmp_path)], tmp_path / "a.tar", EPOCH, "1.0", compression)
            image = opened(tmp_path / "a.tar")
            found.append(image.document(image.top)["config"]["digest"])
        assert found[0] == found[1]


class TestLayout:
    def test_every_blob_is_what_its_name_says(self, two: list[Contents], tmp_path: Path) -> None:
        write_archive(two, tmp_path / "a.tar", EPOCH, "1.0")
        blobs = {name: content for name, content in opened(tmp_path / "a.tar").files.items() if "/" in name}
        assert len(blobs) == 1 + 2 + 2 + 3
        for name, content in blobs.items():
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    def test_says_what_it_is(self, tmp_path: Path) -> None:
        digest = write_archive([full(tmp_path)], tmp_path / "a.tar", EPOCH, "hello:1.0")
        image = opened(tmp_path / "a.tar")
        assert image.json("oci-layout") == {"imageLayoutVersion": "1.0.0"}
        assert image.top["digest"] == digest
        assert image.top["annotations"] == {"org.opencontainers.image.ref.name": "hello:1.0"}

    def test_two_platforms(self, two: list[Contents], tmp_path: Path) -> None:
        digest = write_archive(two, tmp_path / "a.tar", EPOCH, "1.0")
        image = opened(tmp_path / "a.tar")
        assert (image.top["mediaType"], image.top["digest"]) == ("application/vnd.oci.image.index.v1+json", digest)
        index = image.document(image.top)
        assert [entry["platform"] for entry in index["manifests"]] == [
            {"os": "linux", "architecture": "amd64"},
            {"os": "linux", "architecture": "arm64"},
        ]
        assert index["annotations"] == two[0].annotations
        first, second = (image.document(entry) for entry in index["manifests"])
        assert first["layers"][0] == second["layers"][0]
        assert first["layers"][1] != second["layers"][1]

    def test_a_variant(self, tmp_path: Path) -> None:
        image = Contents(program(tmp_path, 40), "hello", "linux/arm/v7")
        with pytest.raises(Exception, match="linux/arm/v7"):
            write_archive([image], tmp_path / "a.tar", EPOCH, "1.0")
        image = replace(image, platform="linux/mips/hard")
        write_archive([image], tmp_path / "a.tar", EPOCH, "1.0")
        assert opened(tmp_path / "a.tar").top["platform"] == {"os": "linux", "architecture": "mips", "variant": "hard"}


def layers(image: Opened) -> list[dict[str, Any]]:
    return list(image.document(image.top)["layers"])


class TestLayers:
    @pytest.fixture
    def image(self, tmp_path: Path) -> Opened:
        write_archive([full(tmp_path)], tmp_path / "a.tar", EPOCH, "1.0")
        return opened(tmp_path / "a.tar")

    def test_names(self, image: Opened) -> None:
        below, above = map(image.members, layers(image))
        assert list(above) == ["hello"]
        assert list(below) == [
            "etc",
            "etc/group",
            "etc/passwd",
            "etc/ssl",
            "etc/ssl/certs",
            "etc/ssl/certs/ca-certificates.crt",
            "tmp",
            "usr",
            "usr/share",
            "usr/share/zoneinfo",
            "usr/share/zoneinfo/Europe",
            "usr/share/zoneinfo/Europe/Vienna",
            "usr/share/zoneinfo/UTC",
            "usr/share/zoneinfo/Zulu",
            "usr/share/zoneinfo/localtime",
        ]

    def test_everything_is_root_s_and_of_one_time(self, image: Opened) -> None:
        infos = [info for layer in layers(image) for info in image.members(layer).values()]
        assert {(info.uid, info.gid, info.uname, info.gname, info.mtime) for info in infos} == {(0, 0, "", "", EPOCH)}

    def test_modes(self, image: Opened) -> None:
        below, above = map(image.members, layers(image))
        assert above["hello"].mode == 0o755
        assert below["tmp"].mode == 0o1777
        assert below["tmp"].isdir()
        rest = [info for name, info in below.items() if name != "tmp"]
        assert {info.mode for info in rest if info.isdir()} == {0o755}
        assert {info.mode for info in rest if info.isreg()} == {0o644}

    def test_contents(self, image: Opened, tmp_path: Path) -> None:
        below, above = layers(image)
        assert image.content(above, "hello") == (tmp_path / "program").read_bytes()
        assert image.content(below, "usr/share/zoneinfo/Europe/Vienna") == b"TZif2 Vienna"
        assert image.content(below, "etc/passwd") == b"nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
        assert image.content(below, "etc/group") == b"nonroot:x:65532:\n"
        links = {name: info.linkname for name, info in image.members(below).items() if info.issym()}
        assert links == {"usr/share/zoneinfo/Zulu": "UTC", "usr/share/zoneinfo/localtime": "/etc/localtime"}

    def test_configuration(self, image: Opened) -> None:
        config = image.document(image.document(image.top)["config"])
        assert config["config"] == {
            "Entrypoint": ["/hello"],
            "Env": ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "Labels": {"maintainer": "Jürgen"},
            "User": "65532:65532",
            "WorkingDir": "/",
        }
        assert (config["created"], config["os"], config["architecture"]) == ("2023-11-14T22:13:20Z", "linux", "amd64")
        plain = [f"sha256:{hashlib.sha256(image.plain(layer)).hexdigest()}" for layer in layers(image)]
        assert config["rootfs"] == {"type": "layers", "diff_ids": plain}
        assert len(config["history"]) == len(plain)

    def test_nothing_but_the_program(self, tmp_path: Path) -> None:
        write_archive([Contents(program(tmp_path), "hello", "linux/amd64")], tmp_path / "a.tar", 0, "1.0")
        image = opened(tmp_path / "a.tar")
        (layer,) = layers(image)
        assert list(image.members(layer)) == ["hello"]
        config = image.document(image.document(image.top)["config"])
        assert config["config"] == {"Entrypoint": ["/hello"], "WorkingDir": "/"}
        assert config["created"] == "1970-01-01T00:00:00Z"

    def test_a_user_with_a_name(self, tmp_path: Path) -> None:
        write_archive([replace(full(tmp_path), user="daemon")], tmp_path / "a.tar", 0, "1.0")
        image = opened(tmp_path / "a.tar")
        assert image.content(layers(image)[0], "etc/passwd").startswith(b"daemon:x:65532:65532:")
        assert image.document(image.document(image.top)["config"])["config"]["User"] == "65532:65532"

    def test_what_python_keeps_beside_zones_is_left_out(self, tmp_path: Path) -> None:
        contents = full(tmp_path)
        for name in ("zones/__init__.py", "zones/Europe/__init__.py"):
            (tmp_path / name).touch()
        (tmp_path / "zones/__pycache__").mkdir()
        (tmp_path / "zones/__pycache__/x.pyc").touch()
        os.mkfifo(tmp_path / "zones/pipe")
        write_archive([contents], tmp_path / "a.tar", 0, "1.0")
        image = opened(tmp_path / "a.tar")
        assert not [name for name in image.members(layers(image)[0]) if "__" in name or "pipe" in name]


class TestOutput:
    def test_what_was_there_stays_when_it_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.tar").write_text("before", encoding="utf-8")
        contents = full(tmp_path)
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr("monolisp.oci.archive._write_tar", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_archive([contents], tmp_path / "a.tar", 0, "1.0")
        assert (tmp_path / "a.tar").read_text(encoding="utf-8") == "before"
        assert sorted(tmp_path.rglob("*")) == before

    def test_nothing_is_left_beside_it(self, tmp_path: Path) -> None:
        contents = full(tmp_path)
        before = {*tmp_path.rglob("*")}
        write_archive([contents], tmp_path / "a.tar", 0, "1.0")
        assert {*tmp_path.rglob("*")} - before == {tmp_path / "a.tar"}

    def test_where_it_cannot_be(self, tmp_path: Path) -> None:
        contents = full(tmp_path)
        with pytest.raises(OutputIsInput):
            write_archive([contents], contents.executable, 0, "1.0")
        with pytest.raises(OutputUnwritable):
            write_archive([contents], tmp_path / "none" / "a.tar", 0, "1.0")

    def test_is_an_ordinary_file(self, tmp_path: Path) -> None:
        write_archive([full(tmp_path)], tmp_path / "a.tar", 0, "1.0")
        assert stat.S_IMODE((tmp_path / "a.tar").stat().st_mode) & 0o111 == 0


def test_memory_does_not_grow_with_the_program(tmp_path: Path) -> None:
    contents = Contents(program(tmp_path), "hello", "linux/amd64")
    with contents.executable.open("ab") as stream:
        stream.truncate(64 << 20)
    tracemalloc.start()
    try:
        write_archive([contents], tmp_path / "a.tar", 0, "1.0", Compression.NONE)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "a.tar").stat().st_size > 64 << 20
