from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from monolisp.elf.confine import Way
from monolisp.elf.facts import facts_in
from monolisp.elf.reader import Elf
from monolisp.elf.report import WIDTH, as_json, as_table
from monolisp.elf.trial import Ending, Trial
from monolisp.elf.verdict import Outcome, Verdict, judge
from monolisp.errors import BadElf, MonolispError, NoSuchFile
from monolisp.target import find_target
from tests.unit.elf.making import dynamic_program, static_program

TARGET = find_target("x86_64-linux-musl")
SCHEMA = json.loads(files("monolisp.elf").joinpath("verify.schema.json").read_text("utf-8"))


def verdict(data: bytes, trial: Trial | None, name: str = "a.out") -> Verdict:
    return judge(facts_in(Elf.parse(memoryview(data), name), Path(name)), TARGET, trial)


GOOD = verdict(static_program(), Trial(Ending.EXITED, Way.NAMESPACES, 0, seconds=0.002))
BAD = verdict(dynamic_program(), Trial(Ending.NOT_STARTED, Way.CHROOT, reason="the interpreter is not there"))
UNRUN = verdict(static_program(), None)
ARM = judge(replace(GOOD.facts, machine=183), None, Trial(Ending.NOT_TRIED, reason="it is for another machine"))
LONG = judge(
    replace(BAD.facts, needed=tuple("a-library-with-a-very-long-name" * 4 for _ in range(9))),
    None,
    Trial(Ending.KILLED, Way.CHROOT, 11, output="word " * 400),
)
ALL = [GOOD, BAD, UNRUN, ARM, LONG]


def test_a_good_table() -> None:
    table = as_table(GOOD).splitlines()
    assert table[0] == "a.out: truly static"
    assert len(table) == 1 + len(GOOD.findings)
    assert all(line.startswith("  ok    ") for line in table[1:])
    assert len({line.rindex(finding.found) for line, finding in zip(table[1:], GOOD.findings, strict=True)}) == 1


def test_a_bad_table_says_all_that_is_wrong_and_what_to_do() -> None:
    table = as_table(BAD)
    failed = [finding for finding in BAD.findings if finding.outcome is Outcome.FAIL]
    assert f"NOT truly static: {len(failed)} of {len(BAD.findings)} rules broken" in table
    assert table.count("  FAIL  ") == len(failed) > 8
    assert table.count("  warn  ") == 1
    assert table.count("why: ") == table.count("try: ") == len(failed) + 1


def test_what_was_not_checked_is_said() -> None:
    assert "as far as checked: 1 not checked" in as_table(UNRUN)
    assert as_table(UNRUN).count("  --    ") == 1


@pytest.mark.parametrize("verdict", ALL)
def test_tables_fit(verdict: Verdict) -> None:
    assert max(map(len, as_table(verdict).splitlines())) <= WIDTH


def test_a_file_cannot_write_on_the_terminal() -> None:
    evil = judge(replace(BAD.facts, path=Path("a\x1b[2J"), interpreter="\x1b]0;hello\x07", needed=("\u202e",)))
    table = as_table(evil)
    assert all(letter.isprintable() for letter in table.replace("\n", ""))
    assert r"\x1b]0;hello\x07" in table


def test_json_follows_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(json.dumps(as_json(ALL)))
    jsonschema.validate(document, SCHEMA)
    assert document["ok"] is False
    assert [file["ok"] for file in document["files"]] == [True, False, True, True, False]
    assert document["files"][1]["facts"]["needed"] == ["libone.so.1", "libtwo.so.2"]
    assert document["files"][2]["trial"] is None
    assert as_json([GOOD, UNRUN])["ok"] is True


def test_json_of_files_without_a_verdict() -> None:
    errors: list[MonolispError] = [NoSuchFile(file="none", reason="gone"), BadElf(file="\udcff", reason="it is empty")]
    document = json.loads(json.dumps(as_json([GOOD], [(error.fields["file"], error) for error in errors])))
    jsonschema.validate(document, SCHEMA)
    assert document["ok"] is False
    assert [file["ok"] for file in document["files"]] == [True]
    assert [(row["file"], row["error"]) for row in document["unreadable"]] == [
        ("none", "NoSuchFile"),
        ("\\udcff", "BadElf"),
    ]
    assert document["unreadable"][0]["why"] == "gone"


def test_json_of_names_that_are_no_text() -> None:
    name = "program-\udcff"
    document = as_json([judge(replace(GOOD.facts, path=Path(name)))])
    assert "program-" in json.loads(json.dumps(document).encode("utf-8"))["files"][0]["file"]


@pytest.mark.parametrize("key", ["facts", "findings", "trial"])
def test_the_schema_notices_what_is_missing(key: str) -> None:
    document = json.loads(json.dumps(as_json([GOOD])))
    del document["files"][0][key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
