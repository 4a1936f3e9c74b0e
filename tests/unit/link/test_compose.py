from __future__ import annotations

import errno
import os
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monolisp.elf.reader import Elf
from monolisp.errors import BadElf
from monolisp.link.compose import complete, compose
from monolisp.lisp.corefile import core_span, linkage_of
from tests.unit.elf.making import (
    LOAD,
    STACK_PLAIN,
    STRTAB,
    Form,
    R,
    Sec,
    Seg,
    Sym,
    X,
    make_elf,
    static_program,
    symbol_sections,
)
from tests.unit.lisp.making import MAGIC, Name, make_core, words

ALIGNMENT = 65536
NOTES = {"monolisp.linkage": b'[["puts","function","libc"]]', "monolisp.made-of": b"\0\1\2", "empty": b""}
CORE = bytes(range(256)) * 300 + b"odd"


class Composed:
    """A composed file, and what it was made of."""

    def __init__(self, folder: Path, code: bytes, core: bytes = CORE, alignment: int = ALIGNMENT) -> None:
        self.code, self.core = code, core
        (folder / "code").write_bytes(code)
        (folder / "core").write_bytes(core)
        self.path = folder / "out"
        compose(folder / "code", folder / "core", alignment, NOTES, self.path)
        self.content = self.path.read_bytes()
        self.elf = Elf.parse(memoryview(self.content), "out")
        self.before = Elf.parse(memoryview(code), "code")

    def data(self, name: str) -> bytes:
        section = self.elf.section(name)
        assert section is not None
        return bytes(self.elf.section_data(section))


@pytest.fixture
def composed(tmp_path: Path) -> Composed:
    return Composed(tmp_path, static_program(sections=[Sec(".comment", data=b"zig")]))


class TestSections:
    def test_the_core_is_in_it(self, composed: Composed) -> None:
        assert composed.data("lisp.core") == composed.core

    @pytest.mark.parametrize("alignment", [4096, 65536])
    def test_where_the_kernel_can_map_it(self, tmp_path: Path, alignment: int) -> None:
        section = Composed(tmp_path, static_program(), alignment=alignment).elf.section("lisp.core")
        assert section is not None
        assert section.offset % alignment == 0
        assert section.addralign == alignment

    @pytest.mark.parametrize("size", [0, 1, 8, 65535, 65536, 65537])
    def test_of_any_size(self, tmp_path: Path, size: int) -> None:
        core = os.urandom(size)
        assert Composed(tmp_path, static_program(), core).data("lisp.core") == core

    def test_notes(self, composed: Composed) -> None:
        assert {name: composed.data(name) for name in NOTES} == NOTES

    def test_the_others_are_as_they_were(self, composed: Composed) -> None:
        was = {section.name: section for section in composed.before.sections if section.name != ".shstrtab"}
        now = {section.name: section for section in composed.elf.sections if section.name != ".shstrtab"}
        assert {name: now[name] for name in was} == was
        assert now.keys() - was.keys() == {"lisp.core", *NOTES}
        for name, section in was.items():
            assert composed.data(name) == bytes(composed.before.section_data(section))

    def test_nothing_new_is_mapped(self, composed: Composed) -> None:
        """Flags and addresses of what was added are 0, and the segments end before it."""
        core = composed.elf.section("lisp.core")
        assert core is not None
        assert (core.flags, core.addr) == (0, 0)
        assert all(segment.offset + segment.filesz <= core.offset for segment in composed.elf.segments)

    def test_nothing_overlaps(self, composed: Composed) -> None:
        """No two sections share bytes, and none the section headers."""
        header = composed.elf.header
        parts = [(section.offset, section.offset + section.size) for section in composed.elf.sections if section.size]
        parts.append((header.section_offset, header.section_offset + 64 * header.section_count))
        parts.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(parts))

    def test_symbols_keep_their_names(self, composed: Composed) -> None:
        def seen(elf: Elf) -> list[tuple[str, int, int]]:
            return [(symbol.name, symbol.value, symbol.shndx) for symbol in elf.symbols()]

        assert seen(composed.elf) == seen(composed.before)
        assert len(seen(composed.elf)) == 3


