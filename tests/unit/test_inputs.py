from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monolisp.inputs import BESIDE, Record, changes, read_record, record_of, write_record


class Built:
    """A build that has just ended: two files, a directory listed, an output; a store that it wrote to."""

    def __init__(self, base: Path) -> None:
        self.base, self.store, self.output = base / "project", base / "store", base / "project/app"
        (self.base / "src").mkdir(parents=True)
        self.store.mkdir()
        for name in ("app.asd", "src/main.lisp"):
            (self.base / name).write_text(f";; {name}")
        self.output.write_text("ELF")
        self.record = self.recorded("app.asd", "src/main.lisp", directories=[str(self.base), "src"])

    def recorded(
        self, *files: str, directories: list[str] | None = None, base: Path | None = None, types: tuple[str, ...] = ()
    ) -> Record:
        result = {"entry": "APP:MAIN", "build_pathname": None}
        listed = dict.fromkeys(directories or [], types)
        return record_of("settings", files, listed, base or self.base, (self.store,), self.output, result)

    def changes(self, said: str = "settings") -> list[str]:
        return changes(self.record, said, self.output)


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return Built(tmp_path)


def age(path: Path, seconds: int) -> None:
    moment = int(time.time()) - seconds
    os.utime(path, (moment, moment))


class TestRecord:
    def test_names_are_relative_to_the_base(self, built: Built) -> None:
        assert set(built.record.files) == {str(built.base / name) for name in ("app.asd", "src/main.lisp")}
        assert set(built.record.directories) == {str(built.base), str(built.base / "src")}

    def test_absolute_names_stay(self, built: Built) -> None:
        name = str(built.base / "app.asd")
        assert set(built.recorded(name, base=Path("/elsewhere")).files) == {name}

    def test_files_below_the_store_are_no_inputs(self, built: Built) -> None:
        (built.store / "fasls").mkdir()
        (built.store / "fasls/main.fasl").write_text("x")
        record = built.recorded(str(built.store / "fasls/main.fasl"), directories=[str(built.store / "fasls")])
        assert (record.files, record.directories) == ({}, {})

    def test_nor_is_the_store_itself(self, built: Built) -> None:
        assert built.recorded(directories=[str(built.store)]).directories == {}

    def test_a_neighbour_of_the_store_is(self, built: Built) -> None:
        beside = built.store.with_name("store-of-books")
        beside.mkdir()
        (beside / "a.lisp").touch()
        record = built.recorded(str(beside / "a.lisp"), directories=[str(beside)])
        assert (len(record.files), len(record.directories)) == (1, 1)

    def test_what_is_gone_or_no_file_is_no_input(self, built: Built) -> None:
        assert built.recorded("none.lisp", "src").files == {}

    @pytest.mark.parametrize("name", ["/proc/self/status", "/dev/null", "/sys/kernel", "/run/x"])
    def test_nor_what_the_kernel_makes_up(self, built: Built, name: str) -> None:
        assert built.recorded(name, directories=[name]) == built.recorded()

    def test_a_file_read_twice_counts_once(self, built: Built) -> None:
        assert len(built.recorded("app.asd", str(built.base / "app.asd")).files) == 1


