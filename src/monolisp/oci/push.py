"""Pushing an OCI archive to a registry, and attaching files to what was pushed.

What a manifest names is sent before it, and the tag comes last: what is interrupted is as if it had not begun.
Source: OCI distribution-spec 1.1, "Pushing Manifests with Subject", "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monolisp.errors import NoSuchFile, NoSuchPlatform, RegistryFailed
from monolisp.oci.image import INDEX, NOTHING, TITLE, Descriptor, Document, artifact, document
from monolisp.oci.layout import Blob, Layout, read_archive
from monolisp.oci.registry import Reference, Registry, parse_reference
from monolisp.store import sha256_file

# Where docker keeps logins, below the user's home directory.
DOCKERS = Path(".docker/config.json")


@dataclass(frozen=True)
class Attachment:
    """A file to attach: to the image of one platform, or to the whole."""

    path: Path
    media_type: str
    artifact_type: str
    platform: str | None = None


def push(
    archive: Path, reference: str, attach: Sequence[Attachment], plain_http: bool, logins: Sequence[Path] | None = None
) -> str:
    """Push the image in `archive` as `reference`, and attach files to it; returns its digest.

    `logins` are files of the form of docker's config.json, those before going first (default: docker's own).
    Raises BadReference, NotAnOciArchive, NoSuchFile, Unreadable, NoSuchPlatform; OciExtraMissing; RegistryUnreachable,
    RegistryRefuses, RegistryFailed.
    """
    named = parse_reference(reference)
    layout = read_archive(archive)
    subjects = [_subject(layout, one, archive) for one in attach]
    files = [_file(one) for one in attach]
    registry = Registry(named, plain_http, [Path.home() / DOCKERS] if logins is None else logins)
    for blob in layout.blobs:
        registry.put_blob(blob)
    for manifest in layout.manifests:
        registry.put_manifest(manifest, manifest.descriptor.digest)
    registry.put_manifest(layout.top, named.tag)
    for one, subject, file in zip(attach, subjects, files, strict=True):
        _attach(registry, named, artifact(subject, one.artifact_type, file.descriptor), subject, one, file)
    return layout.top.descriptor.digest


def _subject(layout: Layout, one: Attachment, archive: Path) -> Descriptor:
    """What a file is attached to. Raises NoSuchPlatform."""
    if one.platform is None:
        return layout.top.descriptor
    known = {manifest.descriptor.platform: manifest.descriptor for manifest in layout.manifests}
    if one.platform not in known:
        raise NoSuchPlatform(platform=one.platform, file=archive, known=", ".join(filter(None, known)) or "none")
    return known[one.platform]


def _file(one: Attachment) -> Blob:
    """Raises NoSuchFile."""
    try:
        digest, size = f"sha256:{sha256_file(one.path)}", one.path.stat().st_size
    except OSError as error:
        raise NoSuchFile(file=one.path, reason=error.strerror or error) from error
    return Blob(Descriptor(one.media_type, digest, size, annotations={TITLE: one.path.name}), one.path)


def _attach(
    registry: Registry, named: Reference, manifest: Document, subject: Descriptor, one: Attachment, file: Blob
) -> None:
    registry.put_blob(Blob(NOTHING.descriptor, NOTHING.content))
    registry.put_blob(file)
    headers = registry.put_manifest(manifest, manifest.descriptor.digest)
    # A registry that knows of subjects says so. For others a tag lists what refers to a manifest.
    if "OCI-Subject" not in headers:
        tag = subject.digest.replace(":", "-")
        told = replace(manifest.descriptor, artifact_type=one.artifact_type)
        registry.put_manifest(with_referrer(registry.manifest(tag), told, named), tag)


def with_referrer(before: bytes | None, referrer: Descriptor, named: Reference) -> Document:
    """The index of what refers to a manifest, with one more. Whatever else is in it stays. Raises RegistryFailed."""
    table = _listed(before, named)
    entries = table["manifests"]
    if all(entry.get("digest") != referrer.digest for entry in entries):
        entries = [*entries, referrer.fields()]
    return document(INDEX, {**table, "manifests": entries})


def _listed(before: bytes | None, named: Reference) -> dict[str, Any]:
    if before is None:
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    try:
        match table := json.loads(before):
            case {"manifests": [*entries]} if all(isinstance(entry, dict) for entry in entries):
                return dict(table)
    except ValueError:
        pass
    raise RegistryFailed(reference=named, reason="the tag that should list what is attached to the image is no index")
