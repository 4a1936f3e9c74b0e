from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monolisp.errors import BadElf
from monolisp.linkage.archive import members

MAGIC = b"!<arch>\n"
INDEX = b"\0\0\0\1\0\0\0\x44name\0"


@dataclass(frozen=True)
class File:
    """A member to be: `name` as its header says it."""

    name: str
    data: bytes = b""


def header(name: str, size: int | str) -> bytes:
    """Source: ar(5): name, time, owner, group, mode, size, end."""
    fields = ((name, 16), ("0", 12), ("0", 6), ("0", 6), ("644", 8), (str(size), 10))
    return b"".join(text.encode("latin-1").ljust(width) for text, width in fields) + b"`\n"


def archive(*files: File) -> bytes:
    content = MAGIC
    for file in files:
        content += header(file.name, len(file.data)) + file.data
        content += b"\n" * (len(content) % 2)
    return content


def gnu(**files: bytes) -> bytes:
    """As GNU ar writes it: an index, the table of long names, names that end in /."""
    table, listed = b"", []
    for name, data in files.items():
        if len(name) > 15:
            listed.append(File(f"/{len(table)}", data))
            table += name.encode() + b"/\n"
        else:
            listed.append(File(f"{name}/", data))
    return archive(File("/", INDEX), File("//", table), *listed)


def bsd(**files: bytes) -> bytes:
    """As BSD ar writes it: long names in front of the content."""
    listed = []
    for name, data in files.items():
        padded = name.encode() + b"\0" * (-len(name) % 4)
        listed.append(File(f"#1/{len(padded)}", padded + data) if len(name) > 15 or " " in name else File(name, data))
    return archive(File("__.SYMDEF", INDEX), *listed)


def listed(data: bytes) -> list[tuple[str, bytes]]:
    return [(member.name, bytes(member.data)) for member in members(memoryview(data), "lib.a")]


def reason_of(data: bytes) -> str:
    with pytest.raises(BadElf) as caught:
        listed(data)
    assert caught.value.fields["file"] == "lib.a"
    return caught.value.fields["reason"]


FILES = {"a.o": b"even", "odd.o": b"odd", "a_name_of_more_than_fifteen_bytes.o": b"long", "empty.o": b"", "z.o": b"z"}


class TestGood:
    @pytest.mark.parametrize("form", [gnu, bsd])
    def test_every_member_without_the_indexes(self, form: Callable[..., bytes]) -> None:
        assert listed(form(**FILES)) == list(FILES.items())

    def test_empty(self) -> None:
        assert listed(MAGIC) == []

    @pytest.mark.parametrize("size", range(1, 5))
    def test_the_last_padding_may_be_missing(self, size: int) -> None:
        data = archive(File("a.o/", b"x"), File("b.o/", b"y" * size))
        assert listed(data.removesuffix(b"\n" if size % 2 else b"")) == [("a.o", b"x"), ("b.o", b"y" * size)]

    @pytest.mark.parametrize("name", ["/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED"])
    def test_indexes(self, name: str) -> None:
        assert listed(archive(File(name, INDEX), File("a.o/", b"a"))) == [("a.o", b"a")]

    @pytest.mark.parametrize("name", ["__.SYMDEF SORTED", "__.SYMDEF_64"])
    def test_indexes_with_a_long_name(self, name: str) -> None:
        padded = name.encode().ljust(20, b"\0")
        assert listed(archive(File("#1/20", padded + INDEX), File("a.o", b"a"))) == [("a.o", b"a")]

    def test_names_with_a_slash_or_a_space_inside(self) -> None:
        assert [name for name, _ in listed(archive(File("a b.o/"), File("c d")))] == ["a b.o", "c d"]

    @pytest.mark.parametrize("name", ["#1/x.o", "#1/", "#2/3"])
    def test_names_that_only_look_like_bsd_s(self, name: str) -> None:
        assert listed(archive(File(name, b"data"))) == [(name.removesuffix("/"), b"data")]

    def test_long_names_that_are_no_text(self) -> None:
        table = File("//", b"a_long_caf\xe9_name.o/\n")
        found = listed(archive(table, File("/0", b"a"), File("#1/4", b"\xe9.o\0b")))
        assert found == [("a_long_caf\ufffd_name.o", b"a"), ("\ufffd.o", b"b")]

    def test_names_that_are_no_text(self) -> None:
        assert [name for name, _ in listed(archive(File("caf\xe9.o/", b"a")))] == ["caf\ufffd.o"]

    def test_two_of_a_name(self) -> None:
        assert listed(archive(File("a.o/", b"1"), File("a.o/", b"2"))) == [("a.o", b"1"), ("a.o", b"2")]

    def test_content_that_looks_like_a_header(self) -> None:
        inside = archive(File("inner.o/", b"x"))
        assert listed(archive(File("outer.a/", inside))) == [("outer.a", inside)]

    def test_data_is_no_copy(self) -> None:
        content = bytearray(archive(File("a.o/", b"before")))
        (member,) = members(memoryview(content), "lib.a")
        content[-6:] = b"after!"
        assert bytes(member.data) == b"after!"


