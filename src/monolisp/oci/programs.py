"""From built programs to images: what `monolisp build --oci` asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from monolisp.errors import OciExtraMissing
from monolisp.oci.image import Contents
from monolisp.target import Target


@dataclass(frozen=True)
class Extras:
    """What an image has besides the program: certifi's certificates, the time zones of the Python package tzdata (the
    same on every machine), /tmp, a user. See Contents."""

    certificates: bool = False
    zones: bool = False
    tmp: bool = False
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def images_of(programs: Sequence[tuple[Path, Target]], name: str, extras: Extras) -> list[Contents]:
    """One image for each program and the target that it is for; all have it at /`name`. Raises OciExtraMissing."""
    certificates = certifi_bundle() if extras.certificates else None
    zones = zone_folder() if extras.zones else None
    return [
        Contents(
            executable=path,
            name=name,
            platform=target.oci,
            certificates=certificates,
            zoneinfo=zones,
            tmp=extras.tmp,
            user=extras.user,
            labels=extras.labels,
            annotations=extras.annotations,
        )
        for path, target in programs
    ]


def certifi_bundle() -> bytes:
    """Certificates of authorities, PEM."""
    import certifi

    return Path(certifi.where()).read_bytes()


def zone_folder() -> Path:
    """The directory of compiled time zones in the Python package tzdata. Raises OciExtraMissing."""
    try:
        package = import_module("tzdata")
    except ImportError as error:
        raise OciExtraMissing(module="tzdata") from error
    return Path(str(package.__file__)).parent / "zoneinfo"