class TestChanges:
    def test_none(self, built: Built) -> None:
        assert built.changes() == []

    def test_settings(self, built: Built) -> None:
        (reason,) = built.changes("other settings")
        assert "options" in reason

    def test_changed_file(self, built: Built) -> None:
        (built.base / "src/main.lisp").write_text("longer than it was before")
        assert built.changes() == [f"{built.base / 'src/main.lisp'} changed"]

    def test_changed_file_of_the_same_size(self, built: Built) -> None:
        path = built.base / "src/main.lisp"
        path.write_text(path.read_text().replace("main", "niam"))
        age(path, 5)
        assert built.changes() == [f"{path} changed"]

    def test_touched_but_the_same(self, built: Built) -> None:
        age(built.base / "app.asd", 1000)
        assert built.changes() == []

    def test_written_again_the_same(self, built: Built) -> None:
        path = built.base / "app.asd"
        text = path.read_text()
        path.unlink()
        path.write_text(text)
        age(path, 5)
        assert built.changes() == []

    def test_removed_file(self, built: Built) -> None:
        (built.base / "src/main.lisp").unlink()
        reasons = built.changes()
        assert f"{built.base / 'src/main.lisp'} changed" in reasons
        assert f"something came to or went from {built.base / 'src'}" in reasons

    @pytest.mark.parametrize("name", ["new.lisp", "new.asd", "asdf.conf"])
    def test_new_file_in_a_listed_directory(self, built: Built, name: str) -> None:
        (built.base / "src" / name).touch()
        assert built.changes() == [f"something came to or went from {built.base / 'src'}"]

    def test_new_directory_in_a_listed_directory(self, built: Built) -> None:
        (built.base / "lib").mkdir()
        assert built.changes() == [f"something came to or went from {built.base}"]

    @pytest.mark.parametrize("name", ["notes.txt", "main.fasl", "app2"])
    def test_a_new_file_that_means_nothing_to_lisp(self, built: Built, name: str) -> None:
        (built.base / "src" / name).touch()
        assert built.changes() == []

    @pytest.mark.parametrize(
        ("types", "name", "matters"),
        [
            (("txt",), "new.txt", True),
            (("txt",), "new.md", False),
            (("txt",), "txt", False),
            (("txt", "md"), "new.md", True),
            (("*",), "new.md", True),
            (("*",), "LICENSE", True),
            (("",), "new.md", False),
            (("",), "new.lisp", True),
            (("*",), ".app.4711.core", False),
            (("*",), ".new.txt.swp", False),
            (("gz",), "new.tar.gz", True),
        ],
    )
    def test_a_new_file_of_a_type_that_was_looked_for(
        self, built: Built, types: tuple[str, ...], name: str, matters: bool
    ) -> None:
        built.record = built.recorded(directories=["src"], types=types)
        (built.base / "src" / name).touch()
        assert built.changes() == ([f"something came to or went from {built.base / 'src'}"] if matters else [])

    def test_the_executable_itself_did_not_come(self, built: Built) -> None:
        """It is made between the listing and the record."""
        built.record = built.recorded(directories=[str(built.output.parent)], types=("*",))
        assert built.changes() == []
        built.output.write_text("ELF")
        assert not [reason for reason in built.changes() if reason.startswith("something")]

    def test_bills_of_materials_of_the_executable(self, built: Built) -> None:
        """They are written when it is recorded; those of others count."""
        built.record = built.recorded(directories=[str(built.output.parent)], types=("*", "json"))
        for suffix in BESIDE.values():
            built.output.with_name(built.output.name + suffix).write_text("{}")
        assert built.changes() == []
        built.output.with_name("other" + BESIDE["cyclonedx"]).write_text("{}")
        assert built.changes() == [f"something came to or went from {built.output.parent}"]

    def test_a_directory_named_in_two_ways_is_one(self, built: Built) -> None:
        listed = {"src": ("txt",), str(built.base / "src"): ("md",)}
        record = record_of("", [], listed, built.base, (), built.output, {})
        assert [seen.types for seen in record.directories.values()] == [("md", "txt")]

    def test_version_control_works_beside(self, built: Built) -> None:
        (built.base / ".git").mkdir()
        assert built.changes() == []

    def test_an_editor_works_beside(self, built: Built) -> None:
        (built.base / "src/.#main.lisp").symlink_to("user@machine.1234:5678")
        (built.base / "src/.main.lisp.swp").touch()
        assert built.changes() == []

    def test_a_listed_directory_that_is_gone(self, built: Built) -> None:
        (built.base / "src/main.lisp").unlink()
        (built.base / "src").rmdir()
        assert f"something came to or went from {built.base / 'src'}" in built.changes()

    def test_a_directory_that_was_not_there_and_is(self, built: Built) -> None:
        built.record = built.recorded(directories=["lib"])
        assert built.changes() == []
        (built.base / "lib").mkdir()
        assert built.changes() == [f"something came to or went from {built.base / 'lib'}"]

    def test_a_directory_with_a_link_to_itself(self, built: Built) -> None:
        (built.base / "src/loop").symlink_to("loop")
        built.record = built.recorded(directories=["src"])
        (built.base / "src/new.lisp").touch()
        assert built.changes() == [f"something came to or went from {built.base / 'src'}"]

    def test_a_directory_with_a_name_in_another_encoding(self, built: Built) -> None:
        (built.base / "src" / os.fsdecode(b"caf\xe9.lisp")).touch()
        built.record = built.recorded(directories=["src"])
        assert built.changes() == []

    def test_missing_output(self, built: Built) -> None:
        built.output.unlink()
        assert built.changes() == [f"{built.output} is missing or was changed"]

    @pytest.mark.parametrize("spoil", [lambda path: path.write_text("longer"), lambda path: age(path, 50)])
    def test_output_that_someone_changed(self, built: Built, spoil: Callable[[Path], object]) -> None:
        spoil(built.output)
        assert built.changes() == [f"{built.output} is missing or was changed"]

    def test_another_output(self, built: Built) -> None:
        other = built.output.with_name("other")
        assert changes(built.record, "settings", other) == [f"{other} is missing or was changed"]

    def test_every_reason_is_told(self, built: Built) -> None:
        built.output.unlink()
        (built.base / "app.asd").unlink()
        (built.base / "src/main.lisp").write_text("")
        assert len(built.changes("other")) == 5


