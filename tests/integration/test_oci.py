"""Images, pushed to registries, pulled back, and run. skopeo and umoci check that what we write is what others read."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monolisp.oci import Extras, images_of, write_archive
from monolisp.target import find_target
from tests.unit.oci.making import AARCH64, program

from .conftest import EXAMPLES, Ended, Monolisp, needs_root, run
from .registries import ACCOUNT, DOCKER_REGISTRY, Books, docker_registry, free_port, other_registry

GREETING = "Hello from a static executable."
SPDX = {"spdxVersion": "SPDX-2.3", "name": "hello"}
CYCLONEDX = {"bomFormat": "CycloneDX", "specVersion": "1.6"}

needs_registry = pytest.mark.skipif(DOCKER_REGISTRY is None, reason="waits for Debian's package docker-registry")


def needs(tool: str, package: str | None = None) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"waits for Debian's package {package or tool}")


def push(*arguments: str | Path, **env: str) -> Ended:
    return run([sys.executable, "-m", "monolisp", "push", *arguments], **env)


def skopeo(*arguments: str | Path) -> Ended:
    done = run(["skopeo", *arguments])
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def other() -> Iterator[tuple[str, Books]]:
    with other_registry() as found:
        yield found


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, str]:
    """An archive of two small programs that need not run, and its digest."""
    programs = [
        (program(tmp_path), find_target("amd64")),
        (program(tmp_path, AARCH64, "other"), find_target("arm64")),
    ]
    digest = write_archive(images_of(programs, "hello", Extras()), tmp_path / "two.tar", 0, "hello:1.0")
    return tmp_path / "two.tar", digest


@pytest.fixture(scope="module")
def hello(example: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An archive of a real program with everything that an image may have, and its digest."""
    extras = Extras(certificates=True, zones=True, tmp=True, user="65532")
    images = images_of([(example("hello"), find_target(None))], "hello", extras)
    archive = tmp_path_factory.mktemp("hello") / "hello.tar"
    return archive, write_archive(images, archive, 0, "hello:1.0")


def sbom(folder: Path, content: dict[str, str]) -> Path:
    path = folder / f"{len(content)}-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# --- what others read ------------------------------------------------------------------------------------------------


@needs("skopeo")
def test_skopeo_reads_the_archive(two: tuple[Path, str], tmp_path: Path) -> None:
    skopeo("copy", "--all", f"oci-archive:{two[0]}", f"oci:{tmp_path / 'copy'}:1.0")
    (named,) = json.loads((tmp_path / "copy/index.json").read_bytes())["manifests"]
    assert named["digest"] == two[1]


@needs("skopeo")
def test_build_writes_one(monolisp: Monolisp, tmp_path: Path) -> None:
    """The same bytes each time, and as --oci-user says."""
    shutil.copy2(EXAMPLES / "hello/hello.lisp", tmp_path)
    found = set()
    for name in ("one.tar", "two.tar"):
        done = monolisp("build", "hello.lisp", "--oci", name, "--oci-user", "65532", "--oci-tmp")
        assert done.code == 0, done.err
        found.add((tmp_path / name).read_bytes())
    assert len(found) == 1
    config = json.loads(skopeo("inspect", "--config", f"oci-archive:{tmp_path / 'one.tar'}").out)["config"]
    assert (config["Entrypoint"], config["User"]) == (["/hello"], "65532:65532")


def test_a_bad_time(monolisp: Monolisp, tmp_path: Path) -> None:
    shutil.copy2(EXAMPLES / "hello/hello.lisp", tmp_path)
    done = monolisp("build", "hello.lisp", env={"SOURCE_DATE_EPOCH": "yesterday"})
    assert done.code == 2
    assert "number of seconds since 1970" in done.err


