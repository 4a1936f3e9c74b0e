from __future__ import annotations

from pathlib import Path

import pytest

from monolisp.errors import OciExtraMissing
from monolisp.oci import Extras, images_of, programs, write_archive
from monolisp.target import find_target

from .making import AARCH64, opened, program


def test_one_for_each_target(tmp_path: Path) -> None:
    built = [
        (program(tmp_path), find_target("amd64")),
        (program(tmp_path, AARCH64, "other"), find_target("arm64")),
    ]
    extras = Extras(certificates=True, zones=True, tmp=True, user="app", labels={"a": "b"}, annotations={"c": "d"})
    images = images_of(built, "hello", extras)
    assert [image.platform for image in images] == ["linux/amd64", "linux/arm64"]
    assert {image.name for image in images} == {"hello"}
    write_archive(images, tmp_path / "a.tar", 0, "1.0")
    archive = opened(tmp_path / "a.tar")
    below = archive.document(archive.document(archive.top)["manifests"][0])["layers"][0]
    assert b"BEGIN CERTIFICATE" in archive.content(below, "etc/ssl/certs/ca-certificates.crt")
    assert archive.content(below, "usr/share/zoneinfo/Europe/Vienna").startswith(b"TZif")
    assert not [name for name in archive.members(below) if name.endswith(".py")]


def test_nothing_more(tmp_path: Path) -> None:
    (image,) = images_of([(program(tmp_path), find_target("amd64"))], "hello", Extras())
    assert (image.certificates, image.zoneinfo, image.tmp, image.user) == (None, None, False, None)


def test_zones_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(programs, "import_module", missing)
    with pytest.raises(OciExtraMissing):
        programs.zone_folder()
