from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monolisp.errors import BadCore, BadElf
from monolisp.linkage.names import Kind
from monolisp.lisp.corefile import ForeignName, Span, build_id_of, core_offset, core_span, is_compressed, linkage_of
from tests.unit.elf.making import LOAD, NOBITS, Sec, Seg, make_elf
from tests.unit.lisp.making import (
    BASE_STRING,
    BUILD_ID,
    DIRECTORY,
    DYNAMIC,
    FIXED,
    MAGIC,
    OTHER,
    PAGE,
    Heap,
    Name,
    Space,
    core_of,
    entry,
    fixnum,
    initial_function,
    key_vector,
    make_core,
    words,
)

NAMES = [Name("puts"), Name("environ", data=True), Name("sb_opendir"), Name("x", data=True), Name("a" * 40)]
TABLE = [ForeignName(name.text, Kind.DATA if name.data else Kind.FUNCTION) for name in NAMES]
CORE = make_core(NAMES)


def linkage(tmp_path: Path, content: bytes) -> list[ForeignName]:
    path = tmp_path / "core"
    path.write_bytes(content)
    return linkage_of(path)


def reason_of(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(BadCore) as caught:
        linkage(tmp_path, content)
    assert caught.value.fields["file"] == str(tmp_path / "core")
    return caught.value.fields["reason"]


def appended(core: bytes, before: bytes = b"\x7fELF" + b"\0" * 996) -> bytes:
    """A core behind something else, with the trailer that says where. Source: save.c (save_to_filehandle)."""
    return before + core + words(len(before), MAGIC)


def as_section(core: bytes) -> bytes:
    return make_elf([Seg(LOAD, data=b"code")], [Sec(".text"), Sec("lisp.core", data=core), Sec("after", data=b"x")])


class TestPlaces:
    def test_core_file(self, tmp_path: Path) -> None:
        assert linkage(tmp_path, CORE) == TABLE

    def test_section(self, tmp_path: Path) -> None:
        assert linkage(tmp_path, as_section(CORE)) == TABLE

    def test_appended(self, tmp_path: Path) -> None:
        assert linkage(tmp_path, appended(CORE, make_elf([Seg(LOAD, data=b"code")]))) == TABLE

    def test_appended_to_what_is_no_elf_file(self, tmp_path: Path) -> None:
        assert linkage(tmp_path, appended(CORE, b"#!/bin/sh\n")) == TABLE

    def test_the_section_goes_before_what_is_appended(self, tmp_path: Path) -> None:
        content = appended(make_core([Name("other")]), as_section(CORE))
        assert linkage(tmp_path, content) == TABLE

    @pytest.mark.parametrize(
        ("content", "offset"),
        [(CORE, 0), (appended(CORE, b"x" * 1001), 1001), (appended(CORE, make_elf([Seg(LOAD, data=b"c")])), 121)],
        ids=["core", "appended", "appended to ELF"],
    )
    def test_offset(self, content: bytes, offset: int) -> None:
        assert core_offset(memoryview(content), "core") == offset

    def test_offset_of_a_section(self) -> None:
        content = as_section(CORE)
        assert core_offset(memoryview(content), "core") == content.index(CORE)

    @pytest.mark.parametrize(
        ("content", "begin", "end"),
        [
            (CORE, 0, len(CORE)),
            (CORE + words(0, MAGIC), 0, len(CORE)),
            (appended(CORE, b"x" * 1001), 1001, 1001 + len(CORE)),
        ],
        ids=["core", "core and trailer", "appended"],
    )
    def test_span(self, tmp_path: Path, content: bytes, begin: int, end: int) -> None:
        """The trailer is no part of it."""
        (tmp_path / "core").write_bytes(content)
        assert core_span(tmp_path / "core") == Span(begin, end)

    def test_span_of_what_is_no_core(self, tmp_path: Path) -> None:
        (tmp_path / "core").write_bytes(b"no core at all")
        with pytest.raises(BadCore):
            core_span(tmp_path / "core")

    @pytest.mark.parametrize(
        "content",
        [
            b"x",
            b"no core at all",
            CORE[1:],
            make_elf([Seg(LOAD, data=b"code")], [Sec(".text")]),
            b"x" * 100 + words(MAGIC),
            b"x" * 100 + words(0, MAGIC),
            b"x" * 100 + words(1 << 63, MAGIC),
        ],
    )
    def test_none(self, tmp_path: Path, content: bytes) -> None:
        assert "it is no core" in reason_of(tmp_path, content)

    def test_empty(self, tmp_path: Path) -> None:
        assert reason_of(tmp_path, b"") == "it is empty"

    def test_damaged_elf(self, tmp_path: Path) -> None:
        with pytest.raises(BadElf):
            linkage(tmp_path, as_section(CORE)[:-1])

    @pytest.mark.parametrize("content", [b"", b"text", bytes(100_000)])
    def test_section_that_holds_none(self, tmp_path: Path, content: bytes) -> None:
        assert reason_of(tmp_path, as_section(content))

    def test_section_with_another_magic(self, tmp_path: Path) -> None:
        assert reason_of(tmp_path, as_section(words(MAGIC + 1) + CORE[8:]))

    def test_section_without_bytes(self, tmp_path: Path) -> None:
        assert reason_of(tmp_path, make_elf(sections=[Sec("lisp.core", NOBITS, CORE)]))


class TestTable:
    def test_empty(self, tmp_path: Path) -> None:
        assert linkage(tmp_path, make_core([])) == []

    def test_saved_with_runtime_options(self, tmp_path: Path) -> None:
        assert linkage(tmp_path, make_core(NAMES, options=True)) == TABLE

    def test_everything_in_one_space(self, tmp_path: Path) -> None:
        heap = Heap(DYNAMIC)
        space = Space(2, heap, 3)
        vector = key_vector(heap, NAMES)
        assert linkage(tmp_path, core_of([entry(DIRECTORY, space.row()), initial_function(vector)], [space])) == TABLE

    def test_entries_in_another_order(self, tmp_path: Path) -> None:
        heap = Heap(DYNAMIC)
        space = Space(2, heap, 0)
        vector = key_vector(heap, NAMES)
        unknown = entry(0xABC, words(*range(100)))
        entries = [initial_function(vector), unknown, entry(DIRECTORY, space.row())]
        assert linkage(tmp_path, core_of(entries, [space])) == TABLE

    @given(
        st.lists(
            st.builds(Name, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30), st.booleans()),
            max_size=20,
        )
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    def test_any_names(self, tmp_path: Path, names: list[Name]) -> None:
        found = linkage(tmp_path, make_core(names))
        assert [(entry.name, entry.kind is Kind.DATA) for entry in found] == [(name.text, name.data) for name in names]

    def test_nothing_is_held_open(self, tmp_path: Path) -> None:
        """The file can be replaced, and the names outlive it."""
        found = linkage(tmp_path, CORE)
        (tmp_path / "core").write_bytes(b"")
        assert found == TABLE


def one_space(build: Callable[[Heap], int]) -> bytes:
    """A core with one space that `build` fills; it returns the pointer to the vector."""
    heap = Heap(DYNAMIC)
    vector = build(heap)
    heap.content += b"\0" * (-len(heap.content) % 8)
    space = Space(2, heap, 0)
    return core_of([entry(DIRECTORY, space.row()), initial_function(vector)], [space])


def compressed_core() -> tuple[bytes, int]:
    """A core with one space, compressed, and where that begins."""
    heap = Heap(DYNAMIC)
    vector = key_vector(heap, NAMES)
    heap.content += b"\0" * (-len(heap.content) % 8)
    row = Space(2 | 8, heap, 0).row()
    core = core_of([entry(DIRECTORY, row), initial_function(vector)])
    content = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(heap.content))
    return core.ljust(PAGE, b"\0") + content, PAGE


