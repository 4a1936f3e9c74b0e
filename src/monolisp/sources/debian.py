"""Debian's archive through apt, with a private directory: no root, and nothing of the machine's apt is changed.

Which mirror is used is the machine's own business: it is read from its apt configuration, and written nowhere but into
the private directory, which goes away. Source of the options: apt-get(8), apt.conf(5), sources.list(5), apt 2.6.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monolisp.errors import CannotStart, CommandTimeout, ToolMissing
from monolisp.process import Command, Finished, Runner
from monolisp.sources.pin import DebianPlace, PlaceFailed
from monolisp.store import remove_tree

_TIMEOUT = 900.0
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROXIES = tuple(name for proxy in ("http", "https", "no") for name in (f"{proxy}_proxy", f"{proxy}_proxy".upper()))
# Only what this keyring vouches for is taken; where it is missing, apt's own trusted keys decide.
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")

_FIELDS = ("REPO_URI", "CODENAME", "RELEASE", "COMPONENT", "ORIGIN", "LABEL")
_FORMAT = "|".join(f"$({field})" for field in _FIELDS)
_OTHER_SUITE = re.compile(r"-(security|updates|backports|backports-sloppy|proposed-updates|debug)\b|/")


@dataclass(frozen=True)
class Archive:
    """Debian's main archive as the machine's apt knows it: its address, and the suite that the machine runs."""

    uri: str
    suite: str


def parse_targets(text: str) -> list[Archive]:
    """Debian's main archives among the lines that `apt-get indextargets` printed with our format.

    apt knows origin, label and code name from the archive's Release file; before the machine's first `apt-get update`
    it prints their names unfilled. Then the suite of sources.list counts, and apt will check the signature anyway.
    """
    found = []
    for line in text.splitlines():
        values = line.split("|")
        if len(values) != len(_FIELDS):
            continue
        uri, codename, release, component, origin, label = (_filled(value) for value in values)
        suite = codename or release
        debian = origin in ("", "Debian") and label in ("", "Debian")
        if debian and component == "main" and suite and not uri.startswith("cdrom:") and not _OTHER_SUITE.search(suite):
            found.append(Archive(uri, suite))
    return list(dict.fromkeys(found))


def _filled(value: str) -> str:
    return "" if value.startswith("$(") else value


def configuration(directory: Path) -> str:
    """apt.conf for a private directory: hooks that the machine runs after an update are not run."""
    return f"""\
Dir::State "{directory}/state";
Dir::State::Lists "{directory}/state/lists";
Dir::Cache "{directory}/cache";
Dir::Etc::SourceList "{directory}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Sandbox::User "root";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def sources_list(kind: str, uri: str, suite: str, keyring: str | None) -> str:
    """The one line of sources.list; `kind` is deb or deb-src. Only the index that is needed is fetched."""
    options = f"target={'Sources' if kind == 'deb-src' else 'Packages'}"
    if keyring is not None:
        options += f" signed-by={keyring}"
    return f"{kind} [{options}] {uri} {suite} main\n"


@dataclass(frozen=True)
class Apt:
    """apt-get in a private directory, which must be there and belong to nobody else."""

    directory: Path
    runner: Runner
    environ: Mapping[str, str]

    def archives(self) -> list[Archive]:
        """Debian's main archives in the machine's configuration. Raises PlaceFailed when there is none."""
        listing = self._run(["indextargets", "--format", _FORMAT])
        found = parse_targets(listing.text)
        if not found:
            found = parse_targets(self._run(["indextargets", "--no-release-info", "--format", _FORMAT]).text)
        if not found:
            raise PlaceFailed("this machine's apt has no Debian archive among its sources")
        return found

    def update(self, kind: str, uri: str, suite: str) -> None:
        """Fetch the index of one suite. Raises PlaceFailed."""
        keyring = next((path for path in _KEYRINGS if Path(path).is_file()), None)
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        (self.directory / "apt.conf").write_text(configuration(self.directory), encoding="utf-8")
        (self.directory / "sources.list").write_text(sources_list(kind, uri, suite, keyring), encoding="utf-8")
        self._done(self._run(["-q", "-c", self.directory / "apt.conf", "update"]), f"the index of {suite}")

    def get(self, *arguments: str) -> Finished:
        """Run apt-get on the fetched index; files land in the private directory."""
        return self._run(["-q", "-c", self.directory / "apt.conf", *arguments])

    def show_source(self, package: str) -> str:
        """What the fetched index says of a source package: one paragraph for each version."""
        return self._run(["-q", "-c", self.directory / "apt.conf", "showsrc", package], "apt-cache").text

    def _run(self, arguments: Sequence[str | Path], program: str = "apt-get") -> Finished:
        env = {
            **{name: self.environ[name] for name in _PROXIES if name in self.environ},
            "PATH": self.environ.get("PATH", _DEFAULT_PATH),
            "HOME": str(self.directory),
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        try:
            done = self.runner(Command([program, *arguments], env, cwd=self.directory, timeout=_TIMEOUT))
        except ToolMissing as error:
            raise PlaceFailed("this machine has no apt-get") from error
        except CannotStart as error:
            raise PlaceFailed(f"{error.what_text}: {error.why_text}") from error
        except CommandTimeout as error:
            raise PlaceFailed(f"apt-get took longer than {_TIMEOUT:.0f} seconds") from error
        if re.search(r"No space left on device|enough free space", done.text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.directory))
        return done

    @staticmethod
    def _done(finished: Finished, wanted: str) -> None:
        if finished.returncode != 0:
            raise PlaceFailed(f"apt-get did not give {wanted}: {complaints(finished.text)}")