@needs_root
@needs("umoci")
@needs("skopeo")
class TestRun:
    @pytest.fixture
    def short(self) -> Iterator[Path]:
        """A directory for podman, which takes no path of more than 50 characters."""
        with tempfile.TemporaryDirectory(prefix="pod") as folder:
            yield Path(folder)

    @pytest.fixture
    def bundle(self, hello: tuple[Path, str], tmp_path: Path) -> Path:
        skopeo("copy", f"oci-archive:{hello[0]}", f"oci:{tmp_path / 'image'}:1.0")
        done = run(["umoci", "unpack", "--image", f"{tmp_path / 'image'}:1.0", tmp_path / "bundle"])
        assert done.code == 0, done.err
        config = json.loads((tmp_path / "bundle/config.json").read_bytes())
        config["process"]["terminal"] = False
        (tmp_path / "bundle/config.json").write_text(json.dumps(config), encoding="utf-8")
        return tmp_path / "bundle"

    def test_in_what_umoci_unpacks(self, bundle: Path) -> None:
        assert sorted(path.name for path in (bundle / "rootfs").iterdir()) == ["etc", "hello", "tmp", "usr"]
        done = run(["chroot", "--userspec=65532:65532", bundle / "rootfs", "/hello"])
        assert (done.code, done.out.strip()) == (0, GREETING), done.err

    @needs("runc")
    def test_by_runc(self, bundle: Path) -> None:
        assert json.loads((bundle / "config.json").read_bytes())["process"]["user"] == {"uid": 65532, "gid": 65532}
        done = run(["runc", "run", "--bundle", bundle, f"monolisp-{os.getpid()}"])
        if done.code and "cgroup" in done.err:
            pytest.skip(f"waits for a machine on which runc may make control groups: {done.err.strip()[:200]}")
        assert (done.code, done.out.strip()) == (0, GREETING), done.err

    @needs("podman")
    @needs("runc")
    def test_by_podman(self, hello: tuple[Path, str], tmp_path: Path, short: Path) -> None:
        """Limits are given since podman's own may be higher than a container is allowed, which this may be run in."""
        podman = ["podman", "--root", str(tmp_path / "root"), "--runroot", str(short)]
        podman += ["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
        done = run([*podman, "run", "--rm", "--network", "none", *limits, f"oci-archive:{hello[0]}"])
        if done.code and "cgroup" in done.err:
            pytest.skip(f"waits for a machine on which podman may make control groups: {done.err.strip()[-200:]}")
        assert (done.code, done.out.strip()) == (0, GREETING), done.err
        assert "localhost/hello" in run([*podman, "images"]).out


# --- Debian's registry -----------------------------------------------------------------------------------------------


@needs_registry
@needs("skopeo")
class TestDockerRegistry:
    def test_pushed_pulled_and_run(self, hello: tuple[Path, str], registry: str, tmp_path: Path) -> None:
        reference = f"{registry}/team/hello:1.0"
        done = push(hello[0], reference, "--plain-http")
        assert (done.code, done.out) == (0, f"{reference}@{hello[1]}\n"), done.err
        told = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{reference}").out)
        assert (told["Digest"], told["Architecture"]) == (hello[1], find_target(None).oci.split("/")[1])
        skopeo("copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{tmp_path / 'image'}:1.0")
        root = unpacked(tmp_path / "image", tmp_path / "root")
        assert (root / "etc/passwd").read_text(encoding="utf-8").startswith("nonroot:x:65532:")
        assert (root / "usr/share/zoneinfo/Europe/Vienna").read_bytes().startswith(b"TZif")
        if os.geteuid() == 0:
            ran = run(["chroot", root, "/hello"])
            assert (ran.code, ran.out.strip()) == (0, GREETING), ran.err

    def test_an_index(self, two: tuple[Path, str], registry: str, tmp_path: Path) -> None:
        reference = f"{registry}/team/two:1.0"
        assert push(two[0], reference, "--plain-http").out == f"{reference}@{two[1]}\n"
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}").out
        assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == two[1]
        for name, machine in (("amd64", 62), ("arm64", AARCH64)):
            place = tmp_path / name
            arguments = ["--override-arch", name, "copy", "--src-tls-verify=false"]
            skopeo(*arguments, f"docker://{reference}", f"oci:{place}:1.0")
            elf = (unpacked(place, tmp_path / f"{name}-root") / "hello").read_bytes()
            assert int.from_bytes(elf[18:20], "little") == machine

    @pytest.mark.slow
    def test_pushed_twice(self, two: tuple[Path, str], registry: str) -> None:
        for _ in range(2):
            assert push(two[0], f"{registry}/team/twice:1.0", "--plain-http").code == 0

    @pytest.mark.slow
    def test_the_sbom_of_its_program(self, hello: tuple[Path, str], registry: str, tmp_path: Path) -> None:
        """Attached without a word; the same each time, so that it is there once. `--sbom none` attaches nothing."""
        for _ in range(2):
            assert push(hello[0], f"{registry}/team/own:1.0", "--plain-http").code == 0
        (entry,) = raw(registry, f"team/own:{hello[1].replace(':', '-')}")["manifests"]
        assert entry["artifactType"] == "application/vnd.cyclonedx+json"
        (layer,) = raw(registry, f"team/own@{entry['digest']}")["layers"]
        assert layer["annotations"]["org.opencontainers.image.title"] == "hello.cdx.json"
        assert layer["size"] > 2000
        assert push(hello[0], f"{registry}/team/none:1.0", "--plain-http", "--sbom", "none").code == 0
        tags = json.loads(run(["skopeo", "list-tags", "--tls-verify=false", f"docker://{registry}/team/none"]).out)
        assert tags["Tags"] == ["1.0"]

    @pytest.mark.slow
    def test_an_sbom(self, two: tuple[Path, str], registry: str, tmp_path: Path) -> None:
        """This registry does not know of subjects: what refers to an image is listed under a tag."""
        whole, arm = sbom(tmp_path, SPDX), sbom(tmp_path, CYCLONEDX)
        reference = f"{registry}/team/sbom:1.0"
        for _ in range(2):
            done = push(two[0], reference, "--plain-http", "--sbom", whole, "--sbom", f"linux/arm64={arm}")
            assert done.code == 0, done.err
        (arm_digest,) = [
            entry["digest"]
            for entry in raw(registry, "team/sbom:1.0")["manifests"]
            if entry["platform"]["architecture"] == "arm64"
        ]
        for subject, kind, file in (
            (two[1], "application/spdx+json", whole),
            (arm_digest, "application/vnd.cyclonedx+json", arm),
        ):
            (entry,) = raw(registry, f"team/sbom:{subject.replace(':', '-')}")["manifests"]
            assert entry["artifactType"] == kind
            artifact = raw(registry, f"team/sbom@{entry['digest']}")
            assert (artifact["subject"]["digest"], artifact["artifactType"]) == (subject, kind)
            (layer,) = artifact["layers"]
            assert layer["digest"] == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
            assert layer["annotations"] == {"org.opencontainers.image.title": file.name}


