"""monolisp push."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import BadElf, BadOption, Exit, NoProgramInImage, NoProvenance
from monolisp.options.finished import NO_SBOM, SBOM_FORMATS

if TYPE_CHECKING:
    from monolisp.oci import Attachment

_FOR_PLATFORM = re.compile(r"(linux/[a-z0-9/]+)=(.+)", re.DOTALL)
# The media types that IANA has registered for them.
_SPDX, _CYCLONEDX = "application/spdx+json", "application/vnd.cyclonedx+json"
_MEDIA_TYPES = {"cyclonedx": _CYCLONEDX, "spdx": _SPDX}


def run_push(options: argparse.Namespace) -> int:
    from monolisp.oci import push

    archive = Path(options.archive)
    told = options.sbom or SBOM_FORMATS[:1]
    attach = [_attachment(name) for name in told if name not in (*SBOM_FORMATS, NO_SBOM)]
    with tempfile.TemporaryDirectory(prefix="monolisp-") as name:
        made, note = _made(archive, [form for form in SBOM_FORMATS if form in told], Path(name), bool(options.sbom))
        attach += made
        digest = push(archive, options.reference, attach, options.plain_http, _logins())
    print(f"{options.reference}@{digest}")
    if note:
        print(f"note: no SBOM is attached: {note}", file=sys.stderr)
    return int(Exit.OK)


def _logins() -> list[Path]:
    """Where skopeo, docker and podman look for logins. Source: containers-auth.json(5); docker's DOCKER_CONFIG."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    docker = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = Path(runtime, "containers") if runtime else Path(f"/run/containers/{os.getuid()}")
    return [*([Path(named)] if named else []), Path(docker, "config.json"), podman / "auth.json"]


def _made(archive: Path, forms: Sequence[str], folder: Path, asked: bool) -> tuple[list[Attachment], str]:
    """SBOMs of the programs in the archive, in these formats. There are none of programs that do not say what they are
    made of: that is an error if SBOMs were asked for, and else the second value, for a person. Raises NoProgramInImage,
    and what sbom_of raises."""
    try:
        return list(_sboms(archive, forms, folder)), ""
    except (BadElf, NoProgramInImage, NoProvenance) as error:
        if asked:
            raise
        return [], error.what_text


def _sboms(archive: Path, forms: Sequence[str], folder: Path) -> Iterator[Attachment]:
    if not forms:
        return
    from monolisp.oci import Attachment, read_archive
    from monolisp.oci.entrypoint import entrypoints
    from monolisp.sbom.make import Format, write_sbom

    for platform, program in entrypoints(archive, read_archive(archive), folder):
        for form in forms:
            kind = _MEDIA_TYPES[form]
            try:
                yield Attachment(write_sbom(program, Format(form)), kind, kind, platform)
            except (BadElf, NoProvenance) as error:
                raise type(error)(**{**error.fields, "file": f"{program.name} in {archive}"}) from error


def _attachment(told: str) -> Attachment:
    """What --sbom [PLATFORM=]FILE means. Raises BadOption."""
    from monolisp.oci import Attachment

    found = _FOR_PLATFORM.fullmatch(told)
    platform, name = (found[1], found[2]) if found else (None, told)
    kind = _kind(Path(name), told)
    return Attachment(Path(name), kind, kind, platform)


def _kind(path: Path, told: str) -> str:
    """The media type of an SBOM, which says itself what it is. Raises BadOption."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BadOption(option="--sbom", value=told, reason=error.strerror or error, command="push") from error
    except (ValueError, RecursionError):
        content = None
    match content:
        case {"spdxVersion": str()} | {"@context": str()}:
            return _SPDX
        case {"bomFormat": "CycloneDX"}:
            return _CYCLONEDX
    raise BadOption(option="--sbom", value=told, reason="it is neither SPDX nor CycloneDX in JSON", command="push")
