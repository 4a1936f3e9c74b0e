from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monolisp.cli.push import _attachment, _logins
from monolisp.errors import BadOption, BadReference, NoSuchPlatform, OciExtraMissing, RegistryFailed
from monolisp.oci import Attachment, Contents, push, write_archive
from monolisp.oci import registry as door
from monolisp.oci.image import Descriptor
from monolisp.oci.logins import logins_in
from monolisp.oci.push import with_referrer
from monolisp.oci.registry import Reference, parse_reference, upload_address

from .making import program

HERE = Reference("localhost:5000", "hello", "1.0")
DIGEST = "sha256:" + "1" * 64


class TestReference:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("localhost:5000/hello:1.0", ("localhost:5000", "hello", "1.0")),
            ("localhost/hello:1.0", ("localhost", "hello", "1.0")),
            ("registry:5000/a:b", ("registry:5000", "a", "b")),
            ("ghcr.io/some-body/a_b/c.d:_x", ("ghcr.io", "some-body/a_b/c.d", "_x")),
            ("127.0.0.1:5000/a:1", ("127.0.0.1:5000", "a", "1")),
            ("[::1]:5000/a:1", ("[::1]:5000", "a", "1")),
            ("docker.io/hello:1", ("docker.io", "library/hello", "1")),
            ("docker.io/me/hello:1", ("docker.io", "me/hello", "1")),
        ],
    )
    def test_good(self, text: str, parts: tuple[str, str, str]) -> None:
        assert parse_reference(text) == Reference(*parts)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            "hello:1.0",
            "me/hello:1.0",
            "localhost:5000/hello",
            "ghcr.io/Me/hello:1",
            "ghcr.io/me//hello:1",
            "ghcr.io/../hello:1",
            "ghcr.io/hello:",
            "ghcr.io/hello:a b",
            "https://ghcr.io/hello:1",
            "ghcr.io/hello@sha256:" + "0" * 64,
            "ghcr.io/hello:1\n",
            "user:password@ghcr.io/hello:1",
            "ghcr.io/hello:" + "x" * 129,
        ],
    )
    def test_bad(self, text: str) -> None:
        with pytest.raises(BadReference):
            parse_reference(text)


@pytest.mark.parametrize(
    ("asked", "location", "address"),
    [
        ("https://r/v2/a/blobs/uploads/", "/v2/u/1", "https://r/v2/u/1?digest=sha256%3A1"),
        ("https://r/v2/a/blobs/uploads/", "/v2/u/1?state=x", "https://r/v2/u/1?state=x&digest=sha256%3A1"),
        ("https://r/v2/a/blobs/uploads/", "https://other/u", "https://other/u?digest=sha256%3A1"),
        ("https://r/v2/a/blobs/uploads/", "http://r/u", None),
        ("http://r/v2/a/blobs/uploads/", "http://r/u", "http://r/u?digest=sha256%3A1"),
    ],
)
def test_where_blobs_are_sent(asked: str, location: str, address: str | None) -> None:
    assert upload_address(asked, location, "sha256:1") == address


class TestReferrers:
    ONE = Descriptor("m", DIGEST, 3, artifact_type="application/spdx+json")

    def test_the_first(self) -> None:
        told = json.loads(with_referrer(None, self.ONE, HERE).content)
        assert told["mediaType"] == "application/vnd.oci.image.index.v1+json"
        assert told["manifests"] == [
            {"mediaType": "m", "digest": DIGEST, "size": 3, "artifactType": "application/spdx+json"}
        ]

    def test_others_stay(self) -> None:
        others = {"schemaVersion": 2, "manifests": [{"digest": "other", "unknown": 1}], "annotations": {"a": "b"}}
        told = json.loads(with_referrer(json.dumps(others).encode(), self.ONE, HERE).content)
        assert told["annotations"] == {"a": "b"}
        assert [entry["digest"] for entry in told["manifests"]] == ["other", DIGEST]
        assert told["manifests"][0] == {"digest": "other", "unknown": 1}

    def test_twice_is_once(self) -> None:
        once = with_referrer(None, self.ONE, HERE)
        assert with_referrer(once.content, self.ONE, HERE) == once

    @pytest.mark.parametrize("before", [b"", b"[]", b"{}", b'{"manifests":[1]}', b'{"manifests":{}}', b"\xff"])
    def test_what_is_no_index_is_not_written_over(self, before: bytes) -> None:
        with pytest.raises(RegistryFailed):
            with_referrer(before, self.ONE, HERE)


class TestBeforeAnythingIsSent:
    @pytest.fixture
    def archive(self, tmp_path: Path) -> Path:
        write_archive([Contents(program(tmp_path), "hello", "linux/amd64")], tmp_path / "a.tar", 0, "1.0")
        return tmp_path / "a.tar"

    def test_an_attachment_for_another_platform(self, archive: Path) -> None:
        with pytest.raises(NoSuchPlatform) as caught:
            push(archive, str(HERE), [Attachment(archive, "x", "x", "linux/arm64")], True)
        assert "linux/amd64" in caught.value.why_text

    def test_without_the_extra(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> None:
            raise ImportError(name)

        monkeypatch.setattr(door, "import_module", missing)
        with pytest.raises(OciExtraMissing) as caught:
            push(archive, str(HERE), [], True)
        assert "oras" in caught.value.what_text


class TestCommand:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            ({"spdxVersion": "SPDX-2.3"}, "application/spdx+json"),
            ({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}, "application/spdx+json"),
            ({"bomFormat": "CycloneDX"}, "application/vnd.cyclonedx+json"),
        ],
    )
    def test_an_sbom_says_what_it_is(self, tmp_path: Path, content: object, kind: str) -> None:
        file = tmp_path / "sbom.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        assert _attachment(str(file)) == Attachment(file, kind, kind, None)
        assert _attachment(f"linux/arm/v7={file}") == Attachment(file, kind, kind, "linux/arm/v7")

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
    def test_what_is_no_sbom(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(BadOption):
            _attachment(str(tmp_path / "file"))
        with pytest.raises(BadOption):
            _attachment(str(tmp_path / "none"))

    def test_where_logins_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("DOCKER_CONFIG", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", "/home/me")
        assert _logins() == [Path("/home/me/.docker/config.json"), Path(f"/run/containers/{os.getuid()}/auth.json")]
        monkeypatch.setenv("DOCKER_CONFIG", "/d")
        monkeypatch.setenv("REGISTRY_AUTH_FILE", "/r/auth.json")
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/x")
        told = ["/r/auth.json", "/d/config.json", "/x/containers/auth.json"]
        assert _logins() == [Path(name) for name in told]


class TestLogins:
    def test_those_before_go_first(self, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        first.write_text('{"auths":{"a":{"auth":"1"}}}', encoding="utf-8")
        second.write_text(
            '{"auths":{"a":{"auth":"2"},"b":{}},"credHelpers":{"c":"d"},"credsStore":"s"}', encoding="utf-8"
        )
        assert logins_in([tmp_path / "none", first, second]) == {
            "auths": {"a": {"auth": "1"}, "b": {}},
            "credHelpers": {"c": "d"},
            "credsStore": "s",
        }
        assert logins_in([second, first])["auths"] == {"a": {"auth": "2"}, "b": {}}

    def test_none(self) -> None:
        assert logins_in([]) == {"auths": {}, "credHelpers": {}, "credsStore": None}

    @pytest.mark.parametrize("content", ["[]", "{", "1", '{"auths":[1]}', '{"credHelpers":"x"}'])
    def test_what_is_none(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "file").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError):
            logins_in([tmp_path / "file"])