class TestSegments:
    def test_are_as_they_were(self, composed: Composed) -> None:
        assert composed.elf.segments == composed.before.segments
        assert composed.elf.header.entry == composed.before.header.entry

    def test_no_byte_of_the_code_changes(self, composed: Composed) -> None:
        """But the header's: where the section headers are, how many, which holds the names."""
        changed = {at for at, byte in enumerate(composed.code) if composed.content[at] != byte}
        assert changed <= {*range(40, 48), *range(60, 64)}


def names_in_the_middle() -> bytes:
    """Section names before the symbols' ones, as lld orders them when a program is not stripped."""
    symbols = symbol_sections([Sym("_start"), Sym("main")], Form())
    names = ["", ".text", ".symtab", ".shstrtab", ".strtab", ".shstrtab"]
    table = Sec(".shstrtab", STRTAB, b"".join(name.encode() + b"\0" for name in names))
    code = bytearray(make_elf([Seg(LOAD, R | X, b"code", 0x400000)], [Sec(".text"), symbols[0], table, symbols[1]]))
    struct.pack_into("<H", code, 62, 3)
    return bytes(code)


class TestOtherShapes:
    def test_names_in_the_middle(self, tmp_path: Path) -> None:
        before = Elf.parse(memoryview(names_in_the_middle()), "code")
        assert [symbol.name for symbol in before.symbols()] == ["_start", "main"]
        composed = Composed(tmp_path, names_in_the_middle())
        assert [symbol.name for symbol in composed.elf.symbols()] == ["_start", "main"]

    def test_no_other_section(self, tmp_path: Path) -> None:
        composed = Composed(tmp_path, make_elf([STACK_PLAIN], [Sec(".text")]))
        assert composed.data("lisp.core") == CORE

    @pytest.mark.parametrize(
        "content", [b"", b"#!/bin/sh\n", static_program(Form(32)), static_program(Form(64, "big"))]
    )
    def test_no_64_bit_little_endian_elf_file(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BadElf):
            Composed(tmp_path, content)

    @pytest.mark.parametrize("content", [static_program()[:30], make_elf([STACK_PLAIN]), static_program()[:-65]])
    def test_without_its_section_headers(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BadElf):
            Composed(tmp_path, content)


