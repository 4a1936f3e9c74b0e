"""Bills of materials, and that they keep to their formats."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packageurl import PackageURL
from spdx_tools.spdx.parser.json.json_parser import parse_from_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from monolisp.provenance.record import Library, Program, Provenance, Sbcl, System
from monolisp.sbom.cyclonedx import cyclonedx_of
from monolisp.sbom.parts import Bill, Kind, Subject, bill_of
from monolisp.sbom.spdx import spdx_of

from .making import FULL, URL, A, B, C

SUBJECT = Subject("app", C)
# SPDX's own schema comes with no package.
SCHEMA = os.environ.get("MONOLISP_SPDX_SCHEMA")
CYCLONEDX = JsonStrictValidator(SchemaVersion.V1_7)


def bill(record: Provenance = FULL, subject: Subject = SUBJECT) -> Bill:
    return bill_of(record, subject)


def check_cyclonedx(content: bytes) -> None:
    assert CYCLONEDX.validate_str(content.decode()) is None
    told = json.loads(content)
    refs = [part["bom-ref"] for part in [*told["components"], told["metadata"]["component"]]]
    assert len(set(refs)) == len(refs)
    edges = [edge for entry in told["dependencies"] for edge in (entry["ref"], *entry.get("dependsOn", ()))]
    assert set(edges) <= set(refs)


def check_spdx(content: bytes, folder: Path) -> None:
    path = folder / "found.spdx.json"
    path.write_bytes(content)
    document = parse_from_file(str(path))
    assert [message.validation_message for message in validate_full_spdx_document(document)] == []
    categories = {ref["referenceCategory"] for part in json.loads(content)["packages"] for ref in part["externalRefs"]}
    assert categories == {"PACKAGE-MANAGER"}


def component(name: str, content: bytes | None = None) -> dict[str, Any]:
    told = json.loads(content or cyclonedx_of(bill()))
    found: dict[str, Any] = next(part for part in told["components"] if part["name"] == name)
    return found


class TestCycloneDx:
    def test_it_keeps_to_the_schema(self) -> None:
        check_cyclonedx(cyclonedx_of(bill()))
        check_cyclonedx(cyclonedx_of(bill(Provenance())))

    def test_the_program(self) -> None:
        told = json.loads(cyclonedx_of(bill()))["metadata"]
        program = told["component"]
        assert (program["name"], program["version"], program["type"]) == ("app", "1.2", "application")
        assert program["hashes"] == [{"alg": "SHA-256", "content": C}]
        assert program["licenses"][0]["license"]["id"] == "GPL-3.0-or-later"
        assert told["timestamp"] == "2023-11-14T22:13:20+00:00"
        assert [tool["purl"] for tool in told["tools"]["components"]] == [
            "pkg:pypi/monolisp@0.1.0",
            "pkg:pypi/ziglang@0.14.1",
        ]

    def test_what_is_inside(self) -> None:
        told = json.loads(cyclonedx_of(bill()))
        assert {part["bom-ref"] for part in told["components"]} == {
            "lisp/sbcl",
            "library/musl",
            "library/compiler-rt",
            "library/gmp",
            "library/libcxx",
            f"archive/libown.a/{B[:12]}",
            "package/monolisp",
            "package/certifi",
            *(f"system/{system.name}" for system in FULL.systems),
        }

    def test_a_library(self) -> None:
        """The archive at an address goes before Debian's; a choice of licences is an expression."""
        gmp = component("gmp")
        assert PackageURL.from_string(gmp["purl"]) == PackageURL(
            "generic", None, "gmp", "6.3.0", {"checksum": f"sha256:{A}", "download_url": URL}
        )
        assert gmp["licenses"] == [{"acknowledgement": "declared", "expression": FULL.libraries[0].licence}]
        assert gmp["hashes"][0]["content"] == A
        assert [ref["url"] for ref in gmp["externalReferences"]] == [URL]
        assert {"name": f"monolisp:source:{B}", "value": FULL.libraries[0].sources[0].place} in gmp["properties"]

    def test_systems(self) -> None:
        """Their purls cannot be mistaken for C libraries'; what they say of their licence is kept."""
        assert component("sqlite/tests")["purl"] == "pkg:generic/asdf/sqlite/tests"
        assert component("cl-ppcre")["purl"] == "pkg:generic/asdf/cl-ppcre@2.1"
        assert component("cl-ppcre")["licenses"] == [{"license": {"acknowledgement": "declared", "name": "BSD"}}]
        assert "licenses" not in component("app/part")

    def test_a_compressed_core(self) -> None:
        zstd = Library("zstd", "1.5.7", "BSD-3-Clause OR GPL-2.0-only")
        told = json.loads(cyclonedx_of(bill(subject=replace(SUBJECT, compression=zstd))))
        needs = {entry["ref"]: entry.get("dependsOn", []) for entry in told["dependencies"]}
        assert "library/zstd" in needs["lisp/sbcl"]


