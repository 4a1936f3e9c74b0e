"""Documents of files, beside them and on standard output."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import monolisp.sbom.make as make
from monolisp.cli import main
from monolisp.errors import ForgedProvenance, NoProvenance, OutputIsInput, SbomExtraMissing
from monolisp.options.finished import SBOM_FORMATS
from monolisp.provenance.record import Library, Sbcl
from monolisp.publish import write_beside
from monolisp.sbom.make import COMPRESSION, Format, compression_in, facts_of, sbom_of, write_sbom
from monolisp.store import sha256_file
from monolisp.target import find_target
from monolisp.toolchain.compression import zstd_pin
from monolisp.toolchain.toolchain import toolchain_digest
from tests.unit.elf.making import static_program

from .making import FULL, executable


def test_formats() -> None:
    """Those of the command line are those that there are; importing them takes too long there."""
    assert list(SBOM_FORMATS) == [form.value for form in Format]


@pytest.mark.parametrize(("form", "name"), [(Format.CYCLONEDX, "app.cdx.json"), (Format.SPDX, "app.spdx.json")])
def test_beside_the_executable(tmp_path: Path, form: Format, name: str) -> None:
    path = executable(tmp_path / "app")
    assert write_sbom(path, form) == tmp_path / name
    assert (tmp_path / name).read_bytes() == sbom_of(path, form)
    assert sha256_file(path) in (tmp_path / name).read_text(encoding="utf-8")
    assert {found.name for found in tmp_path.iterdir()} == {"app", name}


def test_no_path_is_in_it(tmp_path: Path) -> None:
    """Elsewhere and under another name the bytes are the same."""
    (tmp_path / "elsewhere").mkdir()
    first, second = executable(tmp_path / "app"), executable(tmp_path / "elsewhere" / "other")
    for form in Format:
        assert sbom_of(first, form) == sbom_of(second, form)
        assert str(tmp_path).encode() not in sbom_of(first, form)


def test_files_that_are_not_what_they_say(tmp_path: Path) -> None:
    path = executable(tmp_path / "app")
    content = bytearray(path.read_bytes())
    content[content.index(b"core", content.index(b"code"))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ForgedProvenance):
        facts_of(path)
    path.write_bytes(static_program())
    with pytest.raises(NoProvenance):
        facts_of(path)


def test_the_executable_is_not_written_over(tmp_path: Path) -> None:
    path = executable(tmp_path / "app")
    with pytest.raises(OutputIsInput):
        write_beside(b"", path, "sbom", path)


@pytest.mark.parametrize("form", Format)
def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Format) -> None:
    library = {"cyclonedx": "cyclonedx", "spdx": "spdx_tools"}[form]
    for name in [name for name in sys.modules if name.startswith(("monolisp.sbom.", f"{library}."))]:
        if name != make.__name__:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SbomExtraMissing) as raised:
        sbom_of(executable(tmp_path / "app"), form)
    assert "monolisp[sbom]" in raised.value.todo_text


class TestCompression:
    @pytest.fixture(autouse=True)
    def compressed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(make, "is_compressed", lambda path: True)

    def test_of_a_toolchain_that_is_known(self, tmp_path: Path) -> None:
        digest = toolchain_digest("2.6.4", find_target("arm64"))
        found = compression_in(replace(FULL, sbcl=Sbcl("2.6.4", toolchain=digest)), tmp_path)
        assert found is not None
        assert (found.name, found.version) == (COMPRESSION, zstd_pin().version)
        assert {archive.sha256 for archive in found.sources} == {place.sha256 for place in zstd_pin().places}

    @pytest.mark.parametrize("version", ["2.6.4", "9.9.9"])
    def test_of_another(self, tmp_path: Path, version: str) -> None:
        found = compression_in(replace(FULL, sbcl=Sbcl(version, toolchain="another")), tmp_path)
        assert found is not None
        assert (found.version, found.sources) == ("", ())

    def test_by_a_library_of_the_program(self, tmp_path: Path) -> None:
        assert compression_in(replace(FULL, libraries=(Library("zstd", "1.5.7"),)), tmp_path) is None


class TestCommand:
    def test_on_standard_output(self, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        path = executable(tmp_path / "app")
        for form in Format:
            assert main(["sbom", str(path), "--format", form]) == 0
            assert capfdbinary.readouterr().out == sbom_of(path, form)

    def test_in_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = executable(tmp_path / "app")
        monkeypatch.chdir(tmp_path)
        assert main(["sbom", "app", "-o", "bom.json"]) == 0
        assert json.loads((tmp_path / "bom.json").read_bytes())["bomFormat"] == "CycloneDX"
        assert path.is_file()

    def test_of_another_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sbom", sys.executable]) == 3
        assert "does not say what it is made of" in capsys.readouterr().err


def test_a_build_does_not_wait_for_it() -> None:
    """None of the libraries is imported by what builds without --sbom import."""
    heavy = ("cyclonedx", "spdx_tools", "packageurl", "license_expression", "beartype")
    for file in ("noted.py", "make.py", "systems.py", "texts.py", "origins.py"):
        text = (Path(make.__file__).parent / file).read_text(encoding="utf-8")
        assert not any(f"\nfrom {name}" in text or f"\nimport {name}" in text for name in heavy)
