from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monolisp.store import Store
from monolisp.toolchain import doctor
from monolisp.toolchain.doctor import Check, Diagnosis, Facts, Finding, State, family_of, judge, read_rules, render
from monolisp.toolchain.host import lisp_names

RULES = read_rules()
PROGRAMS = {name: f"/usr/bin/{name}" for need in RULES.needs for name in need.of} | {"sbcl": "/usr/bin/sbcl"}
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
GOOD = Facts(
    programs=PROGRAMS,
    modules=frozenset({"_lzma", "_bz2"}),
    zig="/venv/ziglang/zig",
    zig_fault="",
    store="/store",
    free=80 * 10**9,
    sysctls={"user.max_user_namespaces": "96365", "kernel.unprivileged_userns_clone": ""},
    os_release=DEBIAN,
    root=False,
)


def without(*programs: str, facts: Facts = GOOD) -> Facts:
    return replace(facts, programs={name: path for name, path in facts.programs.items() if name not in programs})


def found(diagnosis: Diagnosis, name: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.name == name)


def test_a_good_machine() -> None:
    diagnosis = judge(RULES, GOOD)
    assert diagnosis.ok
    assert {finding.state for finding in diagnosis.findings} == {State.FOUND}
    assert all(finding.where and not finding.install for finding in diagnosis.findings)
    assert render(diagnosis).endswith("ready to build")
    assert "try:" not in render(diagnosis)


@pytest.mark.parametrize(
    ("release", "family", "command"),
    [
        (DEBIAN, "debian", "sudo apt-get install make"),
        ('ID="linuxmint"\nID_LIKE="ubuntu debian"\n', "debian", "sudo apt-get install make"),
        ("ID=fedora\n", "fedora", "sudo dnf install make"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora", "sudo dnf install make"),
        ("NAME='Alpine Linux'\nID=alpine\n", "alpine", "sudo apk add make"),
        ("ID=arch", "arch", "sudo pacman -S make"),
    ],
)
def test_the_command_of_this_distribution(release: str, family: str, command: str) -> None:
    diagnosis = judge(RULES, replace(without("make"), os_release=release))
    assert diagnosis.family == family
    assert not diagnosis.ok
    assert f"try: {command}\n" in render(diagnosis)
    assert render(diagnosis).count("try: ") == 1


@pytest.mark.parametrize("release", ["", "ID=plan9\n", "garbage", "ID=\n"])
def test_every_command_when_the_distribution_is_unknown(release: str) -> None:
    text = render(judge(RULES, replace(without("make"), os_release=release)))
    for line in (
        "try, on Debian, Ubuntu: sudo apt-get install make",
        "try, on Fedora: sudo dnf install make",
        "try, on Alpine: sudo apk add make",
        "try, on Arch: sudo pacman -S make",
    ):
        assert line in text


def test_root_needs_no_sudo() -> None:
    assert "try: apt-get install make" in render(judge(RULES, replace(without("make"), root=True)))


def test_no_host_lisp() -> None:
    """With apt-get one can be fetched; without, it is missing. Any of them will do."""
    with_apt = judge(RULES, without("sbcl"))
    assert found(with_apt, "host Lisp").state is State.ABSENT
    assert "apt-get will fetch" in found(with_apt, "host Lisp").where
    assert with_apt.ok
    alone = judge(RULES, without("sbcl", "apt-get"))
    assert found(alone, "host Lisp").state is State.MISSING
    assert all(name in found(alone, "host Lisp").where for name in lisp_names())
    other = replace(GOOD, programs={**without("sbcl").programs, "clisp": "/opt/clisp"})
    assert found(judge(RULES, other), "host Lisp").where == "/opt/clisp"


def test_what_can_be_done_without_does_not_fail() -> None:
    facts = replace(without("apt-get"), sysctls={"kernel.apparmor_restrict_unprivileged_userns": "1"})
    diagnosis = judge(RULES, facts)
    assert diagnosis.ok
    assert found(diagnosis, "apt-get").state is State.ABSENT
    namespaces = found(diagnosis, "user namespaces")
    assert namespaces.state is State.ABSENT
    assert namespaces.install == {"any": "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"}
    assert "optional:" in render(diagnosis)
    assert found(judge(RULES, replace(facts, root=True)), "user namespaces").state is State.FOUND


@pytest.mark.parametrize(
    ("facts", "name", "where"),
    [
        (replace(GOOD, free=1_900_000_000), "room for the store", "1.9 GB free for /store, 2 GB needed"),
        (replace(GOOD, modules=frozenset({"_bz2"})), "Python module lzma", "not in "),
        (replace(GOOD, zig="", zig_fault="zig 0.15.2 is not pinned"), "zig", "zig 0.15.2 is not pinned"),
        (without("sed", "tr"), "sh and its tools", "sed, tr not on PATH"),
    ],
)
def test_what_is_missing_is_named(facts: Facts, name: str, where: str) -> None:
    diagnosis = judge(RULES, facts)
    assert not diagnosis.ok
    assert found(diagnosis, name).state is State.MISSING
    assert where in found(diagnosis, name).where
    assert render(diagnosis).endswith("then ask again")


def test_zig_comes_from_pip_in_the_pinned_version() -> None:
    command = found(judge(RULES, replace(GOOD, zig="", zig_fault="x")), "zig").install["any"]
    assert " -m pip install ziglang==" in command and "{" not in command


@pytest.mark.parametrize("facts", [GOOD, without(*PROGRAMS), replace(without("make"), os_release="")])
def test_json_fits_its_schema(facts: Facts) -> None:
    schema = json.loads(files("monolisp.toolchain").joinpath("doctor.schema.json").read_text())
    document = json.loads(json.dumps(judge(RULES, facts).as_json()))
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "more": 1}, schema)


def test_every_row_can_be_acted_upon() -> None:
    """A missing program names packages of every family; nothing but space has no command at all."""
    for need in RULES.needs:
        if need.check in (Check.ANY_PROGRAM, Check.HOST_LISP, Check.MODULE):
            assert set(need.packages or {}) == set(RULES.families)
        assert need.why


@settings(deadline=None)
@given(st.text(alphabet='ID_LKE="debianrch\n= ', max_size=60))
def test_any_os_release_is_read(text: str) -> None:
    assert family_of(text, RULES.families) in (None, *RULES.families)


def test_the_survey_looks_only_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "make").write_text("")
    (tmp_path / "bin" / "make").chmod(0o755)
    (tmp_path / "os-release").write_text("ID=alpine\n")
    sysctl = tmp_path / "sys" / "user"
    sysctl.mkdir(parents=True)
    (sysctl / "max_user_namespaces").write_text("0\n")
    monkeypatch.setattr(doctor, "_OS_RELEASE", (tmp_path / "nowhere", tmp_path / "os-release"))
    monkeypatch.setattr(doctor, "_SYSCTL", tmp_path / "sys")
    facts = doctor.survey(RULES, Store(tmp_path / "store").prepare(), str(tmp_path / "bin"))
    assert facts.programs == {"make": str(tmp_path / "bin" / "make")}
    assert facts.os_release == "ID=alpine\n"
    assert facts.sysctls["user.max_user_namespaces"] == "0"
    assert facts.free > 0