def raw(host: str, name: str) -> Any:
    return json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/{name}").out)


def unpacked(layout: Path, root: Path) -> Path:
    """The layers of a layout's one image, one over another."""

    def blob(descriptor: dict[str, Any]) -> Path:
        return layout / "blobs" / descriptor["digest"].replace(":", "/")

    (named,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    for layer in json.loads(blob(named).read_bytes())["layers"]:
        with tarfile.open(blob(layer)) as tar:
            tar.extractall(root, filter="fully_trusted")
    return root


# --- logins and TLS --------------------------------------------------------------------------------------------------


def login(folder: Path, host: str, account: str) -> dict[str, str]:
    """A directory as `docker login` leaves it, as the environment names it."""
    folder.mkdir()
    told = {"auths": {host: {"auth": base64.b64encode(account.encode()).decode()}}}
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder), "HOME": str(folder)}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """HOST:PORT of a registry with an account and TLS, and whom to believe it."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with docker_registry(folder, ACCOUNT, (certificate, key)) as host:
        yield host, certificate


@needs_registry
@needs("openssl")
class TestPasswordAndTls:
    def test_with_a_login(self, two: tuple[Path, str], guarded: tuple[str, Path], tmp_path: Path) -> None:
        host, certificate = guarded
        env = {**login(tmp_path / "docker", host, "me:secret"), "REQUESTS_CA_BUNDLE": str(certificate)}
        done = push(two[0], f"{host}/a:1", "--sbom", sbom(tmp_path, SPDX), **env)
        assert done.out == f"{host}/a:1@{two[1]}\n", done.err

    @pytest.mark.parametrize("account", [None, "me:wrong", "you:secret"])
    def test_without(
        self, two: tuple[Path, str], guarded: tuple[str, Path], tmp_path: Path, account: str | None
    ) -> None:
        host, certificate = guarded
        env = login(tmp_path / "docker", host if account else "example.org", account or "me:secret")
        done = push(two[0], f"{host}/a:1", REQUESTS_CA_BUNDLE=str(certificate), **env)
        assert done.code == 8
        assert "the registry refuses" in done.err
        assert f"docker login {host}" in done.err
        assert "Traceback" not in done.err

    def test_a_stranger_s_certificate(self, two: tuple[Path, str], guarded: tuple[str, Path]) -> None:
        done = push(two[0], f"{guarded[0]}/a:1")
        assert done.code == 8
        assert "CERTIFICATE_VERIFY_FAILED" in done.err


class TestTokens:
    def test_with_a_login(self, two: tuple[Path, str], other: tuple[str, Books], tmp_path: Path) -> None:
        host, books = other
        books.tokens = True
        done = push(two[0], f"{host}/a:1", "--plain-http", **login(tmp_path / "docker", host, "me:secret"))
        assert done.out == f"{host}/a:1@{two[1]}\n", done.err
        assert len([asked for asked in books.asked if asked.endswith("/token")]) == 1

    @pytest.mark.parametrize("account", [None, "me:wrong"])
    def test_without(
        self, two: tuple[Path, str], other: tuple[str, Books], tmp_path: Path, account: str | None
    ) -> None:
        host, books = other
        books.tokens = True
        env = login(tmp_path / "docker", host if account else "example.org", account or "me:secret")
        begin = time.monotonic()
        done = push(two[0], f"{host}/a:1", "--plain-http", **env)
        assert (done.code, books.blobs, books.manifests) == (8, {}, {})
        assert "the registry refuses" in done.err
        assert len(done.err.splitlines()) == 3
        assert time.monotonic() - begin < 10

    @pytest.mark.slow
    def test_the_login_that_goes_first(self, two: tuple[Path, str], other: tuple[str, Books], tmp_path: Path) -> None:
        host, books = other
        books.tokens = True
        wrong = login(tmp_path / ".docker", host, "me:wrong")
        env = {**login(tmp_path / "docker", host, "me:secret"), "HOME": str(tmp_path)}
        for seed in "123":
            assert push(two[0], f"{host}/a:1", "--plain-http", PYTHONHASHSEED=seed, **env).code == 0
        assert push(two[0], f"{host}/a:1", "--plain-http", **wrong).code == 8

    def test_a_credential_helper(self, two: tuple[Path, str], other: tuple[str, Books], tmp_path: Path) -> None:
        host, books = other
        books.tokens = True
        helper = tmp_path / "docker-credential-test"
        helper.write_text('#!/bin/sh\necho \'{"Username":"me","Secret":"secret"}\'\n', encoding="utf-8")
        helper.chmod(0o755)
        (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {host: "test"}}), encoding="utf-8")
        env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = push(two[0], f"{host}/a:1", "--plain-http", **env)
        assert done.code == 0, done.err

    def test_a_damaged_login(self, two: tuple[Path, str], other: tuple[str, Books], tmp_path: Path) -> None:
        env = login(tmp_path / "docker", other[0], "me:secret")
        (tmp_path / "docker/config.json").write_text("{", encoding="utf-8")
        done = push(two[0], f"{other[0]}/a:1", "--plain-http", **env)
        assert done.code == 8
        assert "the file with your logins" in done.err


# --- other registries ------------------------------------------------------------------------------------------------


class TestOtherRegistry:
    def test_one_that_knows_of_subjects(self, two: tuple[Path, str], other: tuple[str, Books], tmp_path: Path) -> None:
        host, books = other
        done = push(two[0], f"{host}/a:1", "--plain-http", "--sbom", sbom(tmp_path, SPDX))
        assert done.code == 0, done.err
        assert [name for name in books.manifests if not name.startswith("sha256:")] == ["1"]
        assert sum(b"subject" in content for content in books.manifests.values()) == 1

    def test_the_tag_comes_last(self, two: tuple[Path, str], other: tuple[str, Books]) -> None:
        host, books = other
        assert push(two[0], f"{host}/a:1", "--plain-http").code == 0
        assert books.asked[-1] == "PUT /v2/a/manifests/1"
        assert all("manifests" not in asked for asked in books.asked[:-3])

    def test_what_is_there_is_not_sent_again(self, two: tuple[Path, str], other: tuple[str, Books]) -> None:
        host, books = other
        for _ in range(2):
            assert push(two[0], f"{host}/a:1", "--plain-http").code == 0
        assert len([asked for asked in books.asked if asked.startswith("POST")]) == len(books.blobs)

    def test_a_short_fault_passes(self, two: tuple[Path, str], other: tuple[str, Books]) -> None:
        host, books = other
        books.failing = [503, 502]
        assert push(two[0], f"{host}/a:1", "--plain-http").code == 0

    @pytest.mark.parametrize(("status", "told"), [(400, "did not take"), (500, "did not take"), (403, "refuses")])
    def test_its_words_are_told(self, two: tuple[Path, str], other: tuple[str, Books], status: int, told: str) -> None:
        host, books = other
        books.failing = [status] * 9
        done = push(two[0], f"{host}/a:1", "--plain-http")
        assert (done.code, "1" in books.manifests) == (8, False)
        assert told in done.err
        assert "DENIED: not today" in done.err or status == 403
        assert len(done.err.splitlines()) == 3

    def test_nobody_there(self, two: tuple[Path, str]) -> None:
        begin = time.monotonic()
        done = push(two[0], f"localhost:{free_port()}/a:1", "--plain-http")
        assert done.code == 8
        assert "Connection refused" in done.err
        assert time.monotonic() - begin < 10

    def test_without_tls(self, two: tuple[Path, str], other: tuple[str, Books]) -> None:
        done = push(two[0], f"{other[0]}/a:1")
        assert done.code == 8
        assert "--plain-http" in done.err


# --- several processors ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_registry
@needs("skopeo")
@needs("qemu-aarch64-static", "qemu-user-static")
def test_two_processors(monolisp: Monolisp, registry: str, tmp_path: Path) -> None:
    """The same program for two processors as one image; what each gets runs."""
    shutil.copy2(EXAMPLES / "hello/hello.lisp", tmp_path)
    names = {"amd64": [], "arm64": ["qemu-aarch64-static"]}
    for name in names:
        done = monolisp("build", "hello.lisp", "--target", name, "-o", name)
        assert done.code == 0, done.err
    programs = [(tmp_path / name, find_target(name)) for name in names]
    digest = write_archive(images_of(programs, "hello", Extras()), tmp_path / "hello.tar", 0, "hello:1.0")
    reference = f"{registry}/team/processors:1.0"
    assert push(tmp_path / "hello.tar", reference, "--plain-http").out == f"{reference}@{digest}\n"
    (tmp_path / "pulled").mkdir()
    for name, emulator in names.items():
        arguments = ["--override-arch", name, "copy", "--src-tls-verify=false"]
        skopeo(*arguments, f"docker://{reference}", f"oci:{tmp_path / 'pulled' / name}:1.0")
        ran = run([*emulator, unpacked(tmp_path / "pulled" / name, tmp_path / "root" / name) / "hello"])
        assert (ran.code, ran.out.strip()) == (0, GREETING), ran.err
