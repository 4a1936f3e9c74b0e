"""What this machine lacks for building toolchains and programs, and the command that installs it.

Facts, rules and words are apart: `survey` looks at the machine, `judge` compares with doctor.toml, `render` says it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from monolisp.errors import ToolMissing, WrongZig
from monolisp.store import Store
from monolisp.toolchain.host import lisp_names
from monolisp.toolchain.zig import find_zig, pin

SCHEMA = "monolisp-doctor-1"
_OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
_SYSCTL = Path("/proc/sys")


class Check(StrEnum):
    """How a need is looked for."""

    ANY_PROGRAM = "any-program"
    EVERY_PROGRAM = "every-program"
    HOST_LISP = "host-lisp"
    MODULE = "module"
    ZIG = "zig"
    DISK = "disk"
    NAMESPACES = "namespaces"


class State(StrEnum):
    """FOUND; MISSING: building fails without it; ABSENT: not there, and can be done without."""

    FOUND = "found"
    MISSING = "missing"
    ABSENT = "absent"


@dataclass(frozen=True)
class Need:
    """One row of doctor.toml; `packages` family → packages, `command` instead of them, `gigabytes` for DISK."""

    name: str
    check: Check
    required: bool
    why: str
    of: tuple[str, ...] = ()
    packages: Mapping[str, str] | None = None
    command: str = ""
    gigabytes: int = 0


@dataclass(frozen=True)
class Family:
    """Distributions that install packages in the same way."""

    name: str
    ids: tuple[str, ...]
    install: str


@dataclass(frozen=True)
class Sysctl:
    """A kernel setting that forbids user namespaces when it has the value `forbids`."""

    name: str
    forbids: str
    allows: str


@dataclass(frozen=True)
class Rules:
    """doctor.toml."""

    needs: tuple[Need, ...]
    families: Mapping[str, Family]
    sysctls: tuple[Sysctl, ...]


@dataclass(frozen=True)
class Facts:
    """What the machine is like: program → where it is, names of Python modules that are there, the pinned zig or why
    not, free bytes of the store's disk, kernel settings by name, the text of /etc/os-release, and who asks."""

    programs: Mapping[str, str]
    modules: frozenset[str]
    zig: str
    zig_fault: str
    store: str
    free: int
    sysctls: Mapping[str, str]
    os_release: str
    root: bool


@dataclass(frozen=True)
class Finding:
    """One need on this machine; `install` maps a family, or "any", to the command that helps (empty when FOUND)."""

    name: str
    state: State
    where: str
    why: str
    install: Mapping[str, str]


@dataclass(frozen=True)
class Diagnosis:
    """Every need in doctor.toml's order, and this machine's family of distributions (None: not known)."""

    findings: tuple[Finding, ...]
    family: str | None
    families: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return all(finding.state is not State.MISSING for finding in self.findings)

    def as_json(self) -> dict[str, object]:
        """Schema: doctor.schema.json beside this file."""
        rows = [
            {
                "name": item.name,
                "state": str(item.state),
                "where": item.where,
                "why": item.why,
                "install": {**item.install},
            }
            for item in self.findings
        ]
        return {"schema": SCHEMA, "ok": self.ok, "family": self.family, "findings": rows}


def read_rules() -> Rules:
    """doctor.toml as values."""
    table = tomllib.loads(files("monolisp.toolchain").joinpath("doctor.toml").read_text(encoding="utf-8"))
    needs = (Need(**{**row, "check": Check(row["check"]), "of": tuple(row.get("of", ()))}) for row in table["need"])
    families = {key: Family(row["name"], tuple(row["ids"]), row["install"]) for key, row in table["family"].items()}
    return Rules(tuple(needs), families, tuple(Sysctl(**row) for row in table["sysctl"]))


def examine(store: Store, environ: Mapping[str, str]) -> Diagnosis:
    """What this machine has and lacks; programs are looked for on the PATH of `environ`."""
    rules = read_rules()
    return judge(rules, survey(rules, store, environ.get("PATH", os.defpath)))


def survey(rules: Rules, store: Store, path: str) -> Facts:
    """Look at the machine: nothing is judged here, and nothing but the store is touched."""
    wanted = {name for need in rules.needs for name in need.of} | {*lisp_names()}
    programs = {name: found for name in wanted if (found := shutil.which(name, path=path))}
    modules = frozenset(name for name in wanted if name.startswith("_") and find_spec(name) is not None)
    zig, fault = _zig(store, path)
    sysctls = {sysctl.name: _text(_SYSCTL / sysctl.name.replace(".", "/")).strip() for sysctl in rules.sysctls}
    release = next((text for text in map(_text, _OS_RELEASE) if text), "")
    free = shutil.disk_usage(store.root).free
    return Facts(programs, modules, zig, fault, str(store.root), free, sysctls, release, os.geteuid() == 0)


