"""A bill of materials as CycloneDX JSON, in the newest version that cyclonedx-python-lib knows.

Source: CycloneDX 1.7.
"""

from __future__ import annotations

import json
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalContact
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot7
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from monolisp.sbom.identity import UNNAMED, moment, name_of
from monolisp.sbom.licences import Licence
from monolisp.sbom.parts import HASHED, Bill, Kind, Part

VERSION = "1.7"
_TYPES = {
    Kind.PROGRAM: ComponentType.APPLICATION,
    Kind.TOOL: ComponentType.APPLICATION,
    Kind.LISP: ComponentType.PLATFORM,
}


def cyclonedx_of(bill: Bill) -> bytes:
    """The document; its serial number is a hash of all the rest."""
    name = name_of(_text(_bom(bill, UNNAMED)))
    return _text(_bom(bill, name))


def _text(bom: Bom) -> bytes:
    told = json.loads(JsonV1Dot7(bom).output_as_string())
    return (json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _bom(bill: Bill, serial: Any) -> Bom:
    program = _component(bill.program)
    parts = {part.ref: _component(part) for part in bill.parts}
    known = {bill.program.ref: program, **parts}
    dependencies = [
        Dependency(known[ref].bom_ref, [Dependency(known[other].bom_ref) for other in bill.needs.get(ref, ())])
        for ref in known
    ]
    metadata = BomMetaData(
        timestamp=moment(bill.epoch),
        component=program,
        tools=ToolRepository(components=map(_component, bill.tools)),
        properties=[Property(name="monolisp:target", value=bill.target)],
    )
    return Bom(serial_number=serial, metadata=metadata, components=parts.values(), dependencies=dependencies)


def _component(part: Part) -> Component:
    hashed = HASHED[part.kind] if part.sha256 else ""
    told = {"monolisp:hash-of": hashed, "monolisp:git-revision": part.revision}
    told |= {f"monolisp:source:{place.sha256}": place.place for place in part.places if not _is_address(place.place)}
    return Component(
        bom_ref=part.ref,
        type=_TYPES.get(part.kind, ComponentType.LIBRARY),
        name=part.name,
        version=part.version or None,
        licenses=_licences(part.licence),
        purl=PackageURL.from_string(part.purl),
        hashes=[_sha256(part.sha256)] if part.sha256 else None,
        authors=[OrganizationalContact(name=part.author)] if part.author else None,
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.SOURCE_DISTRIBUTION, url=XsUri(place.place), hashes=[_sha256(place.sha256)]
            )
            for place in part.places
            if _is_address(place.place)
        ],
        properties=[Property(name=name, value=value) for name, value in told.items() if value],
    )


def _is_address(place: str) -> bool:
    return place.startswith("http")


def _sha256(value: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=value)


def _licences(licence: Licence) -> list[License]:
    declared = LicenseAcknowledgement.DECLARED
    if not licence.declared:
        return []
    if is_supported_id(licence.expression):
        return [DisjunctiveLicense(id=licence.expression, acknowledgement=declared)]
    if licence.expression:
        return [LicenseExpression(licence.expression, acknowledgement=declared)]
    return [DisjunctiveLicense(name=licence.declared, acknowledgement=declared)]
