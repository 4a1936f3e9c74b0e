"""monolisp push."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from monolisp.errors import BadOption, Exit

if TYPE_CHECKING:
    from monolisp.oci import Attachment

_FOR_PLATFORM = re.compile(r"(linux/[a-z0-9/]+)=(.+)", re.DOTALL)
# The media types that IANA has registered for them.
_SPDX, _CYCLONEDX = "application/spdx+json", "application/vnd.cyclonedx+json"


def run_push(options: argparse.Namespace) -> int:
    from monolisp.oci import push

    attach = [_attachment(told) for told in options.sbom or ()]
    digest = push(Path(options.archive), options.reference, attach, options.plain_http, _logins())
    print(f"{options.reference}@{digest}")
    return int(Exit.OK)


def _logins() -> list[Path]:
    """Where skopeo, docker and podman look for logins. Source: containers-auth.json(5); docker's DOCKER_CONFIG."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    docker = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = Path(runtime, "containers") if runtime else Path(f"/run/containers/{os.getuid()}")
    return [*([Path(named)] if named else []), Path(docker, "config.json"), podman / "auth.json"]


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
