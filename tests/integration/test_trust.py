"""Signatures, checksums and attestations as others see them: minisign, gpg and sha256sum check what we write."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from monolisp.errors import Exit

from .conftest import EXAMPLES, Ended, Monolisp, run

HELLO = '(defun main () (write-line "hello"))'
PASSWORD = "a pass wörd"

needs_minisign = pytest.mark.skipif(shutil.which("minisign") is None, reason="waits for Debian's package minisign")
needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="waits for Debian's package gnupg")


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Ended]:
    """The command, in a directory with a file to sign; no toolchain is needed."""
    (tmp_path / "app").write_bytes(b"content\n" * 1000)

    def call(*arguments: str | Path, stdin: bytes = b"", **env: str) -> Ended:
        return run([sys.executable, "-m", "monolisp", *arguments], cwd=tmp_path, stdin=stdin, **env)

    return call


def fails(done: Ended, code: Exit, *words: str) -> None:
    assert done.code == code, done
    assert all(word in done.err for word in words), done.err


class TestMinisign:
    @needs_minisign
    def test_it_verifies_what_we_sign(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        assert call("keygen", "key").code == 0
        done = call("sign", "app", "--key", "key", SOURCE_DATE_EPOCH="1700000000")
        assert (done.code, done.out) == (0, "app.minisig\n")
        theirs = run(["minisign", "-VHm", "app", "-p", "key.pub"], cwd=tmp_path)
        assert theirs.code == 0, theirs
        assert "timestamp:1700000000\tfile:app\thashed" in theirs.out
        (tmp_path / "app").write_bytes(b"other")
        assert run(["minisign", "-Vm", "app", "-p", "key.pub"], cwd=tmp_path).code != 0

    @needs_minisign
    @pytest.mark.parametrize("form", [[], ["-l"]], ids=["hashed", "legacy"])
    def test_we_verify_what_it_signs(self, form: list[str], call: Callable[..., Ended], tmp_path: Path) -> None:
        assert run(["minisign", "-GW", "-s", "key", "-p", "key.pub"], cwd=tmp_path).code == 0
        assert run(["minisign", "-S", *form, "-s", "key", "-m", "app", "-t", "so be it"], cwd=tmp_path).code == 0
        public = (tmp_path / "key.pub").read_text().splitlines()[1]
        for key in ("key.pub", public):
            done = call("verify-signature", "app", "--key", key)
            assert (done.code, done.out.endswith(": so be it\n")) == (0, True), done
        (tmp_path / "app").write_bytes(b"other")
        fails(call("verify-signature", "app", "--key", "key.pub"), Exit.SIGNATURE, "is not what was signed")

    @needs_minisign
    @pytest.mark.slow
    def test_its_keys_with_a_password(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        text = f"{PASSWORD}\n".encode()
        made = run(["minisign", "-G", "-s", "key", "-p", "key.pub"], cwd=tmp_path, stdin=text * 2)
        assert made.code == 0, made
        (tmp_path / "password").write_bytes(text)
        ways: list[Callable[[], Ended]] = [
            lambda: call("sign", "app", "--key", "key", "--password-file", "password"),
            lambda: call("sign", "app", "--key", "key", MONOLISP_KEY_PASSWORD=PASSWORD),
            lambda: call("sign", "app", "--key", "key", stdin=text),
        ]
        for way in ways:
            done = way()
            assert done.code == 0, done
            assert run(["minisign", "-Vm", "app", "-p", "key.pub"], cwd=tmp_path).code == 0
            (tmp_path / "app.minisig").unlink()
        fails(call("sign", "app", "--key", "key", stdin=b"wrong\n"), Exit.SIGNATURE, "is not that of the secret key")
        fails(call("sign", "app", "--key", "key"), Exit.SIGNATURE, "needs its password", "--password-file")
        assert not (tmp_path / "app.minisig").exists()

    @needs_minisign
    def test_it_takes_our_keys_with_a_password(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        done = call("keygen", "key", "--password", stdin=f"{PASSWORD}\n".encode())
        assert done.code == 0, done
        argv = ["minisign", "-S", "-s", "key", "-m", "app"]
        assert run([*argv], cwd=tmp_path, stdin=f"{PASSWORD}\n".encode()).code == 0
        assert call("verify-signature", "app", "--key", "key.pub").code == 0

    def test_a_person_is_asked(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        """At a terminal, without showing what is typed."""
        assert call("keygen", "key", "--password", stdin=b"secret\n").code == 0
        argv = [sys.executable, "-m", "monolisp", "sign", "app", "--key", "key"]
        ours, theirs = pty.openpty()
        with subprocess.Popen(argv, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True):
            os.close(theirs)
            seen = b""
            while b"password of key: " not in seen:
                seen += os.read(ours, 1000)
            os.write(ours, b"secret\n")
            while b"app.minisig" not in seen:
                seen += os.read(ours, 1000)
        os.close(ours)
        assert b"secret" not in seen
        assert call("verify-signature", "app", "--key", "key.pub").code == 0

    def test_the_secret_key_is_for_its_owner(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        assert call("store", "keygen", "key").code == 0
        assert (tmp_path / "key").stat().st_mode & 0o077 == 0
        fails(call("keygen", "key"), Exit.SIGNATURE, "cannot be used", "File exists")

    def test_what_is_wrong_is_said(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        for name in ("key", "other"):
            assert call("keygen", name).code == 0
        fails(call("verify-signature", "app", "--key", "key.pub"), Exit.SIGNATURE, "app has no signature")
        assert call("sign", "app", "--key", "key").code == 0
        fails(call("verify-signature", "app", "--key", "other.pub"), Exit.SIGNATURE, "signed by another key")
        fails(call("verify-signature", "app", "--key", "key"), Exit.SIGNATURE, "the key key cannot be used")
        fails(call("verify-signature", "none", "--key", "key.pub"), Exit.SIGNATURE, "none has no signature")
        fails(call("sign", "none", "--key", "key"), Exit.INPUT, "no such file: none")
        (tmp_path / "app.minisig").write_bytes(b"hello")
        fails(call("verify-signature", "app", "--key", "key.pub"), Exit.SIGNATURE, "app.minisig is no signature")

    def test_several_files_and_another_place(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        shutil.copy2(tmp_path / "app", tmp_path / "app2")
        assert call("keygen", "key").code == 0
        assert call("sign", "app", "app2", "--key", "key").out == "app.minisig\napp2.minisig\n"
        (tmp_path / "app2.minisig").rename(tmp_path / "elsewhere")
        assert call("verify-signature", "app2", "--key", "key.pub", "--signature", "elsewhere").code == 0


@needs_gpg
class TestGpg:
    @pytest.fixture
    def home(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
        """A key ring of its own; gpg's agent wants a short path."""
        folder = tmp_path_factory.mktemp("g")
        folder.chmod(0o700)
        home = {"GNUPGHOME": str(folder)}
        try:
            for name in ("a", "b"):
                self.key(home, name)
            yield home
        finally:
            run(["gpgconf", "--kill", "all"], **home)

    def key(self, home: dict[str, str], name: str) -> None:
        """A key that only certifies, with a subkey that signs, as careful people have them."""
        quick = ["gpg", "--batch", "--passphrase", ""]
        assert run([*quick, "--quick-gen-key", f"{name}@example.org", "ed25519", "cert", "never"], **home).code == 0
        assert run([*quick, "--quick-add-key", self.fingerprint(home, name), "ed25519", "sign"], **home).code == 0

    def fingerprint(self, home: dict[str, str], name: str) -> str:
        listed = run(["gpg", "--with-colons", "--list-keys", f"{name}@example.org"], **home)
        return next(line.split(":")[9] for line in listed.out.splitlines() if line.startswith("fpr"))

    def test_both_directions(self, home: dict[str, str], call: Callable[..., Ended], tmp_path: Path) -> None:
        done = call("sign", "app", "--gpg", "a@example.org", **home)
        assert (done.code, done.out) == (0, "app.asc\n"), done
        assert (tmp_path / "app.asc").read_text().startswith("-----BEGIN PGP SIGNATURE-----")
        assert run(["gpg", "--verify", "app.asc", "app"], cwd=tmp_path, **home).code == 0
        key = self.fingerprint(home, "a")
        assert call("verify-signature", "app", "--gpg", key, **home).code == 0
        (tmp_path / "app.asc").unlink()
        assert run(["gpg", "--batch", "-u", "a@example.org", "--detach-sign", "app"], cwd=tmp_path, **home).code == 0
        assert (tmp_path / "app.sig").exists()
        assert call("verify-signature", "app", "--gpg", key, **home).code == 0

    def test_what_is_wrong_is_said(self, home: dict[str, str], call: Callable[..., Ended], tmp_path: Path) -> None:
        mine, other = self.fingerprint(home, "a"), self.fingerprint(home, "b")
        fails(call("verify-signature", "app", "--gpg", mine, **home), Exit.SIGNATURE, "app has no signature")
        fails(call("sign", "app", "--gpg", "nobody", **home), Exit.SIGNATURE, "gpg did not sign app", "No secret key")
        assert call("sign", "app", "--gpg", "a@example.org", **home).code == 0
        fails(call("verify-signature", "app", "--gpg", other, **home), Exit.SIGNATURE, "signed by another key", mine)
        fails(call("verify-signature", "app", "--gpg", mine[-16:], **home), Exit.USAGE, "it is no fingerprint")
        fails(call("verify-signature", "app", "--gpg", "0" * 40, **home), Exit.SIGNATURE, "gpg does not have the key")
        (tmp_path / "app").write_bytes(b"other")
        fails(call("verify-signature", "app", "--gpg", mine, **home), Exit.SIGNATURE, "the file was changed since")
        (tmp_path / "app.asc").write_text("hello")
        fails(call("verify-signature", "app", "--gpg", mine, **home), Exit.SIGNATURE, "app.asc is no signature")

    def test_a_signed_message_is_no_signature_of_a_file(
        self, home: dict[str, str], call: Callable[..., Ended], tmp_path: Path
    ) -> None:
        """It holds what was signed itself, and says nothing of the file beside it."""
        argv = ["gpg", "--batch", "-u", "a@example.org", "--armor", "--sign", "-o", "app.asc", sys.executable]
        assert run([*argv], cwd=tmp_path, **home).code == 0
        done = call("verify-signature", "app", "--gpg", self.fingerprint(home, "a"), **home)
        fails(done, Exit.SIGNATURE, "app.asc is no signature")

    def test_a_revoked_key(self, home: dict[str, str], call: Callable[..., Ended]) -> None:
        mine = self.fingerprint(home, "a")
        assert call("sign", "app", "--gpg", mine, **home).code == 0
        certificate = Path(home["GNUPGHOME"], "openpgp-revocs.d", f"{mine}.rev")
        # A colon keeps it from being used by mistake.
        certificate.write_text(certificate.read_text().replace(":-----BEGIN", "-----BEGIN"))
        assert run(["gpg", "--batch", "--import", certificate], **home).code == 0
        fails(call("verify-signature", "app", "--gpg", mine, **home), Exit.SIGNATURE, "the key was revoked")

    def test_gpg_is_not_there(self, call: Callable[..., Ended], tmp_path: Path) -> None:
        for arguments in (("sign", "app", "--gpg", "a"), ("verify-signature", "app", "--gpg", "0" * 40)):
            (tmp_path / "app.asc").touch()
            fails(call(*arguments, PATH="/nothing"), Exit.TOOL, "apt-get install gnupg")