def complaints(text: str) -> str:
    """apt's own errors (lines that begin with E:), or else the end of what it printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.partition("E: ")[2] for line in lines if "E: " in line]
    return " ".join(errors or lines[-2:]) or "it said nothing"


def fetch_source(place: DebianPlace, into: Path, runner: Runner, environ: Mapping[str, str]) -> None:
    """Put the archive of a source package into the directory `into`; whether it is the pinned one is not checked here.

    An exact Debian revision leaves its suite when the next comes, often with the same archive of upstream's: then the
    suite's own version is taken, and the checksum decides. Raises PlaceFailed.
    """

    def attempt(archive: Archive, apt: Apt) -> Path:
        apt.update("deb-src", archive.uri, place.suite)
        for wanted in (f"{place.package}={place.version}", f"{place.package}/{place.suite}"):
            done = apt.get("source", "--tar-only", "--download-only", wanted)
            if (apt.directory / place.file).is_file():
                return apt.directory / place.file
        others = sorted(path.name for path in apt.directory.glob("*.tar.*"))
        now = f"the suite now has {', '.join(others)}" if others else complaints(done.text)
        raise PlaceFailed(f"apt-get did not give {place.file}: {now}")

    _try_archives(attempt, into, runner, environ)


def find_source(package: str, suite: str, work: Path, runner: Runner, environ: Mapping[str, str]) -> DebianPlace:
    """The upstream archive of a source package in `suite`, as a place; `work` is a directory for apt. Raises
    PlaceFailed."""
    apt = Apt(work, runner, environ)
    failures: list[str] = []
    for archive in apt.archives():
        try:
            apt.update("deb-src", archive.uri, suite)
        except PlaceFailed as error:
            failures.append(error.reason)
            continue
        return parse_source(apt.show_source(package), package, suite)
    raise PlaceFailed("; ".join(dict.fromkeys(failures)))


def parse_source(text: str, package: str, suite: str) -> DebianPlace:
    """The place that a paragraph of Debian's index of sources describes; the last one, where there are several.

    Source: deb-src-control(5) and dsc(5), fields Package, Version and Checksums-Sha256. Raises PlaceFailed.
    """
    for paragraph in reversed(re.split(r"\n\s*\n", text)):
        version = re.search(r"^Version: (\S+)$", paragraph, re.MULTILINE)
        archive = re.search(r"^ ([0-9a-f]{64}) (\d+) (\S+\.orig\.tar\.\w+)$", paragraph, re.MULTILINE)
        if version and archive and re.search(rf"^Package: {re.escape(package)}$", paragraph, re.MULTILINE):
            digest, size, file = archive.groups()
            return DebianPlace(package, version[1], suite, file, digest, int(size))
    raise PlaceFailed(f"{suite} has no source package {package}")


def fetch_binary(package: str, into: Path, runner: Runner, environ: Mapping[str, str]) -> Path:
    """The .deb file of `package` of the suite that this machine runs, in the directory `into`. Raises PlaceFailed."""

    def attempt(archive: Archive, apt: Apt) -> Path:
        apt.update("deb", archive.uri, archive.suite)
        done = apt.get("download", package)
        found = list(apt.directory.glob(f"{package}_*.deb"))
        if not found:
            raise PlaceFailed(f"apt-get did not give {package}: {complaints(done.text)}")
        return found[0]

    return _try_archives(attempt, into, runner, environ)


def _try_archives(
    attempt: Callable[[Archive, Apt], Path], into: Path, runner: Runner, environ: Mapping[str, str]
) -> Path:
    """The first archive's file, moved into `into`: a machine may name more than one mirror, and one may be down."""
    apt = Apt(into / "apt", runner, environ)
    failures: list[str] = []
    try:
        apt.directory.mkdir()
        for archive in apt.archives():
            try:
                found = attempt(archive, apt)
                return found.rename(into / found.name)
            except PlaceFailed as error:
                failures.append(error.reason)
    finally:
        remove_tree(apt.directory)
    raise PlaceFailed("; ".join(dict.fromkeys(failures)))
