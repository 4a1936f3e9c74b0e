"""What is shipped with an executable: parts, duties, texts, and what is missing."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import monolisp.sbom.notices as notices
from monolisp.cli import main
from monolisp.errors import BadArchive
from monolisp.libraries.recipe import Cookbook
from monolisp.lisp.events import Event
from monolisp.process import run
from monolisp.progress import Silent
from monolisp.provenance.gather import tree_hash
from monolisp.provenance.record import Archive, Library, Program, Provenance, Sbcl, System
from monolisp.sbom.duties import RELINK, WHOLE, duties, duties_of
from monolisp.sbom.licences import licence_of
from monolisp.sbom.noted import note_systems
from monolisp.sbom.notices import Notices, notices_of
from monolisp.sbom.origins import pin_of
from monolisp.sbom.systems import Found, find_system, texts_of_system
from monolisp.sbom.texts import IN_COMMENTS, is_licence, texts_in_archive, texts_in_directory, texts_in_package
from monolisp.sources.pin import LocalPlace, UpstreamPlace
from monolisp.store import Store, sha256_file
from monolisp.toolchain.machine import Machine

from .making import FULL, executable

GPL = "Everyone is permitted to copy."


def archive(path: Path, files: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


class TestTexts:
    @pytest.mark.parametrize(
        "name",
        [
            "COPYING",
            "COPYING.LESSERv3",
            "COPYINGv2",
            "LICENSE",
            "LICENCE.md",
            "a/b/Copyright",
            "NOTICE.txt",
            "LICENSES/MIT.txt",
        ],
    )
    def test_names(self, name: str) -> None:
        assert is_licence(name)

    @pytest.mark.parametrize(
        "name", ["README", "license.c", "copyright.h", "COPYING.in", "license.texi", "notices.lisp", "licensed", ""]
    )
    def test_other_names(self, name: str) -> None:
        assert not is_licence(name)

    def test_in_an_archive(self, tmp_path: Path) -> None:
        """Nearest to the top first; what says the same again is left out, and what says nothing."""
        files = {
            "x-1/sub/LICENSE": b"Sub",
            "x-1/COPYING": b"Top\r\nline",
            "x-1/sub/COPYING": b"Top \n line\n",
            "x-1/empty/COPYING": b"",
            "x-1/main.c": b"/* none */",
            "x-1/zlib.h": b"/* not needed */",
        }
        found = texts_in_archive(archive(tmp_path / "x.tar.gz", files))
        assert [(text.name, text.text) for text in found] == [("COPYING", "Top\nline"), ("sub/LICENSE", "Sub")]

    def test_in_a_comment(self, tmp_path: Path) -> None:
        """A library without a file for it; Latin-1 as well."""
        files = {
            f"x/{IN_COMMENTS[0]}": "/*\n** J\u00fcrgen:\n** May you share freely.\n*/\n#if 0 /* no */".encode("latin-1")
        }
        (found,) = texts_in_archive(archive(tmp_path / "x.tar.xz", files, "w:xz"))
        assert found.text == "J\u00fcrgen:\nMay you share freely."

    def test_a_damaged_archive(self, tmp_path: Path) -> None:
        (tmp_path / "x.tar").write_bytes(b"nothing")
        with pytest.raises(BadArchive):
            texts_in_archive(tmp_path / "x.tar")

    def test_in_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "LICENSES").mkdir()
        (tmp_path / "LICENSES" / "MIT.txt").write_text("MIT")
        (tmp_path / "license.lisp").write_text("(no)")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "COPYING").write_text("of another")
        assert [text.name for text in texts_in_directory(tmp_path)] == ["LICENSES/MIT.txt"]

    def test_in_packages(self) -> None:
        """What zig and Python bring: every row of parts.toml has its texts."""
        for name, row in notices.brought().items():
            assert texts_in_package(row["package"], "", row["texts"]), name
        (musl,) = texts_in_package("ziglang", "0.14.1", ["lib/libc/musl/COPYRIGHT"])
        assert "Rich Felker" in musl.text

    @pytest.mark.parametrize(("package", "version"), [("no-such-package", ""), ("ziglang", "0.1.0")])
    def test_in_no_package(self, package: str, version: str) -> None:
        assert texts_in_package(package, version, []) == []


class TestDuties:
    def test_terms_are_spdx(self) -> None:
        """In the form that expressions have, or they would never be found."""
        for term in duties():
            assert licence_of(term).expression == term

    @pytest.mark.parametrize(
        ("declared", "names"),
        [
            ("LGPL-3.0-or-later OR GPL-2.0-or-later", ["GNU LGPL, version 3", "GNU GPL, version 2"]),
            ("LLGPL", ["Lisp LGPL: GNU LGPL, version 2.1, with Franz's preamble"]),
            ("LGPL-3.0-or-later WITH LGPL-3.0-linking-exception", ["GNU LGPL, version 3, with the linking exception"]),
            ("MIT AND ISC", ["MIT, BSD, ISC and the like"]),
            ("Zlib", []),
            ("who knows", []),
        ],
    )
    def test_of_expressions(self, declared: str, names: list[str]) -> None:
        assert [duty.name for duty in duties_of(licence_of(declared).expression)] == names

    def test_relinking(self) -> None:
        """Who has to be able to link again is told how; an exception may lift that."""
        assert duties()["LGPL-2.1-or-later"].served == RELINK
        assert duties()["LGPL-3.0-or-later WITH LGPL-3.0-linking-exception"].served == ""
        assert duties()["GPL-3.0-or-later"].served == WHOLE

    def test_every_recipe_of_the_gnu_kind(self) -> None:
        for recipe in Cookbook().recipes.values():
            if recipe.source and "GPL" in recipe.source.licence:
                assert duties_of(licence_of(recipe.source.licence).expression), recipe.name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").prepare()


def system_at(folder: Path, name: str = "cl-thing", **files: str) -> System:
    """A system of one Lisp file in `folder`, and other files there."""
    folder.mkdir(parents=True)
    for file, text in {f"{name}.asd": "(defsystem)", "thing.lisp": "(thing)", **files}.items():
        (folder / file).write_text(text, encoding="utf-8")
    source = tree_hash(folder / f"{name}.asd", [folder / "thing.lisp"])
    return System(name, "1.0", "MIT", source=source)


def noted(folder: Path, system: System, store: Store) -> None:
    files = [str(folder / f"{system.name}.asd"), str(folder / "thing.lisp")]
    note_systems([Event("sources", {"system": system.name, "files": files})], store)


class TestSystems:
    def test_where_a_build_saw_it(self, tmp_path: Path, store: Store) -> None:
        """With a file more than the definition names, which is no part of it."""
        system = system_at(tmp_path / "a", LICENSE="Mine", **{"other.lisp": "(other)"})
        noted(tmp_path / "a", system, store)
        found = find_system(system, store, (), ())
        assert found == Found(tmp_path / "a" / "cl-thing.asd", True)
        assert [text.text for text in texts_of_system(found)] == ["Mine"]

    def test_that_changed_since(self, tmp_path: Path, store: Store) -> None:
        system = system_at(tmp_path / "a")
        noted(tmp_path / "a", system, store)
        (tmp_path / "a" / "thing.lisp").write_text("(changed)")
        assert find_system(system, store, (), ()) is None

    def test_that_moved(self, tmp_path: Path, store: Store) -> None:
        """A build's note says which files to compare."""
        system = system_at(tmp_path / "a", **{"other.lisp": "(other)"})
        noted(tmp_path / "a", system, store)
        (tmp_path / "named").mkdir()
        (tmp_path / "a").rename(tmp_path / "named" / "b")
        found = find_system(system, store, (tmp_path / "named",), ())
        assert found == Found(tmp_path / "named" / "b" / "cl-thing.asd", True)

    def test_in_usual_places_only_the_same(self, tmp_path: Path, store: Store) -> None:
        system = system_at(tmp_path / "usual" / "a")
        usual = (tmp_path / "usual",)
        assert find_system(system, store, (), usual) == Found(tmp_path / "usual/a/cl-thing.asd", True)
        (tmp_path / "usual" / "a" / "thing.lisp").write_text("(changed)")
        assert find_system(system, store, (), usual) is None

    def test_another_that_was_named(self, tmp_path: Path, store: Store) -> None:
        """The user's word counts, and is told."""
        system = system_at(tmp_path / "a")
        (tmp_path / "a" / "thing.lisp").write_text("(changed)")
        assert find_system(system, store, (tmp_path,), ()) == Found(tmp_path / "a" / "cl-thing.asd", False)

    def test_of_a_git_revision(self, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        system = replace(system_at(tmp_path / "usual" / "a"), source="other", revision="1" * 40)
        monkeypatch.setattr("monolisp.sbom.systems.revision_of", lambda file: "1" * 40)
        assert find_system(system, store, (), (tmp_path / "usual",)) is not None

    def test_parts_of_a_system(self, tmp_path: Path, store: Store) -> None:
        """foo/tests is defined in foo.asd; foo-test.asd below foo.asd has its licence; a stranger above has not."""
        system = replace(system_at(tmp_path / "foo", "foo", COPYING="Foo's"), name="foo/tests")
        assert find_system(system, store, (tmp_path,), ()) == Found(tmp_path / "foo" / "foo.asd", True)
        system_at(tmp_path / "foo" / "test", "foo-test")
        assert [t.text for t in texts_of_system(Found(tmp_path / "foo/test/foo-test.asd", True))] == ["Foo's"]
        system_at(tmp_path / "foo" / "vendored", "bar")
        assert texts_of_system(Found(tmp_path / "foo/vendored/bar.asd", True)) == []

    def test_a_name_is_no_pattern(self, tmp_path: Path, store: Store) -> None:
        system_at(tmp_path / "a")
        assert find_system(System("*"), store, (tmp_path,), (tmp_path,)) is None


class TestOrigins:
    def test_places(self, store: Store) -> None:
        """Of this monolisp's own recipe; at an address; nowhere."""
        book = Cookbook()
        own = book.find("zlib").source
        assert own is not None
        told = [Archive("whatever", place.sha256) for place in own.places]
        found = pin_of("zlib", own.version, told, store, book)
        assert found is not None
        assert found.places == own.places
        found = pin_of("other", "1", [Archive("https://example.org/o-1.tar.gz", "ab" * 32)], store, book)
        assert found is not None
        assert found.places == (UpstreamPlace("https://example.org/o-1.tar.gz", "o-1.tar.gz", "ab" * 32, 0),)

    @pytest.mark.parametrize(
        "told",
        [
            Archive("Debian source package gone 1 (sid)", "ab" * 32),
            Archive("https://example.org/..", "ab" * 32),
            Archive("https://example.org/-x", "ab" * 32),
            Archive("file:///etc/passwd", "ab" * 32),
            Archive("https://example.org/x.tar", "../../etc"),
        ],
    )
    def test_no_place(self, store: Store, told: Archive) -> None:
        assert pin_of("other", "1", [told], store, Cookbook()) is None

    def test_in_the_store(self, store: Store) -> None:
        folder = store.area("sources", "ab" * 32)
        (folder / "gone.tar.gz").write_bytes(b"12")
        found = pin_of("gone", "1", [Archive("Debian", "ab" * 32)], store, Cookbook())
        assert found is not None
        assert found.places == (LocalPlace("gone.tar.gz", "ab" * 32, 2),)


class TestNotices:
    @pytest.fixture
    def record(self, tmp_path: Path) -> Provenance:
        """SBCL and GMP from archives in a directory, two systems beside them, one of which has no licence."""
        named = tmp_path / "named"
        system = system_at(named / "thing", LICENSE="Thing's licence")
        other = system_at(named / "other", "other")
        files = {name: archive(named / f"{name}.tar.gz", {f"{name}/COPYING": GPL.encode()}) for name in ("sbcl", "gmp")}
        gmp, sbcl = (
            (Archive(f"https://example.org/{name}.tar.gz", sha256_file(files[name])),) for name in ("gmp", "sbcl")
        )
        return replace(
            FULL,
            program=Program("app", "system", ("app",)),
            sbcl=Sbcl("0.0.1", licence="MIT", sources=sbcl),
            libraries=(Library("gmp", "0.0.1", "LGPL-3.0-or-later", sources=gmp),),
            systems=(system, other, System("app", licence="GPLv3+"), System("app/part")),
        )

    def made(self, tmp_path: Path, record: Provenance, *named: str) -> Notices:
        store = Store(tmp_path / "store").prepare()
        machine = Machine(store, run, Silent(), dict(os.environ), offline=True)
        return notices_of(executable(tmp_path / "app", record), machine, [tmp_path / name for name in named], ())

    def test_everything_is_told(self, tmp_path: Path, record: Provenance) -> None:
        found = self.made(tmp_path, record, "named")
        assert found.missing == ("other 1.0: there is no file with a licence where its source is",)
        inside, asked, texts = (found.text.split(f"\n{number}. ")[1] for number in (1, 2, 3))
        assert "cl-thing     1.0     MIT" in inside
        assert "\n  app " not in inside
        assert "GNU LGPL, version 3\n  gmp 0.0.1: LGPL-3.0-or-later\n  - section 4: " in asked
        assert f"  → {RELINK}" in asked
        assert "no legal advice" in asked
        assert "Thing's licence" in texts
        assert "Rich Felker" in texts
        assert texts.count(GPL) == 1
        assert "(the same text as COPYING of gmp 0.0.1)" in texts
        assert "NO TEXT: there is no file with a licence where its source is." in texts

    def test_nothing_is_at_hand(self, tmp_path: Path, record: Provenance) -> None:
        found = self.made(tmp_path, record)
        assert [line.split()[0] for line in found.missing] == ["gmp", "sbcl", "cl-thing", "other"]
        assert "is not in the store" in found.missing[0]

    def test_an_archive_of_the_users(self, tmp_path: Path, record: Provenance) -> None:
        found = self.made(tmp_path, replace(record, libraries=(Library("libown.a", archive="ab" * 32),)), "named")
        assert any("it is an archive of yours" in line for line in found.missing)

    def test_the_same_text_each_time(self, tmp_path: Path, record: Provenance) -> None:
        assert self.made(tmp_path, record, "named") == self.made(tmp_path, record, "named")

    def test_no_path_is_in_it(self, tmp_path: Path, record: Provenance) -> None:
        assert str(tmp_path) not in self.made(tmp_path, record, "named").text

    @pytest.mark.parametrize(("extra", "code"), [([], 1), (["--allow-missing"], 0)])
    def test_the_command(
        self,
        tmp_path: Path,
        record: Provenance,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        extra: list[str],
        code: int,
    ) -> None:
        monkeypatch.setenv("MONOLISP_STORE", str(tmp_path / "store"))
        path = executable(tmp_path / "app", record)
        line = [
            "licenses",
            str(path),
            "--offline",
            "--source-dir",
            str(tmp_path / "named"),
            "-o",
            str(tmp_path / "out"),
        ]
        assert main([*line, *extra]) == code
        assert "Thing's licence" in (tmp_path / "out").read_text(encoding="utf-8")
        said = capsys.readouterr().err
        assert ("other 1.0: there is no file" in said) is (code == 1)


def test_every_file_of_data_is_read() -> None:
    folder = Path(notices.__file__).parent
    assert {path.name for path in folder.glob("*.toml")} == {"duties.toml", "licences.toml", "parts.toml"}
    assert all(tomllib.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.toml"))
    assert json.dumps(sorted(notices.brought())) == '["certifi", "compiler-rt", "libcxx", "monolisp", "musl"]'