class TestBad:
    @pytest.mark.parametrize("data", [b"", b"!<arch>", b"\x7fELF", b"!<thin>\n" + header("a.o/", 4)])
    def test_no_archive(self, data: bytes) -> None:
        assert "it is no archive" in reason_of(data)

    def test_cut_off_anywhere(self) -> None:
        """Except where a member ends, no beginning of an archive is an archive."""
        whole = gnu(**FILES)
        ends = {len(MAGIC)}
        position = len(MAGIC)
        while position < len(whole):
            size = int(whole[position + 48 : position + 58])
            position += 60 + size
            ends |= {position, position + size % 2}
            position += size % 2
        for end in range(len(MAGIC), len(whole)):
            if end not in ends:
                assert reason_of(whole[:end])

    def test_member_larger_than_the_archive(self) -> None:
        assert "member a.o/ is cut off" in reason_of(MAGIC + header("a.o/", 9999999999) + b"data")

    @pytest.mark.parametrize("size", ["", "-1", "0x10", "4.0", "four"])
    def test_size_that_is_no_number(self, size: str) -> None:
        assert "no member header at byte 8" in reason_of(MAGIC + header("a.o/", size) + b"data")

    def test_header_with_another_end(self) -> None:
        assert "no member header" in reason_of(archive(File("a.o/", b"data")).replace(b"`\n", b"``"))

    @pytest.mark.parametrize("name", ["/6", "/99", "/0"])
    def test_long_name_outside_its_table(self, name: str) -> None:
        table = [File("//", b"a.o/\n")] if name != "/0" else []
        assert f"the long name {name}" in reason_of(archive(*table, File(name, b"data")))

    def test_long_name_without_an_end(self) -> None:
        assert "the long name /0" in reason_of(archive(File("//", b"a.o"), File("/0", b"data")))

    def test_bsd_name_longer_than_its_member(self) -> None:
        assert reason_of(archive(File("#1/20", b"short"), File("a.o", b"data")))


class TestAnything:
    @given(st.binary(max_size=300))
    def test_bytes(self, data: bytes) -> None:
        self.read(MAGIC + data)

    @given(
        st.sampled_from([gnu(**FILES), bsd(**FILES)]),
        st.lists(st.tuples(st.integers(8, 10**6), st.integers(0, 255)), max_size=6),
        st.integers(8, 10**6),
    )
    @example(gnu(**FILES), [], 100)
    def test_damage(self, data: bytes, changes: list[tuple[int, int]], end: int) -> None:
        content = bytearray(data)
        for place, value in changes:
            content[8 + place % (len(content) - 8)] = value
        self.read(bytes(content[: 8 + end % len(content)]))

    @given(
        st.dictionaries(
            st.from_regex(r"[a-z][a-z0-9_.+-]{0,40}\.o", fullmatch=True), st.binary(max_size=20), max_size=5
        ),
        st.sampled_from([gnu, bsd]),
    )
    def test_what_was_put_in_comes_out(self, files: dict[str, bytes], form: Callable[..., bytes]) -> None:
        assert listed(form(**files)) == list(files.items())

    @staticmethod
    def read(data: bytes) -> None:
        try:
            found = listed(data)
        except BadElf as error:
            assert error.fields["reason"]
        else:
            assert sum(len(content) + 60 for _, content in found) <= len(data)
