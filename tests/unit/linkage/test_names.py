from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monolisp.errors import BadElf
from monolisp.linkage.names import Kind, names_in, origin_of
from tests.unit.elf.making import PROGBITS, Form, Sec, Sym, make_elf, symbol_sections
from tests.unit.linkage.test_archive import MAGIC, File, archive, gnu

LOCAL, GLOBAL, WEAK = 0, 1, 2
NOTYPE, OBJECT, FUNC, SECTION, COMMON, TLS, IFUNC = 0, 1, 2, 3, 5, 6, 10
DEFAULT, HIDDEN, PROTECTED = 0, 2, 3
UNDEFINED, ABSOLUTE, COMMONS = 0, 0xFFF1, 0xFFF2


def sym(name: str, bind: int = GLOBAL, kind: int = FUNC, shndx: int = 1, visibility: int = DEFAULT) -> Sym:
    return Sym(name, bind << 4 | kind, shndx, other=visibility)


def object_with(*symbols: Sym) -> bytes:
    """A relocatable object."""
    return make_elf(sections=[Sec(".text", PROGBITS, b"\xc3"), *symbol_sections(symbols, Form())], kind=1)


def names(tmp_path: Path, content: bytes) -> dict[str, Kind]:
    path = tmp_path / "lib.a"
    path.write_bytes(content)
    return names_in(path)


class TestRules:
    @pytest.mark.parametrize(
        ("symbol", "kind"),
        [
            (sym("f"), Kind.FUNCTION),
            (sym("f", WEAK), Kind.FUNCTION),
            (sym("f", kind=IFUNC), Kind.FUNCTION),
            (sym("f", kind=NOTYPE), Kind.FUNCTION),
            (sym("f", shndx=ABSOLUTE, kind=NOTYPE), Kind.FUNCTION),
            (sym("v", kind=OBJECT), Kind.DATA),
            (sym("v", WEAK, OBJECT), Kind.DATA),
            (sym("v", kind=COMMON, shndx=COMMONS), Kind.DATA),
            (sym("memcpy", visibility=HIDDEN), Kind.FUNCTION),
            (sym("_exit"), Kind.FUNCTION),
            (sym("__errno_location"), Kind.FUNCTION),
        ],
    )
    def test_offered(self, tmp_path: Path, symbol: Sym, kind: Kind) -> None:
        assert names(tmp_path, object_with(symbol)) == {symbol.name: kind}

    @pytest.mark.parametrize(
        "symbol",
        [
            sym("static_function", LOCAL),
            sym("puts", shndx=UNDEFINED),
            sym("maybe", WEAK, shndx=UNDEFINED),
            sym("errno_storage", kind=TLS),
            sym("__libc_own", visibility=HIDDEN),
            sym("_protected", visibility=PROTECTED),
            sym(""),
            sym(".text", LOCAL, SECTION),
        ],
    )
    def test_not_offered(self, tmp_path: Path, symbol: Sym) -> None:
        assert names(tmp_path, object_with(symbol, sym("other"))) == {"other": Kind.FUNCTION}

    def test_sorted(self, tmp_path: Path) -> None:
        assert list(names(tmp_path, object_with(sym("b"), sym("_"), sym("B"), sym("a")))) == ["B", "_", "a", "b"]

    def test_an_object_without_symbols(self, tmp_path: Path) -> None:
        assert names(tmp_path, make_elf(sections=[Sec(".text")], kind=1)) == {}


class TestArchives:
    def test_all_members(self, tmp_path: Path) -> None:
        content = gnu(
            **{"a.o": object_with(sym("a")), "a_rather_long_name_for_it.o": object_with(sym("b", kind=OBJECT))}
        )
        assert names(tmp_path, content) == {"a": Kind.FUNCTION, "b": Kind.DATA}

    def test_the_first_definition_counts(self, tmp_path: Path) -> None:
        content = archive(File("1.o/", object_with(sym("x", kind=OBJECT))), File("2.o/", object_with(sym("x"))))
        assert names(tmp_path, content) == {"x": Kind.DATA}

    def test_an_undefined_name_does_not_hide_a_later_definition(self, tmp_path: Path) -> None:
        content = archive(File("1.o/", object_with(sym("x", shndx=UNDEFINED))), File("2.o/", object_with(sym("x"))))
        assert names(tmp_path, content) == {"x": Kind.FUNCTION}

    def test_what_is_no_object_is_passed_over(self, tmp_path: Path) -> None:
        content = archive(File("README/", b"text"), File("empty.o/"), File("a.o/", object_with(sym("a"))))
        assert names(tmp_path, content) == {"a": Kind.FUNCTION}

    def test_empty_archive(self, tmp_path: Path) -> None:
        assert names(tmp_path, MAGIC) == {}


class TestBad:
    def test_empty_file(self, tmp_path: Path) -> None:
        with pytest.raises(BadElf):
            names(tmp_path, b"")

    @pytest.mark.parametrize("content", [b"text", b"\x7fELF", object_with(sym("a"))[:-1]])
    def test_no_object(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(BadElf) as caught:
            names(tmp_path, content)
        assert caught.value.fields["file"] == str(tmp_path / "lib.a")

    def test_archive_that_is_cut_off(self, tmp_path: Path) -> None:
        with pytest.raises(BadElf) as caught:
            names(tmp_path, archive(File("a.o/", object_with(sym("a"))))[:-9])
        assert "is cut off" in caught.value.fields["reason"]

    def test_bad_member_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadElf) as caught:
            names(tmp_path, archive(File("bad.o/", b"\x7fELF but no more")))
        assert caught.value.fields["file"] == f"{tmp_path / 'lib.a'}(bad.o)"

    whole = gnu(**{"one.o": object_with(sym("a"), sym("b")), "a_name_of_more_than_15.o": object_with(sym("c"))})

    @given(
        changes=st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=6),
        end=st.integers(len(MAGIC), len(whole)),
    )
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    def test_damage_gives_names_or_an_error(self, tmp_path: Path, changes: list[tuple[int, int]], end: int) -> None:
        content = bytearray(self.whole)
        for place, value in changes:
            content[place] = value
        try:
            found = names(tmp_path, bytes(content[:end]))
        except BadElf as error:
            assert str(tmp_path / "lib.a") in error.fields["file"]
        else:
            assert all(found)


class TestOrigin:
    def test_the_first_in_link_order(self) -> None:
        providers = {"runtime": {"os_init": "function"}, "libc": {"puts": "function"}, "more": {"puts": "function"}}
        assert origin_of("puts", providers) == "libc"
        assert origin_of("puts", dict(reversed(providers.items()))) == "more"

    def test_nowhere(self) -> None:
        assert origin_of("puts", {"libc": {"put": "function"}, "none": {}}) is None
        assert origin_of("puts", {}) is None