class TestFile:
    def test_what_was_there_goes(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_bytes(b"x" * 1_000_000)
        composed = Composed(tmp_path, static_program())
        assert len(composed.content) < 500_000
        assert b"xxxx" not in composed.content

    def test_inputs_are_not_touched(self, composed: Composed) -> None:
        folder = composed.path.parent
        assert (folder / "code").read_bytes() == composed.code
        assert (folder / "core").read_bytes() == composed.core

    def test_twice_is_the_same(self, tmp_path: Path) -> None:
        assert Composed(tmp_path, static_program()).content == Composed(tmp_path, static_program()).content

    def test_lisp_finds_its_core(self, tmp_path: Path) -> None:
        names = [Name("puts"), Name("environ", data=True)]
        composed = Composed(tmp_path, static_program(), make_core(names))
        assert [entry.name for entry in linkage_of(composed.path)] == ["puts", "environ"]


class TestComplete:
    """Lisp may write its core behind the code itself: then the same file comes out as when it is copied."""

    @staticmethod
    def saved(folder: Path, code: bytes, core: bytes) -> Path:
        """What Lisp writes: code, padding, core, where the core begins, magic. Source: SBCL save.c."""
        begin = -(-len(code) // ALIGNMENT) * ALIGNMENT
        (folder / "saved").write_bytes(code.ljust(begin, b"\0") + core + words(begin, MAGIC))
        return folder / "saved"

    @pytest.mark.parametrize("notes", [NOTES, {}], ids=["notes", "no notes"])
    def test_is_what_compose_makes(self, tmp_path: Path, notes: dict[str, bytes]) -> None:
        code, core = static_program(), make_core([Name("puts")])
        for name, content in (("code", code), ("core", core)):
            (tmp_path / name).write_bytes(content)
        compose(tmp_path / "code", tmp_path / "core", ALIGNMENT, notes, tmp_path / "out")
        path = self.saved(tmp_path, code, core)
        complete(path, core_span(path), ALIGNMENT, notes)
        assert path.read_bytes() == (tmp_path / "out").read_bytes()

    def test_a_core_behind_other_code_is_taken_out(self, tmp_path: Path) -> None:
        code, core = static_program(), make_core([Name("puts")])
        (tmp_path / "code").write_bytes(code)
        (tmp_path / "core").write_bytes(core)
        compose(tmp_path / "code", tmp_path / "core", ALIGNMENT, NOTES, tmp_path / "out")
        path = self.saved(tmp_path, make_elf([STACK_PLAIN], [Sec(".other", data=b"x" * 70_000)]), core)
        compose(tmp_path / "code", path, ALIGNMENT, NOTES, tmp_path / "out2", core_span(path))
        assert (tmp_path / "out2").read_bytes() == (tmp_path / "out").read_bytes()


class TestCopying:
    def test_where_the_kernel_cannot_share(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = Composed(tmp_path, static_program()).content

        def refuse(*arguments: object) -> int:
            raise OSError(errno.EXDEV, "another file system")

        monkeypatch.setattr(os, "copy_file_range", refuse)
        assert Composed(tmp_path, static_program()).content == expected

    @pytest.mark.parametrize("refused", [False, True])
    def test_piece_by_piece(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
        expected = Composed(tmp_path, static_program()).content
        copy, send, pieces = os.copy_file_range, os.sendfile, []

        def copy_little(source: int, target: int, count: int) -> int:
            if refused:
                raise OSError(errno.EINVAL, "no")
            pieces.append(count)
            return copy(source, target, min(count, 1000))

        def send_little(target: int, source: int, offset: int | None, count: int) -> int:
            pieces.append(count)
            return send(target, source, offset, min(count, 1000))

        monkeypatch.setattr(os, "copy_file_range", copy_little)
        monkeypatch.setattr(os, "sendfile", send_little)
        assert Composed(tmp_path, static_program()).content == expected
        assert len(pieces) == -(-len(CORE) // 1000)

    def test_a_full_disk_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*arguments: object) -> int:
            raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr(os, "copy_file_range", full)
        monkeypatch.setattr(os, "sendfile", full)
        with pytest.raises(OSError) as caught:
            Composed(tmp_path, static_program())
        assert caught.value.errno == errno.ENOSPC


@given(
    core=st.binary(max_size=200),
    notes=st.dictionaries(st.from_regex(r"[a-z.]{1,12}", fullmatch=True), st.binary(max_size=50), max_size=4),
    alignment=st.sampled_from([1, 8, 4096, 65536]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_anything_put_in_comes_out(tmp_path: Path, core: bytes, notes: dict[str, bytes], alignment: int) -> None:
    (tmp_path / "code").write_bytes(static_program())
    (tmp_path / "core").write_bytes(core)
    compose(tmp_path / "code", tmp_path / "core", alignment, notes, tmp_path / "out")
    elf = Elf.parse(memoryview((tmp_path / "out").read_bytes()), "out")
    was = [section.name for section in Elf.parse(memoryview(static_program()), "code").sections]
    added = [section for section in elf.sections if section.name not in was]
    found = [(section.name, bytes(elf.section_data(section))) for section in added]
    assert found == [("lisp.core", core), *((name, content) for name, content in notes.items() if name not in was)]
