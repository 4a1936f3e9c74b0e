from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monolisp import linkage
from monolisp.linkage.names import Kind
from monolisp.linkage.sizes import Sizes
from monolisp.linkage.table import (
    FOR_IMAGES,
    FOR_LISP,
    OURS,
    RECORDED,
    WITHHELD,
    Linked,
    everything_table,
    program_table,
)

SIZES = Sizes("1GiB", "2MiB")
SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]+)|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
STRING = r'"((?:[^"\\\n]|\\.)*)"'


def meant(literal: str) -> str:
    """What a C compiler makes of the inside of a string literal. Source: C11, 6.4.4.4."""

    def one(match: re.Match[str]) -> str:
        octal, hexadecimal, universal, other = match.groups()
        if octal or hexadecimal:
            return chr(int(octal, 8) if octal else int(hexadecimal, 16))
        return chr(int(universal, 16)) if universal else SIMPLE.get(other, other)

    return ESCAPE.sub(one, literal)


class Read:
    """The generated C, read back: nothing may be in it but what is expected line by line."""

    def __init__(self, source: str) -> None:
        self.labels: dict[str, str] = {}
        self.symbols: list[tuple[str, str]] = []
        self.libraries: list[str] = []
        self.values: list[str] = []
        self.kinds: list[int] = []
        self.texts: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self._source = source
        while self._source:
            self._statement()

    def _take(self, pattern: str) -> re.Match[str] | None:
        match = re.match(pattern + r"\s*", self._source, re.DOTALL)
        if match:
            self._source = self._source[match.end() :]
        return match

    def _statement(self) -> None:
        if self._take(r'#include ["<][a-z.]+[">]\n'):
            return
        if match := self._take(rf"extern char ([a-z]\d+)\[\] __asm__\({STRING}\);"):
            assert match[1] not in self.labels
            self.labels[match[1]] = meant(match[2])
        elif match := self._take(rf"const char (\w+)\[\] = {STRING};"):
            self.texts[match[1]] = meant(match[2])
        elif match := self._take(r"const (?:size_t|int) (\w+) = (\d+);"):
            self.counts[match[1]] = int(match[2])
        elif self._take(r"const struct monolisp_symbol monolisp_symbols\[\] = \{"):
            while match := self._take(rf"\{{{STRING}, (\w+)\}},"):
                self.symbols.append((meant(match[1]), self.labels[match[2]]))
            assert self.symbols or self._take(r"\{0, 0\}")
            assert self._take(r"\};")
        elif self._take(r"const char \*const monolisp_libraries\[\] = \{"):
            while match := self._take(rf"{STRING},"):
                self.libraries.append(meant(match[1]))
            assert self.libraries or self._take("0")
            assert self._take(r"\};")
        elif match := self._take(r"void \*alien_linkage_values\[\] = \{([a-z0-9,\s]+)\};"):
            self.values = [self.labels.get(value.strip(), value.strip()) for value in match[1].split(",")]
        elif match := self._take(r"const uint8_t monolisp_linkage_kinds\[\] = \{([0-9,\s]+)\};"):
            self.kinds = [int(value) for value in match[1].split(",")]
        else:
            raise AssertionError(f"this is not expected: {self._source[:80]!r}")


def ordered(names: Sequence[str]) -> bool:
    """As strcmp sees it."""
    return [name.encode() for name in names] == sorted(name.encode() for name in names)


FOLDER = Path(linkage.__file__).parent


