"""What an OCI image is: a program, what surrounds it, and the JSON documents that say so. Values and their text.

Every document is written in one way only (sorted keys, no spaces), so that equal images have equal digests.
Source: OCI image-spec 1.1 (config.md, manifest.md, image-index.md, descriptor.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"

REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
ZONEINFO = "usr/share/zoneinfo"


class Compression(StrEnum):
    """How layers are stored. gzip's bytes are those of the zlib that Python is linked with; NONE depends on nothing."""

    GZIP = "gzip"
    NONE = "none"

    @property
    def media_type(self) -> str:
        return _LAYER + ("+gzip" if self is Compression.GZIP else "")


@dataclass(frozen=True)
class Contents:
    """All that one image has, for one platform; whatever is None, False or empty is not in it.

    `executable` becomes /`name`, the image's entrypoint. `platform` is as Target.oci has it: "linux/arm64",
    "linux/arm/v7". `certificates` are PEM; `zoneinfo` is a directory such as /usr/share/zoneinfo. `user` is "UID",
    "UID:GID" or a name, whose number is 65532. `labels` are in the image's configuration, where the program's runtime
    finds them, `annotations` in its manifest, where registries do.
    """

    executable: Path
    name: str
    platform: str
    certificates: bytes | None = None
    zoneinfo: Path | None = None
    tmp: bool = False
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Descriptor:
    """How a document names a blob: `digest` is "sha256:" and 64 hexadecimal digits, `size` is in bytes."""

    media_type: str
    digest: str
    size: int
    platform: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        """It as JSON has it."""
        told: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform is not None:
            told["platform"] = platform_fields(self.platform)
        if self.artifact_type is not None:
            told["artifactType"] = self.artifact_type
        if self.annotations:
            told["annotations"] = dict(self.annotations)
        return told


@dataclass(frozen=True)
class Layer:
    """A layer that is written: its blob, and the digest of the tar in it."""

    blob: Descriptor
    diff_id: str
    about: str


@dataclass(frozen=True)
class Document:
    """A JSON document and its descriptor."""

    descriptor: Descriptor
    content: bytes


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def text_of(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def document(media_type: str, value: object, platform: str | None = None) -> Document:
    content = text_of(value)
    return Document(Descriptor(media_type, digest_of(content), len(content), platform), content)


def platform_fields(platform: str) -> dict[str, str]:
    """ "linux/arm/v7" → os, architecture, variant."""
    return dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))


def config(contents: Contents, user: str | None, layers: Sequence[Layer], epoch: int) -> Document:
    """The image's configuration; `user` is "UID:GID", `epoch` in seconds."""
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    runtime: dict[str, object] = {"Entrypoint": [f"/{contents.name}"], "WorkingDir": "/"}
    if contents.certificates is not None:
        runtime["Env"] = [f"SSL_CERT_FILE=/{CERTIFICATES}"]
    if user is not None:
        runtime["User"] = user
    if contents.labels:
        runtime["Labels"] = dict(contents.labels)
    history = [{"created": created, "created_by": "monolisp", "comment": layer.about} for layer in layers]
    told = {
        "created": created,
        **platform_fields(contents.platform),
        "config": runtime,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": history,
    }
    return document(CONFIG, told)


def manifest(contents: Contents, configuration: Document, layers: Sequence[Layer]) -> Document:
    told: dict[str, object] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": configuration.descriptor.fields()}
    told["layers"] = [layer.blob.fields() for layer in layers]
    if contents.annotations:
        told["annotations"] = dict(contents.annotations)
    return document(MANIFEST, told, contents.platform)


def index(manifests: Sequence[Descriptor], annotations: Mapping[str, str]) -> Document:
    told: dict[str, object] = {"schemaVersion": 2, "mediaType": INDEX}
    told["manifests"] = [manifest.fields() for manifest in manifests]
    if annotations:
        told["annotations"] = dict(annotations)
    return document(INDEX, told)


def artifact(subject: Descriptor, artifact_type: str, layer: Descriptor) -> Document:
    """A manifest that attaches one file to `subject`. Source: image-spec manifest.md, guidelines for artifacts."""
    told = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": NOTHING.descriptor.fields(),
        "layers": [layer.fields()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).fields(),
    }
    return document(MANIFEST, told)


NOTHING = document(EMPTY, {})
