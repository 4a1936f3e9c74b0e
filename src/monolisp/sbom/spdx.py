"""A bill of materials as SPDX 2.3 JSON, through spdx-tools.

Source: SPDX specification 2.3, clauses 6 to 11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    Checksum,
    ChecksumAlgorithm,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    ExtractedLicensingInfo,
    Package,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)

from monolisp.sbom.identity import UNNAMED, moment, name_of
from monolisp.sbom.licences import Licence, licensing
from monolisp.sbom.parts import HASHED, Bill, Kind, Part

VERSION = "SPDX-2.3"
_DOCUMENT = "SPDXRef-DOCUMENT"
_PURPOSES = {
    Kind.PROGRAM: PackagePurpose.APPLICATION,
    Kind.TOOL: PackagePurpose.APPLICATION,
}
# How a program has its parts: C is linked, Lisp is in its core.
_LINKED = (Kind.LIBRARY, Kind.ARCHIVE)


def spdx_of(bill: Bill) -> bytes:
    """The document; its namespace has a hash of all the rest."""
    name = name_of(_text(spdx_document(bill, UNNAMED)))
    return _text(spdx_document(bill, name))


def spdx_document(bill: Bill, name: Any) -> Document:
    """`bill` as spdx-tools has it; `name` is the UUID in its namespace."""
    every = (bill.program, *bill.tools, *bill.parts)
    title = bill.program.name
    creation = CreationInfo(
        spdx_version=VERSION,
        spdx_id=_DOCUMENT,
        name=title,
        document_namespace=f"https://spdx.org/spdxdocs/{quote(title, safe='')}-{name}",
        creators=[Actor(ActorType.TOOL, f"monolisp-{bill.tools[0].version}")],
        created=moment(bill.epoch).replace(tzinfo=None),
    )
    unknown = {part.licence.reference: part.licence for part in every if _is_unknown(part.licence)}
    return Document(
        creation,
        packages=[_package(part, bill) for part in every],
        relationships=list(_relations(bill)),
        extracted_licensing_info=[_extracted(unknown[name]) for name in sorted(unknown)],
    )


def _text(document: Document) -> bytes:
    told = DocumentConverter().convert(document)  # type: ignore[no-untyped-call]
    # The schema has hyphens here, spdx-tools 0.8 underscores.
    for package in told["packages"]:
        for reference in package.get("externalRefs", ()):
            reference["referenceCategory"] = reference["referenceCategory"].replace("_", "-")
    return (json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _id(ref: str) -> str:
    """Letters, digits, "." and "-" alone may be in an id; other characters become their code between dots."""
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9-]", lambda found: f".{ord(found[0]):x}.", ref.replace("/", "-", 1))


def _package(part: Part, bill: Bill) -> Package:
    hashed = f"The checksum is that of {HASHED[part.kind]}." if part.sha256 and HASHED[part.kind] else ""
    places = [f"{place.place}: sha256:{place.sha256}" for place in part.places]
    told = [*([f"git revision {part.revision}"] if part.revision else []), *places]
    author = f"Author: {part.author}" if part.author else ""
    target = f"Built for {bill.target}." if part.kind is Kind.PROGRAM and bill.target else ""
    return Package(
        spdx_id=_id(part.ref),
        name=part.name,
        version=part.version or None,
        download_location=part.address or SpdxNoAssertion(),
        supplier=SpdxNoAssertion(),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, part.sha256)] if part.sha256 else [],
        source_info="; ".join(told) or None,
        license_concluded=SpdxNoAssertion(),
        license_declared=_declared(part.licence),
        copyright_text=SpdxNoAssertion(),
        comment=" ".join(filter(None, [target, hashed, author])) or None,
        external_references=[ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", part.purl)],
        primary_package_purpose=_PURPOSES.get(part.kind, PackagePurpose.LIBRARY),
    )


def _is_unknown(licence: Licence) -> bool:
    return bool(licence.declared and not licence.expression)


def _declared(licence: Licence) -> Any:
    if not licence.declared:
        return SpdxNoAssertion()
    return licensing().parse(licence.expression or licence.reference)


def _extracted(licence: Licence) -> ExtractedLicensingInfo:
    comment = "What the definition says of its licence; it has no id in SPDX's list, or does not say which it is."
    return ExtractedLicensingInfo(licence.reference, licence.declared, licence.declared, comment=comment)


def _relations(bill: Bill) -> Iterator[Relationship]:
    program = _id(bill.program.ref)
    yield Relationship(_DOCUMENT, RelationshipType.DESCRIBES, program)
    for tool in bill.tools:
        yield Relationship(_id(tool.ref), RelationshipType.BUILD_TOOL_OF, program)
    for part in bill.parts:
        kind = RelationshipType.STATIC_LINK if part.kind in _LINKED else RelationshipType.CONTAINS
        yield Relationship(program, kind, _id(part.ref))
    for ref in sorted(bill.needs.keys() - {bill.program.ref}):
        for other in bill.needs[ref]:
            yield Relationship(_id(ref), RelationshipType.DEPENDS_ON, _id(other))
