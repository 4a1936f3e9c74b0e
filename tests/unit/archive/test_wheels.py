"""Installed packages as wheels."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from monolisp.archive import wheels
from monolisp.archive.wheels import needed, write_wheel


def installed(site: Path, files: dict[str, str], tags: str = "Tag: py3-none-any\n", wrong: str = "") -> None:
    """A package called demo, as an installer leaves it."""
    info = "demo-1.0.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\n{tags}",
        f"{info}/INSTALLER": "pip",
        f"{info}/entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
    }
    rows = []
    for name, text in whole.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        found = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f'"{name}",sha256={found},{len(text)}')
        if name == wrong:
            path.write_text(text + "changed")
    (site / info / "RECORD").write_text("\n".join([*rows, f"{info}/RECORD,,"]) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "lib/site-packages"
    monkeypatch.setattr(wheels, "distribution", lambda name: PathDistribution(site / "demo-1.0.dist-info"))
    return site


FILES = {"demo/__init__.py": "x = 1\n", "demo/a,b.txt": "", "../../bin/demo": "#!python", "../../bin/tool": "#!/bin/sh"}


def test_a_wheel(site: Path, tmp_path: Path) -> None:
    installed(site, {**FILES, "demo/__pycache__/__init__.cpython-311.pyc": "compiled"})
    (site / "../../bin/tool").chmod(0o755)
    wheel = write_wheel("demo", tmp_path)
    assert wheel.name == "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        record = archive.read("demo-1.0.dist-info/RECORD").decode()
        assert archive.getinfo("demo-1.0.data/scripts/tool").external_attr >> 16 == 0o100755
    assert {"demo/__init__.py", "demo/a,b.txt", "demo-1.0.data/scripts/tool", "demo-1.0.dist-info/METADATA"} <= {*names}
    assert not [name for name in names if re.search("pycache|INSTALLER|scripts/demo", name)]
    assert names[-1] == "demo-1.0.dist-info/RECORD"
    rows = list(csv.reader(io.StringIO(record)))
    assert [row[0] for row in rows] == names
    (row,) = [row for row in rows if row[0] == "demo/__init__.py"]
    assert row[2] == "6"


def test_the_same_bytes(site: Path, tmp_path: Path) -> None:
    installed(site, FILES)
    first = write_wheel("demo", tmp_path).read_bytes()
    for path in site.rglob("*"):
        path.touch()
    assert write_wheel("demo", tmp_path).read_bytes() == first


def test_one_that_was_changed(site: Path, tmp_path: Path) -> None:
    installed(site, FILES, wrong="demo/__init__.py")
    with pytest.raises(ValueError, match="is not what was installed"):
        write_wheel("demo", tmp_path)


def test_tags_of_several_platforms(site: Path, tmp_path: Path) -> None:
    installed(site, FILES, "Tag: cp311-cp311-manylinux_2_17_x86_64\nTag: cp311-cp311-manylinux2014_x86_64\n\n")
    assert write_wheel("demo", tmp_path).name == "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"


def test_one_that_does_not_say_what_it_is_for(site: Path, tmp_path: Path) -> None:
    installed(site, FILES, "")
    with pytest.raises(ValueError, match="which Python"):
        write_wheel("demo", tmp_path)


def test_one_without_a_list_of_its_files(site: Path, tmp_path: Path) -> None:
    installed(site, FILES)
    (site / "demo-1.0.dist-info/RECORD").unlink()
    with pytest.raises(ValueError, match="no list"):
        write_wheel("demo", tmp_path)


def test_what_monolisp_needs() -> None:
    found = needed()
    assert {"monolisp", "ziglang", "zstandard", "rich", "pygments"} <= set(found)
    assert not {"pytest", "oras", "s3fs", "colorama"} & set(found), "extras are left out"


def test_our_own(tmp_path: Path) -> None:
    """Also where it is installed from a directory that is worked on."""
    wheel = write_wheel("monolisp", tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"monolisp/cli/__init__.py", "monolisp/linkage/dl.c", "monolisp/libraries/recipes/zlib.toml"} <= names
    assert [name for name in names if name.endswith(".data/scripts/monolisp")]
    assert not [name for name in names if name.endswith((".pth", ".pyc"))]