def _zig(store: Store, path: str) -> tuple[str, str]:
    try:
        return str(find_zig(store, path).program), ""
    except (ToolMissing, WrongZig) as error:
        return "", f"{error.what_text}: {error.why_text}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def judge(rules: Rules, facts: Facts) -> Diagnosis:
    """The diagnosis of a machine that is as `facts` say."""
    family = family_of(facts.os_release, rules.families)
    findings = (_finding(need, rules, facts) for need in rules.needs)
    return Diagnosis(tuple(findings), family, {key: item.name for key, item in rules.families.items()})


def family_of(os_release: str, families: Mapping[str, Family]) -> str | None:
    """The family that ID, or else ID_LIKE, of os-release(5) names."""
    values: dict[str, list[str]] = {}
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        values[key.strip()] = value.strip().strip("\"'").split()
    for name in values.get("ID", []) + values.get("ID_LIKE", []):
        for key, family in families.items():
            if name in family.ids:
                return key
    return None


def _finding(need: Need, rules: Rules, facts: Facts) -> Finding:
    there, where = _looked_for(need, rules, facts)
    if there:
        return Finding(need.name, State.FOUND, where, need.why, {})
    can_be_fetched = need.check is Check.HOST_LISP and {"apt-get", "dpkg-deb"} <= facts.programs.keys()
    state = State.MISSING if need.required and not can_be_fetched else State.ABSENT
    if can_be_fetched:
        where += "; apt-get will fetch Debian's sbcl when it is needed"
    return Finding(need.name, state, where, need.why, _install(need, rules, facts))


def _looked_for(need: Need, rules: Rules, facts: Facts) -> tuple[bool, str]:
    """Whether it is there, and where; or what is wrong."""
    match need.check:
        case Check.ANY_PROGRAM:
            return _any_program(need.of, facts)
        case Check.HOST_LISP:
            return _any_program(lisp_names(), facts)
        case Check.EVERY_PROGRAM:
            missing = [name for name in need.of if name not in facts.programs]
            return not missing, f"{', '.join(missing)} not on PATH" if missing else facts.programs[need.of[0]]
        case Check.MODULE:
            missing = [name for name in need.of if name not in facts.modules]
            return not missing, f"not in {sys.executable}; the distribution's has it" if missing else sys.executable
        case Check.ZIG:
            return bool(facts.zig), facts.zig or facts.zig_fault
        case Check.DISK:
            room = f"{facts.free / 1e9:.1f} GB free for {facts.store}, {need.gigabytes} GB needed"
            return facts.free >= need.gigabytes * 10**9, room
        case Check.NAMESPACES:
            forbidding = _forbidding(rules, facts)
            if facts.root:
                return True, "not needed by root"
            said = " and ".join(f"{sysctl.name} is {sysctl.forbids}" for sysctl in forbidding)
            return not forbidding, said or "allowed by the kernel"
        case unreachable:
            assert_never(unreachable)


def _any_program(names: Sequence[str], facts: Facts) -> tuple[bool, str]:
    found = [facts.programs[name] for name in names if name in facts.programs]
    if found:
        return True, found[0]
    return False, "not on PATH" if len(names) == 1 else f"none of {', '.join(names)} is on PATH"


def _forbidding(rules: Rules, facts: Facts) -> list[Sysctl]:
    return [sysctl for sysctl in rules.sysctls if facts.sysctls.get(sysctl.name) == sysctl.forbids]


def _install(need: Need, rules: Rules, facts: Facts) -> dict[str, str]:
    """The commands that bring what is needed, by family; "any" when the distribution does not matter."""
    sudo = "" if facts.root else "sudo "
    if need.check is Check.NAMESPACES:
        settings = " ".join(f"{sysctl.name}={sysctl.allows}" for sysctl in _forbidding(rules, facts))
        return {"any": f"{sudo}sysctl -w {settings}"}
    if need.command:
        return {"any": need.command.format(python=sys.executable, zig=pin()["version"])}
    return {key: f"{sudo}{rules.families[key].install} {names}" for key, names in (need.packages or {}).items()}


def render(diagnosis: Diagnosis) -> str:
    """The diagnosis for a person: a line for each need, and below what is not there why it matters and what helps."""
    width = max(len(finding.name) for finding in diagnosis.findings)
    lines = []
    for finding in diagnosis.findings:
        lines.append(f"{finding.state:<8} {finding.name:<{width}}  {finding.where}")
        if finding.state is not State.FOUND:
            lines.append(f"{'':9}{'optional: ' if finding.state is State.ABSENT else ''}{finding.why}")
            lines += [f"{'':9}{line}" for line in _commands(finding, diagnosis)]
    lines.append("")
    lines.append("ready to build" if diagnosis.ok else "not ready: install what is missing, then ask again")
    return "\n".join(lines)


def _commands(finding: Finding, diagnosis: Diagnosis) -> list[str]:
    """This machine's command, or everybody's when the distribution is not known."""
    if "any" in finding.install:
        return [f"try: {finding.install['any']}"]
    if diagnosis.family is not None and diagnosis.family in finding.install:
        return [f"try: {finding.install[diagnosis.family]}"]
    return [f"try, on {diagnosis.families[key]}: {command}" for key, command in finding.install.items()]