def defined_in(file: str) -> set[str]:
    """The functions that one of our C files defines for others."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    return set(re.findall(r"^(?!static|extern)[a-zA-Z].*?\b(\w+)\([^;]*$", text, re.MULTILINE))


class TestOurC:
    def test_what_dl_c_defines_is_ours(self) -> None:
        assert defined_in("dl.c") == set(OURS)

    def test_what_is_redirected_to_is_defined(self) -> None:
        assert defined_in("record.c") | defined_in("dump.c") >= set(RECORDED.values())

    def test_what_lisp_calls_is_defined(self) -> None:
        assert defined_in("clerk.c") | defined_in("dump.c") >= set(FOR_LISP)

    def test_the_codes_are_those_of_program_c(self) -> None:
        text = (FOLDER / "program.c").read_text(encoding="utf-8")
        assert "enum { DEFINED, UNDEFINED_FUNCTION, UNDEFINED_DATA };" in text

    @pytest.mark.parametrize("file", ["dl.c", "program.c", "record.c", "tables.h"])
    def test_every_name_that_is_declared_is_made(self, file: str) -> None:
        """What the C files expect to be generated is generated, under that name."""
        text = (FOLDER / file).read_text(encoding="utf-8")
        made = program_table([linked("puts")], SIZES)
        declared = set(re.findall(r"^extern const .*?(\w+)(?:\[\])?;", text, re.MULTILINE))
        assert all(re.search(rf"^const [^=]*\b{name}\b", made, re.MULTILINE) for name in declared)


class TestBuildRuntime:
    def test_every_name_leads_to_its_definition(self) -> None:
        found = Read(everything_table(["puts", "malloc"]))
        assert dict(found.symbols) == {name: name for name in ("puts", "malloc", *OURS, *FOR_IMAGES, *FOR_LISP)}
        assert found.counts["monolisp_symbol_count"] == len(found.symbols)

    def test_sorted_by_bytes(self) -> None:
        """dl.c searches by halves, with strcmp."""
        names = [name for name, _ in Read(everything_table(["b", "a", "_", "B", "aa", "é", "z", "\U0001f600"])).symbols]
        assert ordered(names)
        assert names.index("B") < names.index("_") < names.index("a") < names.index("aa") < names.index("b")

    def test_ours_are_there_once(self) -> None:
        for names in ([], ["puts"], [*OURS, "puts", *OURS]):
            found = [name for name, _ in Read(everything_table(names)).symbols]
            assert [found.count(name) for name in OURS] == [1] * len(OURS)

    def test_withheld_are_not(self) -> None:
        """Nobody's to call; and dlinfo would bring libc's own dlopen along."""
        withheld = {"main", "_start", "_init", "_fini", "dlinfo"}
        found = dict(Read(everything_table([*withheld, *WITHHELD, "puts"])).symbols)
        assert "puts" in found
        assert not found.keys() & (withheld | WITHHELD)

    def test_what_is_read_is_recorded(self) -> None:
        found = dict(Read(everything_table(["open", "sb_opendir", "openat", "opendir"])).symbols)
        assert found["open"] == "monolisp_record_open"
        assert found["sb_opendir"] == "monolisp_record_opendir"
        assert (found["openat"], found["opendir"]) == ("openat", "opendir")

    def test_nothing_is_recorded_that_is_not_there(self) -> None:
        assert not dict(Read(everything_table(["puts"])).symbols).keys() & RECORDED.keys()

    def test_libraries(self) -> None:
        found = Read(everything_table([], ["libm.so.6", "libz.so.1"]))
        assert (found.libraries, found.counts["monolisp_library_count"]) == (["libm.so.6", "libz.so.1"], 2)
        found = Read(everything_table([]))
        assert (found.libraries, found.counts["monolisp_library_count"]) == ([], 0)

    @given(st.sets(st.from_regex(r"[A-Za-z_$.][A-Za-z0-9_$.@]{0,12}", fullmatch=True), max_size=12))
    def test_any_names(self, names: set[str]) -> None:
        found = Read(everything_table(names))
        assert {name for name, _ in found.symbols} == (names | {*OURS, *FOR_IMAGES, *FOR_LISP}) - WITHHELD
        assert ordered([name for name, _ in found.symbols])


def linked(name: str, kind: Kind = Kind.FUNCTION, origin: str | None = "libc") -> Linked:
    return Linked(name, kind, origin)


class TestProgram:
    def test_values_are_in_the_order_of_the_core(self) -> None:
        table = [linked("puts"), linked("environ", Kind.DATA), linked("abs")]
        found = Read(program_table(table, SIZES))
        assert found.values == ["puts", "environ", "abs"]
        assert found.kinds == [0, 0, 0]
        assert found.counts["monolisp_linkage_count"] == 3

    def test_what_nothing_defines_is_coded(self) -> None:
        """The codes of program.c: 0 defined, 1 an undefined function, 2 undefined data."""
        table = [linked("f", origin=None), linked("puts"), linked("v", Kind.DATA, None), linked("g", origin=None)]
        found = Read(program_table(table, SIZES))
        assert found.values == ["0", "puts", "0", "0"]
        assert found.kinds == [1, 0, 2, 1]

    def test_an_undefined_name_is_not_referred_to(self) -> None:
        """A program does not fail to link because of a function that it never calls."""
        assert "no_such" not in program_table([linked("no_such", origin=None), linked("puts")], SIZES)

    def test_a_name_may_be_function_and_data(self) -> None:
        table = [linked("x"), linked("puts"), linked("x", Kind.DATA)]
        assert Read(program_table(table, SIZES)).values == ["x", "puts", "x"]

    def test_an_empty_linkage_table(self) -> None:
        found = Read(program_table([], SIZES))
        assert found.counts["monolisp_linkage_count"] == 0
        assert (found.values, found.kinds) == (["0"], [0])

    def test_nothing_can_be_looked_up(self) -> None:
        found = Read(program_table([linked("puts")], SIZES))
        assert (found.symbols, found.counts["monolisp_symbol_count"]) == ([], 0)

    def test_except_what_is_exported(self) -> None:
        found = Read(program_table([linked("puts")], SIZES, ["libz.so.1"], ["inflate", "abs"]))
        assert found.symbols == [("abs", "abs"), ("inflate", "inflate")]
        assert found.libraries == ["libz.so.1"]

    def test_nothing_is_recorded_in_a_finished_program(self) -> None:
        table = [linked(name) for name in RECORDED]
        found = Read(program_table(table, SIZES, exports=list(RECORDED)))
        assert found.values == list(RECORDED)
        assert dict(found.symbols) == {name: name for name in RECORDED}

    def test_sizes(self) -> None:
        found = Read(program_table([], Sizes("512", "4MiB")))
        assert (found.texts["monolisp_heap"], found.texts["monolisp_stack"]) == ("512", "4MiB")

    @given(
        st.lists(
            st.builds(
                Linked,
                st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
                st.sampled_from(Kind),
                st.sampled_from(["libc", "runtime", None]),
            ),
            max_size=10,
            unique_by=lambda entry: entry.name,
        )
    )
    def test_any_linkage_table(self, table: list[Linked]) -> None:
        found = Read(program_table(table, SIZES))
        codes = {Kind.FUNCTION: 1, Kind.DATA: 2}
        assert found.values == ([entry.name if entry.origin else "0" for entry in table] or ["0"])
        assert found.kinds == ([0 if entry.origin else codes[entry.kind] for entry in table] or [0])
        assert found.counts["monolisp_linkage_count"] == len(table)


HARMLESS = ["größe", "%s", "*/", "//", "a b", "a,b", "{0, 0}", "'", "??/", "\U0001f600", "_ZN3foo3barEv", "x@GLIBC_2"]
BREAKING = ['a"b', 'a"};int x={"', "a\\b", "a\\", "a\nb", "\\x41", "\\101"]


class TestOddNames:
    """Whatever a name is, the C is that name's, and nothing else."""

    odd = pytest.mark.parametrize("name", [*HARMLESS, *BREAKING])

    @odd
    def test_asked_for(self, name: str) -> None:
        assert (name, name) in Read(everything_table([name])).symbols

    @odd
    def test_in_a_linkage_table(self, name: str) -> None:
        found = Read(program_table([linked("a"), linked(name), linked("z")], SIZES))
        assert found.values == ["a", name, "z"]

    @pytest.mark.parametrize("name", [*HARMLESS, *BREAKING])
    def test_in_a_linkage_table_and_undefined(self, name: str) -> None:
        """These come from programs; the others come from archives."""
        assert Read(program_table([linked(name, origin=None)], SIZES)).kinds == [1]

    @odd
    def test_libraries(self, name: str) -> None:
        assert Read(everything_table([], [name])).libraries == [name]


class TestReading:
    """Read itself sees what is wrong."""

    @pytest.mark.parametrize(
        "source",
        [
            'const char x[] = "a"b";',
            'const char x[] = "a\nb";',
            "int x;",
            'extern char s0[] __asm__("a\\");',
            'extern char s0[] __asm__("a"); extern char s0[] __asm__("b");',
        ],
    )
    def test_refuses(self, source: str) -> None:
        with pytest.raises(AssertionError):
            Read(source)

    @pytest.mark.parametrize(
        ("literal", "text"), [("a\\\\b", "a\\b"), ('\\"', '"'), ("\\n", "\n"), ("\\303x", "\xc3x"), ("\\x41", "A")]
    )
    def test_escapes(self, literal: str, text: str) -> None:
        assert meant(literal) == text