class TestKeeping:
    def test_what_is_written_is_read(self, built: Built, tmp_path: Path) -> None:
        write_record(tmp_path / "record.json", built.record)
        assert read_record(tmp_path / "record.json") == built.record

    def test_nothing_else_stays(self, built: Built, tmp_path: Path) -> None:
        folder = tmp_path / "records"
        folder.mkdir()
        write_record(folder / "record.json", built.record)
        write_record(folder / "record.json", replace(built.record, settings="other"))
        assert [path.name for path in folder.iterdir()] == ["record.json"]
        found = read_record(folder / "record.json")
        assert found is not None
        assert found.settings == "other"

    def test_a_reader_never_finds_half_of_it(
        self, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is complete before it gets its name."""
        path = tmp_path / "record.json"
        seen: list[Any] = []
        rename = Path.rename

        def watch(aside: Path, final: Path) -> None:
            seen.append((json.loads(aside.read_text())["settings"], final.exists(), aside.parent == final.parent))
            rename(aside, final)

        monkeypatch.setattr(Path, "rename", watch)
        write_record(path, built.record)
        assert seen == [("settings", False, True)]
        assert read_record(path) == built.record

    def test_names_in_another_encoding(self, built: Built, tmp_path: Path) -> None:
        (built.base / os.fsdecode(b"caf\xe9.lisp")).write_text("x")
        built.record = built.recorded(os.fsdecode(b"caf\xe9.lisp"))
        write_record(tmp_path / "record.json", built.record)
        assert read_record(tmp_path / "record.json") == built.record
        assert built.changes() == []

    @pytest.mark.parametrize("field", ["directories", "result"])
    @pytest.mark.parametrize("value", [[], None, "text", 1])
    def test_another_shape(self, built: Built, tmp_path: Path, field: str, value: Any) -> None:
        write_record(tmp_path / "record.json", built.record)
        told = json.loads((tmp_path / "record.json").read_text())
        (tmp_path / "record.json").write_text(json.dumps({**told, field: value}))
        assert read_record(tmp_path / "record.json") is None

    def test_no_record(self, tmp_path: Path) -> None:
        assert read_record(tmp_path / "none.json") is None
        assert read_record(tmp_path) is None

    def test_cut_off_anywhere(self, built: Built, tmp_path: Path) -> None:
        path = tmp_path / "record.json"
        write_record(path, built.record)
        whole = path.read_bytes()
        for end in range(0, len(whole), 7):
            path.write_bytes(whole[:end])
            assert read_record(path) is None

    @pytest.mark.parametrize(
        "content",
        [b"\xff", b"null", b"[]", b"3", b"{}", b'{"files": {"a": 1}}', b'{"files": {"a": {"size": 1}}}'],
    )
    def test_another_monolisps(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "record.json").write_bytes(content)
        assert read_record(tmp_path / "record.json") is None

    name = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    )
    state = st.fixed_dictionaries({"size": anything, "modified": anything, "sha256": anything})
    shape = st.fixed_dictionaries(
        {
            "settings": anything,
            "files": anything | st.dictionaries(name, state, max_size=2),
            "directories": anything | st.dictionaries(name, anything, max_size=2),
            "output": anything | st.fixed_dictionaries({"size": anything, "modified": anything}),
            "result": anything,
        }
    )

    @given(told=shape | anything)
    @example(told={"files": []})
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    def test_any_json_is_a_record_or_none(self, tmp_path: Path, told: Any) -> None:
        (tmp_path / "record.json").write_text(json.dumps(told))
        record = read_record(tmp_path / "record.json")
        if record is not None:
            assert isinstance(changes(record, "settings", tmp_path / "app"), list)
            assert record.result.get("entry") in (None, *record.result.values())