class TestSpdx:
    def test_it_is_valid(self, tmp_path: Path) -> None:
        check_spdx(spdx_of(bill()), tmp_path)
        check_spdx(spdx_of(bill(Provenance())), tmp_path)

    @pytest.mark.skipif(
        SCHEMA is None, reason="waits for MONOLISP_SPDX_SCHEMA, the path of SPDX 2.3's spdx-schema.json"
    )
    def test_it_keeps_to_the_schema(self) -> None:
        assert SCHEMA is not None
        schema = json.loads(Path(SCHEMA).read_bytes())
        for record in (FULL, Provenance()):
            jsonschema.validate(json.loads(spdx_of(bill(record))), schema)

    def test_what_is_inside(self) -> None:
        told = json.loads(spdx_of(bill()))
        packages = {part["name"]: part for part in told["packages"]}
        assert packages["gmp"]["licenseDeclared"] == FULL.libraries[0].licence
        assert packages["gmp"]["downloadLocation"] == URL
        assert packages["gmp"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": A}]
        (bsd,) = [info for info in told["hasExtractedLicensingInfos"] if info["extractedText"] == "BSD"]
        assert packages["cl-ppcre"]["licenseDeclared"] == bsd["licenseId"]
        assert packages["app/part"]["licenseDeclared"] == "NOASSERTION"
        assert told["creationInfo"]["created"] == "2023-11-14T22:13:20Z"

    def test_relations(self) -> None:
        told = json.loads(spdx_of(bill()))
        found = {
            (one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"]) for one in told["relationships"]
        }
        program = "SPDXRef-program-app"
        assert {
            ("SPDXRef-DOCUMENT", "DESCRIBES", program),
            ("SPDXRef-tool-monolisp", "BUILD_TOOL_OF", program),
            (program, "STATIC_LINK", "SPDXRef-library-gmp"),
            (program, "CONTAINS", "SPDXRef-lisp-sbcl"),
            (program, "CONTAINS", "SPDXRef-system-cl-ppcre"),
            ("SPDXRef-library-gmp", "DEPENDS_ON", "SPDXRef-library-musl"),
        } <= found


@pytest.mark.parametrize("write", [cyclonedx_of, spdx_of])
class TestBoth:
    def test_the_same_bytes(self, write: Any) -> None:
        """Whatever order a record has."""
        turned = replace(FULL, systems=FULL.systems[::-1], libraries=FULL.libraries[::-1])
        assert write(bill()) == write(bill(turned))

    def test_another_content_has_another_name(self, write: Any) -> None:
        names = set()
        for record in (FULL, replace(FULL, target="x86_64-linux-musl"), replace(FULL, epoch=0)):
            told = json.loads(write(bill(record)))
            names.add(told.get("serialNumber") or told["documentNamespace"])
        assert len(names) == 3

    def test_everything_has_a_purl(self, write: Any) -> None:
        """Also what else is told of each: its version, its licence and its hash, as far as the record has them."""
        text = write(bill()).decode()
        for part in bill().parts:
            assert json.dumps(part.purl) in text
            PackageURL.from_string(part.purl)
            assert part.sha256 or part.kind not in (Kind.LISP, Kind.ARCHIVE, Kind.SYSTEM)


TEXTS = st.text(max_size=12)
RECORDS = st.builds(
    Provenance,
    program=st.builds(Program, name=TEXTS, kind=st.sampled_from(["script", "system"]), inputs=st.tuples(TEXTS)),
    sbcl=st.builds(Sbcl, version=TEXTS, licence=TEXTS),
    systems=st.lists(
        st.builds(System, name=st.text(min_size=1, max_size=9), version=TEXTS, licence=TEXTS, author=TEXTS),
        max_size=3,
        unique_by=lambda system: system.name,
    ).map(tuple),
    epoch=st.integers(0, 1 << 32),
)


@pytest.mark.parametrize("name", ["/", "//", "a/", "/a", "?", "#x", "@", "..", "%", "a b", "\0", "λ"])
def test_names(tmp_path: Path, name: str) -> None:
    made = bill_of(Provenance(program=Program(name), systems=(System(name, name, name),)), SUBJECT)
    check_cyclonedx(cyclonedx_of(made))
    check_spdx(spdx_of(made), tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS)
def test_whatever_a_record_says(tmp_path: Path, record: Provenance) -> None:
    made = bill_of(record, SUBJECT)
    check_cyclonedx(cyclonedx_of(made))
    check_spdx(spdx_of(made), tmp_path)
