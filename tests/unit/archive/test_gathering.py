"""What is missing is told at once; where an archive is at hand, nobody is asked for it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monolisp.archive import rebuild
from monolisp.archive.gathering import find_files, gather, missing_pins, pins_of
from monolisp.archive.places import Places
from monolisp.archive.rebuild import Original, compared, keep_directory, objects, surroundings, warnings
from monolisp.compare import Difference
from monolisp.errors import LispDied, SourcesGone
from monolisp.libraries.recipe import Cookbook
from monolisp.process import Command
from monolisp.progress import Silent
from monolisp.provenance.gather import maker, recipe_hash
from monolisp.provenance.own import own_texts
from monolisp.provenance.record import File, Library, Maker, Program, Provenance, Sbcl, System
from monolisp.sources.fetch import KIND
from monolisp.sources.pin import LocalPlace, Pin
from monolisp.store import Store
from monolisp.target import find_target
from monolisp.toolchain.machine import Machine

TARGET = find_target("x86_64-linux-musl")
CONTENT = b"an archive"
SUM = hashlib.sha256(CONTENT).hexdigest()
PIN = Pin("lib", "1.0", "MIT", (LocalPlace("lib-1.0.tar.gz", SUM, len(CONTENT)),))
RECORD = Provenance(
    program=Program("app", "script", ("app.lisp",), files=(File("app.lisp", SUM), File("other.lisp", "ab" * 32))),
    target=TARGET.triple,
    sbcl=Sbcl("2.6.4"),
    libraries=(Library("zlib", recipe="ab" * 32), Library("own.a", archive="cd" * 32), Library("lost", recipe="1")),
    systems=(System("lib", "2.1", source="ef" * 32, revision="0" * 40), System("lib/more", source="12" * 32)),
)


def refuse(command: Command, started: Any = None) -> Any:
    raise AssertionError(f"started {command.argv}")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(Store(tmp_path / "store").prepare(), refuse, Silent(), {"PATH": "/bin"}, offline=True)


def test_everything_that_is_missing_is_told(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "other.lisp").write_text("changed")
    (tmp_path / "here" / "app.lisp").write_bytes(CONTENT)
    places = Places((tmp_path / "here",))
    pin = replace(PIN, places=(LocalPlace("lib.tar", "99" * 32, 3),))
    with pytest.raises(SourcesGone) as caught:
        gather(RECORD, find_files(RECORD, places), [pin], places, [tmp_path / "systems"], machine)
    told = str(caught.value)
    assert "sources of app are nowhere to be found: 3" in told
    assert f"the file other.lisp (sha256 {'ab' * 32}); {tmp_path}/here/other.lisp was changed since" in told
    assert "the system lib 2.1: a directory with lib.asd (lib has tree efefefefefef…, lib/more has tree" in told
    assert f"git revision {'0' * 40}" in told
    assert f"the archive of lib 1.0: lib.tar (sha256 {'99' * 32})" in told
    assert f"{tmp_path}/here, {tmp_path}/systems" in told
    assert "--source-dir DIR" in told


def test_an_archive_by_any_name(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "there/deep").mkdir(parents=True)
    (tmp_path / "there/deep/renamed").write_bytes(CONTENT)
    record = replace(RECORD, program=Program("app"), systems=())
    found = gather(record, {}, [PIN], Places((tmp_path / "there",)), [], machine)
    assert found.archives["lib 1.0"] == machine.store.root / KIND / SUM / "lib-1.0.tar.gz"
    assert found.archives["lib 1.0"].read_bytes() == CONTENT
    # The second time the store has it.
    assert gather(record, {}, [PIN], Places(), [], machine) == found


def test_pins(machine: Machine) -> None:
    record = replace(RECORD, libraries=RECORD.libraries[:2])
    assert sorted(pin.name for pin in pins_of(record, ["lz4"], Cookbook())) == ["lz4", "sbcl", "zlib", "zstd"]
    assert [pin.name for pin in missing_pins(RECORD, Cookbook(), TARGET, True, machine)] == ["zlib"]
    names = [pin.name for pin in missing_pins(RECORD, Cookbook(), TARGET, False, machine)]
    assert sorted(names) == ["sbcl", "zlib", "zstd"]


def test_nothing_of_the_user_is_found_by_a_build(tmp_path: Path) -> None:
    environ = {"HOME": "/home/me", "XDG_DATA_HOME": "/x", "CL_SOURCE_REGISTRY": "/x//:", "LANG": "C"}
    found = surroundings(environ, 7, tmp_path / "registry", tmp_path)
    assert found["SOURCE_DATE_EPOCH"] == "7"
    assert found["HOME"] == str(tmp_path / "home")
    assert found["LANG"] == "C"
    assert "XDG_DATA_HOME" not in found
    assert found["CL_SOURCE_REGISTRY"].endswith(":ignore-inherited-configuration)")


def test_warnings() -> None:
    ours = maker(own_texts())
    recipe = recipe_hash(Cookbook().find("zlib"))
    same = Provenance(monolisp=ours, libraries=(Library("zlib", "1.3.1", recipe=recipe), Library("own.a")))
    assert list(warnings(same)) == []
    (older,) = warnings(replace(same, monolisp=Maker("0.0.1", "x")))
    assert "monolisp 0.0.1 made it" in older
    assert "pip install monolisp==0.0.1" in older
    (other,) = warnings(replace(same, monolisp=Maker(ours.version, "x")))
    assert f"another monolisp {ours.version} made it" in other
    for library in (Library("zlib", "1.2", recipe="ab" * 32), Library("lost", recipe="ab" * 32)):
        (told,) = warnings(replace(same, libraries=(library,)))
        assert f"another recipe for {library.name}" in told


def test_the_same_sum_is_identical(tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(CONTENT)
    outcome = compared(Original(RECORD, SUM), tmp_path / "made")
    assert (outcome.identical, outcome.sha256, outcome.differences) == (True, SUM, ())


def test_heaps_that_cannot_be_read(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of SBCL 2.2.6: what else is known of the files is not lost."""
    section = Difference("section lisp.core", "one", "another")

    def died(*_: object) -> None:
        raise LispDied(place="while telling of its heap", reason="")

    monkeypatch.setattr(rebuild, "shape_for", died)
    monkeypatch.setattr(rebuild, "section_differences", lambda *_: [section])
    told: list[str] = []
    assert objects(RECORD, machine, told.append, tmp_path / "before", tmp_path / "after") == [section]
    assert "which objects differ cannot be told of SBCL 2.6.4" in told[0]


def test_a_directory_that_is_kept(machine: Machine, tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "file").write_text(text)
        kept = keep_directory(tmp_path / "work", "app-12", machine)
    assert (kept / "file").read_text() == "two"
    assert not (tmp_path / "work").exists()
