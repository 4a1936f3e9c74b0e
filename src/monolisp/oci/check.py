"""What an image cannot be made of is found before anything is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from monolisp.elf.reader import open_elf
from monolisp.errors import BadImage, NoSuchFile, WrongPlatform
from monolisp.oci.image import Contents
from monolisp.target import targets

# The number of users that have only a name: what distroless images call nonroot.
NOBODY = 65532
_MOST_NUMBER = (1 << 31) - 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_PLATFORM = re.compile(r"linux/[a-z0-9]+(/[a-z0-9]+)?")
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# Source: image-spec annotations.md, org.opencontainers.image.ref.name.
_REF = re.compile(r"[A-Za-z0-9]+((--|[-._:@+/])[A-Za-z0-9]+)*")
# Runtimes mount something over these, or we put something there.
_TAKEN = frozenset({"dev", "etc", "proc", "sys", "tmp", "usr"})


@dataclass(frozen=True)
class User:
    """A user and its group, by name and numbers."""

    name: str
    uid: int
    gid: int

    @property
    def numbers(self) -> str:
        """As an image's configuration names it: Kubernetes cannot tell of a name that it is not root."""
        return f"{self.uid}:{self.gid}"


def user_of(told: str) -> User | None:
    """What "65532", "65532:65532" or a name mean; None if it is none of them."""
    if _USER_NAME.fullmatch(told):
        number = 0 if told == "root" else NOBODY
        return User(told, number, number)
    if not re.fullmatch(r"[0-9]{1,10}(:[0-9]{1,10})?", told):
        return None
    uid, _, gid = told.partition(":")
    numbers = int(uid), int(gid or uid)
    if max(numbers) > _MOST_NUMBER:
        return None
    return User("root" if numbers[0] == 0 else "nonroot", *numbers)


def check_images(images: Sequence[Contents], tag: str) -> None:
    """Raises BadImage with every fault, WrongPlatform, NoSuchFile, Unreadable, BadElf."""
    faults = [fault for contents in images for fault in _faults(contents)]
    twice = [name for name, count in Counter(contents.platform for contents in images).items() if count > 1]
    faults += [f"there are several programs for {name}" for name in twice]
    if not images:
        faults.append("there is no program")
    if not _REF.fullmatch(tag):
        faults.append(f"its tag cannot be {tag!r}")
    if faults:
        raise BadImage(reason="; ".join(dict.fromkeys(faults)))
    for contents in images:
        _check_program(contents)
        if contents.zoneinfo is not None and not contents.zoneinfo.is_dir():
            raise NoSuchFile(file=contents.zoneinfo, reason="a directory with time zones should be there")


def _faults(contents: Contents) -> list[str]:
    found = []
    if not _NAME.fullmatch(contents.name):
        found.append(f"its program cannot be called {contents.name!r}")
    elif contents.name in _TAKEN:
        found.append(f"its program cannot be called {contents.name}: /{contents.name} is a directory")
    if not _PLATFORM.fullmatch(contents.platform):
        found.append(f"{contents.platform!r} is no platform such as linux/arm64")
    if contents.user is not None and user_of(contents.user) is None:
        found.append(f"{contents.user!r} is neither a user's number, such as 65532 or 65532:65532, nor a name")
    return found


def _check_program(contents: Contents) -> None:
    """Whether a file is for a platform can be told where that is a target's."""
    with open_elf(contents.executable) as elf:
        machine, bits = elf.header.machine, int(elf.header.bits)
    wanted = [target for target in targets().values() if target.oci == contents.platform]
    if wanted and all((target.elf_machine, target.bits) != (machine, bits) for target in wanted):
        found = [target.oci for target in targets().values() if (target.elf_machine, target.bits) == (machine, bits)]
        said = f"it is a program for {found[0]}" if found else f"its ELF header names machine {machine}, {bits} bits"
        raise WrongPlatform(file=contents.executable, platform=contents.platform, reason=said)
