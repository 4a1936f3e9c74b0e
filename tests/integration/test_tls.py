"""TLS with OpenSSL inside: servers and clients against others, and where trust comes from. Debian's cl+ssl as it is."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from .conftest import in_chroot, needs_root, run

pytestmark = pytest.mark.slow

HTTPS = """
(require "asdf")
(asdf:load-system "hunchentoot")
(asdf:load-system "drakma")
(hunchentoot:define-easy-handler (hello :uri "/hello") (name)
  (setf (hunchentoot:content-type*) "text/plain; charset=utf-8")
  (format nil "hello ~a é" name))
(defun serve (port certificate key)
  (let ((acceptor (make-instance 'hunchentoot:easy-ssl-acceptor
                                 :port (parse-integer port) :address "127.0.0.1"
                                 :ssl-certificate-file certificate :ssl-privatekey-file key
                                 :access-log-destination nil :message-log-destination nil)))
    (hunchentoot:start acceptor)
    (format t "ready~%")
    (finish-output)
    (loop (sleep 1))))
(defun get-page (url)
  (handler-case
      (multiple-value-bind (body status) (drakma:http-request url :verify :required :close t)
        (format t "~a ~a~%" status body))
    (cl+ssl::ssl-error (condition)
      (format t "refused: ~a~%" (remove #\\Newline (princ-to-string condition)))
      (sb-ext:exit :code 3 :abort t))))
(defun main (arguments)
  (apply (if (string= (first arguments) "serve") 'serve 'get-page) (rest arguments)))
"""
TRUST = """
(sb-alien:load-shared-object "libcrypto.so.3")
(sb-alien:define-alien-routine ("X509_STORE_new" store-new) sb-sys:system-area-pointer)
(sb-alien:define-alien-routine ("X509_STORE_set_default_paths" set-default-paths) sb-alien:int
  (store sb-sys:system-area-pointer))
(sb-alien:define-alien-routine ("X509_STORE_get0_objects" objects) sb-sys:system-area-pointer
  (store sb-sys:system-area-pointer))
(sb-alien:define-alien-routine ("OPENSSL_sk_num" count-of) sb-alien:int (stack sb-sys:system-area-pointer))
(defun main ()
  (let ((store (store-new)))
    (format t "~d ~d~%" (set-default-paths store) (count-of (objects store)))))
"""
NAMES = """
(require "sb-bsd-sockets")
(defun main (names)
  (dolist (name names)
    (handler-case
        (multiple-value-bind (four six) (sb-bsd-sockets:get-host-by-name name)
          (format t "~a ~a ~a~%" name
                  (and four (sb-bsd-sockets:host-ent-addresses four))
                  (and six (sb-bsd-sockets:host-ent-addresses six))))
      (error (condition) (format t "~a ~a~%" name (type-of condition))))))
"""


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may trust certificates of their own."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture(scope="module")
def program(toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build Lisp text once for all tests of this file."""
    import sys

    folder = tmp_path_factory.mktemp("tls")
    made: dict[tuple[str, ...], Path] = {}

    def build(text: str, *options: str) -> Path:
        if (text, *options) not in made:
            name = f"program{len(made)}"
            (folder / f"{name}.lisp").write_text(text, encoding="utf-8")
            argv = [sys.executable, "-m", "monolisp", "build", f"{name}.lisp", *options]
            done = run([*argv], cwd=folder, timeout=1800)
            assert done.code == 0, done.err
            made[(text, *options)] = folder / name
        return made[(text, *options)]

    return build


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """good.pem with good.key, of an authority ca.pem, for localhost; other.pem of an authority that nobody knows."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "stranger"):
        subject = ("-subj", f"/CN={name}", "-days", "30", "-nodes", "-newkey", "rsa:2048")
        openssl("req", "-x509", *subject, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="utf-8")
    for name, authority in (("good", "ca"), ("other", "stranger")):
        request = ("-subj", "/CN=localhost", "-nodes", "-newkey", "rsa:2048")
        openssl("req", *request, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-days", "30", "-out", f"{name}.pem")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(program: Callable[..., Path], certificates: Path) -> Iterator[int]:
    """The Lisp server; yields its port."""
    port = free_port()
    argv = [program(HTTPS), "serve", str(port), certificates / "good.pem", certificates / "good.key"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield port
        child.terminate()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "11")
        self.end_headers()
        self.wfile.write(b"from Python")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def pythons(certificates: Path) -> Iterator[Callable[[str], int]]:
    """Start Python's HTTPS server with a certificate; gives its port."""
    servers = []

    def start(name: str) -> int:
        server = HTTPServer(("127.0.0.1", 0), Page)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestHttps:
    def test_python_asks_lisp(self, server: int, certificates: Path) -> None:
        context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        with (
            socket.create_connection(("127.0.0.1", server)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as stream,
        ):
            assert stream.version() == "TLSv1.3"
            stream.sendall(b"GET /hello?name=world HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: stream.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.")
        assert answer.endswith("hello world é".encode())

    def test_openssl_asks_lisp(self, server: int, certificates: Path) -> None:
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{server}", "-CAfile", "ca.pem", "-tls1_3", "-brief"]
        done = subprocess.run(argv, cwd=certificates, input=b"", capture_output=True, timeout=30, check=False)
        assert b"Verification: OK" in done.stderr, done.stderr
        assert b"TLSv1.3" in done.stderr

    def test_lisp_asks_lisp(self, server: int, program: Callable[..., Path], certificates: Path) -> None:
        url = f"https://localhost:{server}/hello?name=lisp"
        done = run([program(HTTPS), "get", url], SSL_CERT_FILE=str(certificates / "ca.pem"))
        assert (done.code, done.out) == (0, "200 hello lisp é\n"), done.err

    def test_lisp_asks_python(
        self, pythons: Callable[[str], int], program: Callable[..., Path], certificates: Path
    ) -> None:
        url = f"https://localhost:{pythons('good')}/"
        done = run([program(HTTPS), "get", url], SSL_CERT_FILE=str(certificates / "ca.pem"))
        assert (done.code, done.out) == (0, "200 from Python\n"), done.err

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_a_certificate_of_a_stranger_is_refused(
        self, host: str, pythons: Callable[[str], int], program: Callable[..., Path], certificates: Path
    ) -> None:
        url = f"https://{host}:{pythons('other')}/"
        done = run([program(HTTPS), "get", url], SSL_CERT_FILE=str(certificates / "ca.pem"))
        assert done.code == 3, done.out + done.err
        assert done.out.startswith("refused: ")

    def test_a_certificate_of_another_host_is_refused(
        self, pythons: Callable[[str], int], program: Callable[..., Path], certificates: Path
    ) -> None:
        url = f"https://127.0.0.2:{pythons('good')}/"
        done = run([program(HTTPS), "get", url], SSL_CERT_FILE=str(certificates / "ca.pem"))
        assert done.code != 0, done.out


@needs_root
class TestTrust:
    """How many certificates OpenSSL's default paths give, where there is nothing but what a test puts there."""

    @pytest.mark.parametrize(
        "path",
        [
            "etc/ssl/certs/ca-certificates.crt",
            "etc/pki/tls/certs/ca-bundle.crt",
            "etc/ssl/ca-bundle.pem",
            "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "etc/ssl/cert.pem",
        ],
        ids=["debian", "fedora", "suse", "rhel", "alpine"],
    )
    def test_the_systems(self, path: str, program: Callable[..., Path], certificates: Path, tmp_path: Path) -> None:
        place = tmp_path / path
        place.parent.mkdir(parents=True)
        shutil.copy(certificates / "ca.pem", place)
        assert in_chroot(program(TRUST), tmp_path).out == "1 1\n"

    def test_none(self, program: Callable[..., Path], tmp_path: Path) -> None:
        assert in_chroot(program(TRUST), tmp_path).out.endswith(" 0\n")

    def test_what_is_inside_where_there_is_none(self, program: Callable[..., Path], tmp_path: Path) -> None:
        count = int(in_chroot(program(TRUST, "--embed-ca"), tmp_path).out.split()[1])
        assert count > 100

    def test_the_systems_goes_before_what_is_inside(
        self, program: Callable[..., Path], certificates: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "etc/ssl").mkdir(parents=True)
        shutil.copy(certificates / "ca.pem", tmp_path / "etc/ssl/cert.pem")
        assert in_chroot(program(TRUST, "--embed-ca"), tmp_path).out == "1 1\n"

    def test_a_variable_goes_before_all(self, program: Callable[..., Path], certificates: Path) -> None:
        done = run([program(TRUST, "--embed-ca")], SSL_CERT_FILE=str(certificates / "ca.pem"))
        assert done.out == "1 1\n"


@needs_root
class TestNames:
    def test_hosts(self, program: Callable[..., Path], tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        text = "127.0.0.1 localhost\n10.1.2.3 somewhere\n2001:db8::7 six\n"
        (tmp_path / "etc/hosts").write_text(text, encoding="utf-8")
        done = in_chroot(program(NAMES), tmp_path, "somewhere", "127.0.0.9", "six", "nowhere.invalid")
        lines = done.out.splitlines()
        assert lines[0] == "somewhere (#(10 1 2 3)) NIL"
        assert lines[1] == "127.0.0.9 (#(127 0 0 9)) NIL"
        assert lines[2] == "six NIL (#(32 1 13 184 0 0 0 0 0 0 0 0 0 0 0 7))"
        assert lines[3].split()[0] == "nowhere.invalid"
        assert "(" not in lines[3]

    def test_a_name_server(self, program: Callable[..., Path], tmp_path: Path) -> None:
        """resolv.conf names a server of the test's own, which knows one name."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            try:
                server.bind(("127.0.0.53", 53))
            except OSError as error:
                pytest.skip(f"waits for port 53: {error}")
            threading.Thread(target=answer_names, args=(server,), daemon=True).start()
            (tmp_path / "etc").mkdir()
            (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.53\n", encoding="utf-8")
            begin = time.monotonic()
            done = in_chroot(program(NAMES), tmp_path, "known.example")
        assert done.out.startswith("known.example (#(192 0 2 1))"), done.out + done.err
        assert time.monotonic() - begin < 10


def answer_names(server: socket.socket) -> None:
    """A name server that says 192.0.2.1 to every question for an IPv4 address. Source: RFC 1035, section 4."""
    while True:
        try:
            question, guest = server.recvfrom(512)
        except OSError:
            return
        end = question.index(b"\0", 12) + 5
        kind = int.from_bytes(question[end - 4 : end - 2], "big")
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1" if kind == 1 else b""
        counts = b"\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0"
        server.sendto(question[:2] + b"\x81\x80" + counts + question[12:end] + answer, guest)