def sums(folder: Path) -> list[str]:
    """The names in SHA256SUMS, after sha256sum has checked them."""
    done = run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder)
    assert done.code == 0, done
    return [line.rpartition(": ")[0] for line in done.out.splitlines()]


class TestBuild:
    @pytest.mark.slow
    def test_companions(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "hello.lisp").write_text(HELLO)
        done = monolisp("build", "hello.lisp", "--checksum", "--attest", "--oci", "hello.tar")
        assert done.code == 0, done.err
        assert sums(tmp_path) == ["hello", "hello.intoto.json", "hello.tar"]
        before = {name: (tmp_path / name).read_bytes() for name in ("SHA256SUMS", "hello.intoto.json")}
        assert monolisp("build", "hello.lisp", "--checksum", "--attest", "--always").code == 0
        assert {name: (tmp_path / name).read_bytes() for name in before} == before
        (tmp_path / "hello.lisp").write_text(HELLO + "\n(defun other ())")
        assert monolisp("build", "hello.lisp", "--checksum", "--attest").code == 0
        assert (tmp_path / "SHA256SUMS").read_bytes() != before["SHA256SUMS"]
        assert sums(tmp_path) == ["hello", "hello.intoto.json", "hello.tar"]
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    @pytest.mark.slow
    def test_builds_at_once_lose_no_line(self, monolisp: Monolisp, tmp_path: Path) -> None:
        names = [f"app{number}" for number in range(4)]
        for name in names:
            (tmp_path / f"{name}.lisp").write_text(HELLO + f" ; {name}")
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda name: monolisp("build", f"{name}.lisp", "--checksum"), names))
        assert [ended.code for ended in done] == [0] * 4, done
        assert sums(tmp_path) == names

    def test_a_list_that_is_none(self, monolisp: Monolisp, tmp_path: Path) -> None:
        (tmp_path / "hello.lisp").write_text(HELLO)
        (tmp_path / "SHA256SUMS").write_text("hello\n")
        fails(monolisp("build", "hello.lisp", "--checksum"), Exit.SIGNATURE, "line 1 is no sha256 and name")