def test_compressed_spaces(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(compressed_core()[0])
    assert linkage_of(tmp_path / "core") == TABLE
    assert is_compressed(tmp_path / "core")
    (tmp_path / "core").write_bytes(CORE)
    assert not is_compressed(tmp_path / "core")


@pytest.mark.parametrize("name", ["monolisp-0123456789abcdef", "0-05-17", "x" * 8, ""])
def test_build_id(tmp_path: Path, name: str) -> None:
    octets = name.encode().ljust(-(-len(name) // 8) * 8, b"\xff")
    core = core_of([entry(BUILD_ID, words(1, 0, 0, len(name)) + octets), entry(DIRECTORY, b"")])
    (tmp_path / "core").write_bytes(core)
    assert build_id_of(tmp_path / "core") == name


def test_no_build_id(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(core_of([entry(DIRECTORY, b"")]))
    with pytest.raises(BadCore):
        build_id_of(tmp_path / "core")


class TestDamage:
    @pytest.mark.parametrize("cut", [0, 1, 8, 20])
    def test_compressed(self, tmp_path: Path, cut: int) -> None:
        core, begin = compressed_core()
        end = len(core.rstrip(b"\0")) - cut
        assert "a compressed space of it is damaged" in reason_of(tmp_path, core[:begin] + b"x" * 100)
        assert linkage(tmp_path, core) == TABLE if not cut else reason_of(tmp_path, core[:end])

    @pytest.mark.parametrize(
        "entries",
        [
            [],
            [entry(BUILD_ID, words(1, 2, 3))],
            [entry(DIRECTORY, Space(2, Heap(DYNAMIC), 0).row())],
            [initial_function(DYNAMIC + OTHER)],
            [entry(0xF17, words(1, 2)), entry(DIRECTORY, Space(2, Heap(DYNAMIC), 0).row())],
        ],
        ids=["no entries", "build-id only", "no function", "no directory", "short function"],
    )
    def test_header_without_a_table(self, tmp_path: Path, entries: list[bytes]) -> None:
        assert "names no linkage table" in reason_of(tmp_path, core_of(entries).ljust(2 * PAGE, b"\0"))

    @pytest.mark.parametrize("length", [0, 1, 1 << 20, (1 << 64) - 1])
    def test_absurd_entry(self, tmp_path: Path, length: int) -> None:
        """A length of 0 would be read for ever."""
        assert "entry 0xabc" in reason_of(tmp_path, words(MAGIC, 0xABC, length) + b"\0" * 100)

    @pytest.mark.parametrize("pointer", [0, OTHER, FIXED + OTHER, DYNAMIC - 1, DYNAMIC + PAGE, (1 << 64) - 1])
    def test_vector_outside_every_space(self, tmp_path: Path, pointer: int) -> None:
        def build(heap: Heap) -> int:
            key_vector(heap, NAMES)
            return pointer

        assert "is in none of its spaces" in reason_of(tmp_path, one_space(build))

    @pytest.mark.parametrize("key", [FIXED + OTHER, FIXED + 7])
    def test_key_outside_every_space(self, tmp_path: Path, key: int) -> None:
        core = one_space(lambda heap: heap.vector(fixnum(1), 0, key, fixnum(0)))
        assert f"the address {key & ~15:#x} is in none" in reason_of(tmp_path, core)

    @pytest.mark.parametrize("key", [0, fixnum(5), DYNAMIC + 3, DYNAMIC + 11])
    def test_key_that_is_no_string(self, tmp_path: Path, key: int) -> None:
        core = one_space(lambda heap: heap.vector(fixnum(1), 0, key, fixnum(0)))
        assert "is no string" in reason_of(tmp_path, core)

    def test_list_of_no_string(self, tmp_path: Path) -> None:
        core = one_space(lambda heap: heap.vector(fixnum(1), 0, heap.cons(fixnum(1), 0x100), fixnum(0)))
        assert "is no string" in reason_of(tmp_path, core)

    def test_space_that_the_file_ends_within(self, tmp_path: Path) -> None:
        heap = Heap(DYNAMIC)
        space = Space(2, heap, 0)
        vector = key_vector(heap, NAMES)
        core = core_of([entry(DIRECTORY, space.row()), initial_function(vector)], [space])
        assert linkage(tmp_path, core) == TABLE
        assert reason_of(tmp_path, core[:-8])

    def test_more_pairs_than_the_file_holds(self, tmp_path: Path) -> None:
        def build(heap: Heap) -> int:
            string = heap.string("puts")
            return heap.vector(fixnum((1 << 62) - 1), 0, *[string, 0] * 10)

        assert "is in none of its spaces" in reason_of(tmp_path, one_space(build))

    def test_absurdly_long_name(self, tmp_path: Path) -> None:
        def build(heap: Heap) -> int:
            string = heap.put(words(BASE_STRING, fixnum(1 << 40)) + b"puts", OTHER)
            return heap.vector(fixnum(1), 0, string, 0)

        assert "absurdly long" in reason_of(tmp_path, one_space(build))

    def test_space_beyond_the_file(self, tmp_path: Path) -> None:
        heap = Heap(DYNAMIC)
        vector = key_vector(heap, NAMES)
        core = core_of([entry(DIRECTORY, Space(2, heap, 1 << 50).row()), initial_function(vector)])
        assert "a space of it lies beyond its end" in reason_of(tmp_path, core)

    def test_cut_off_anywhere(self, tmp_path: Path) -> None:
        """Every beginning of it, word by word; what lies between header and spaces is padding."""
        strings = CORE.index(b"puts") - 16
        header = CORE.index(words(0xF00)) + 8
        for end in [
            *range(1, header),
            *range(PAGE, CORE.index(b"\0" * 100, PAGE), 8),
            *range(2 * PAGE, strings + 17, 8),
        ]:
            assert reason_of(tmp_path, CORE[:end])

    def test_cut_off_in_a_name(self, tmp_path: Path) -> None:
        end = CORE.rindex(b"aaaa") + 4
        for cut in range(1, 40):
            assert reason_of(tmp_path, CORE[: end - cut])

    places = st.integers(8, 300) | st.integers(PAGE, PAGE + 300) | st.integers(2 * PAGE, len(CORE) - 9)
    values = st.integers(0, 2**64 - 1) | st.integers(0, 64) | st.sampled_from([DYNAMIC + 15, DYNAMIC + 7, FIXED + 15])

    @given(
        form=st.sampled_from([lambda core: core, appended, as_section]),
        changes=st.lists(st.tuples(places, values), min_size=1, max_size=5),
        end=st.none() | st.integers(1, 3 * PAGE),
    )
    @example(form=appended, changes=[(8, 0)], end=None)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_anything_is_a_table_or_an_error(
        self,
        tmp_path: Path,
        form: Callable[[bytes], bytes],
        changes: list[tuple[int, int]],
        end: int | None,
    ) -> None:
        core = bytearray(CORE)
        for place, value in changes:
            struct.pack_into("<Q", core, place, value)
        try:
            found = linkage(tmp_path, form(bytes(core))[:end])
        except (BadCore, BadElf) as error:
            assert error.fields["reason"]
        else:
            assert all(isinstance(item, ForeignName) for item in found)

    @given(content=st.binary(max_size=400))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
    def test_any_bytes(self, tmp_path: Path, content: bytes) -> None:
        for whole in (content, words(MAGIC) + content, appended(words(MAGIC) + content), as_section(content)):
            with pytest.raises((BadCore, BadElf)):
                linkage(tmp_path, whole)