class TestAttest:
    @pytest.fixture
    def hello(self, example: Callable[[str], Path], tmp_path: Path) -> Path:
        return Path(shutil.copy2(example("hello"), tmp_path / "hello"))

    def test_signed(self, hello: Path, call: Callable[..., Ended], tmp_path: Path) -> None:
        for name in ("key", "other"):
            assert call("keygen", name).code == 0
        workflow = "https://ci.example.org/workflow"
        done = call("attest", "hello", "--key", "key", "--builder", workflow, "-o", "told.json")
        assert (done.code, done.out) == (0, "told.json\n"), done
        again = call("attest", "hello", "--key", "key", "--builder", workflow, "-o", "again.json", TZ="Asia/Tokyo")
        assert again.code == 0
        assert (tmp_path / "told.json").read_bytes() == (tmp_path / "again.json").read_bytes()
        verify = ("verify-signature", "hello", "--attestation", "told.json", "--key")
        assert call(*verify, "key.pub").code == 0
        fails(call(*verify, "other.pub"), Exit.SIGNATURE, "signed by another key")
        with hello.open("ab") as stream:
            stream.write(b"\0")
        fails(call(*verify, "key.pub"), Exit.SIGNATURE, "told.json is not about hello")

    def test_what_it_says(self, hello: Path, call: Callable[..., Ended], tmp_path: Path) -> None:
        assert call("keygen", "key").code == 0
        assert call("attest", "hello").code == 0
        told = json.loads((tmp_path / "hello.intoto.json").read_bytes())
        found = run(["sha256sum", hello]).out.split()[0]
        assert told["subject"] == [{"name": "hello", "digest": {"sha256": found}}]
        definition = told["predicate"]["buildDefinition"]
        assert definition["externalParameters"]["inputs"] == ["hello.lisp"]
        named = {
            one["name"]: one["digest"].get("sha256") for one in definition["resolvedDependencies"] if "digest" in one
        }
        source = run(["sha256sum", EXAMPLES / "hello" / "hello.lisp"]).out.split()[0]
        assert named["hello.lisp"] == source
        assert {"SBCL", "monolisp"} <= named.keys()
        fails(
            call("verify-signature", "hello", "--attestation", "hello.intoto.json", "--key", "key.pub"),
            Exit.SIGNATURE,
            "nobody has signed",
        )

    def test_a_file_that_is_not_what_it_says(self, hello: Path, call: Callable[..., Ended], tmp_path: Path) -> None:
        with hello.open("r+b") as stream:
            stream.seek(hello.stat().st_size // 2)
            stream.write(b"?")
        fails(call("attest", "hello"), Exit.INPUT, "is not the file that it says it is")
        fails(call("attest", sys.executable), Exit.INPUT, "does not say what it is made of")
        assert not (tmp_path / "hello.intoto.json").exists()
