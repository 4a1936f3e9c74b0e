"""The door to registries, through oras: logins, tokens, requests. What is sent is streamed.

oras' own uploads hold a blob in memory, and its own retries wait two minutes for a registry that is not there; so its
requests are used, with blobs that can be read again, and with the retries of urllib3.
Source: OCI distribution-spec 1.1; oras 0.2.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import quote, urljoin

from monolisp.errors import BadReference, OciExtraMissing, RegistryFailed, RegistryRefuses, RegistryUnreachable
from monolisp.oci.image import INDEX, MANIFEST, Document
from monolisp.oci.layout import Blob
from monolisp.oci.logins import logins_in

# Seconds: for a connection, and for each answer or piece of one.
_PATIENCE = (10, 120)
_AGAIN = (429, 502, 503, 504)
_OCTETS = "application/octet-stream"
_MOST_REASON = 300

# Source: distribution-spec 1.1, "Pulling manifests"; the host as Docker's reference grammar has it.
_PORT = r":[0-9]{1,5}"
_DOMAIN = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_HOST = rf"localhost|(?:[A-Za-z0-9-]+|\[[0-9a-f:]+\]){_PORT}|{_DOMAIN}(?:{_PORT})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<host>{_HOST})/(?P<name>{_PART}(?:/{_PART})*):(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})"
)

# Docker Hub answers under another name than the one that it is called by, and logins to it are kept under a third.
_HUB, _HUB_HOST, _HUB_LOGIN = ("docker.io", "index.docker.io"), "registry-1.docker.io", "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Reference:
    """REGISTRY/NAME:TAG."""

    host: str
    name: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}:{self.tag}"


def parse_reference(text: str) -> Reference:
    """Raises BadReference; a registry and a tag are never guessed."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise BadReference(reference=text)
    name = found["name"]
    if found["host"] in _HUB and "/" not in name:
        name = f"library/{name}"
    return Reference(found["host"], name, found["tag"])


def upload_address(asked: str, location: str, digest: str) -> str | None:
    """Where a blob is sent, when `asked` answered with `location`; None where what is secret would not stay so."""
    place = urljoin(asked, location)
    if asked.startswith("https:") and not place.startswith("https:"):
        return None
    return f"{place}{'&' if '?' in place else '?'}digest={quote(digest, safe='')}"


class Registry:
    """A repository of a registry. `logins` are files such as ~/.docker/config.json, those before going first.

    Everything raises RegistryUnreachable, RegistryRefuses, RegistryFailed.
    """

    def __init__(self, reference: Reference, plain_http: bool, logins: Sequence[Path]) -> None:
        self._reference = reference
        oras, self._errors = _library("oras.provider"), _library("requests.exceptions")
        _library("oras.logger").logger.set_level(logging.CRITICAL + 1)
        self._host = _HUB_HOST if reference.host in _HUB else reference.host
        self._root = f"{'http' if plain_http else 'https'}://{self._host}/v2/"
        client = oras.Registry(self._host, insecure=plain_http)
        _have_patience(client.session)
        if self._asks_for_a_password(client):
            client = oras.Registry(self._host, insecure=plain_http, auth_backend="basic")
            _have_patience(client.session)
        self._log_in(client, logins)
        self._client = client

    def _asks_for_a_password(self, client: Any) -> bool:
        """Whether each request needs the password, rather than a token that is had for it."""
        answer = self._answer(partial(client.session.get, self._root))
        return str(answer.headers.get("WWW-Authenticate", "")).lower().startswith("basic")

    def _log_in(self, client: Any, logins: Sequence[Path]) -> None:
        account = _library("oras.container").Container("any")
        account.registry = _HUB_LOGIN if self._reference.host in _HUB else self._host
        try:
            client.auth._auth_config = logins_in(logins)
            client.auth.load_configs(account)
        except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            self._refuse(f"the file with your logins cannot be used: {error}", error)
        # A password goes with the first request already, or a blob would be sent twice. oras raises where it has none.
        with suppress(AttributeError):
            client.session.headers.update(client.auth.get_auth_header())

    def put_blob(self, blob: Blob) -> bool:
        """Send a blob, unless it is there; says whether it was sent."""
        digest = blob.descriptor.digest
        if self._request("HEAD", f"blobs/{digest}", {200, 404}).status_code == 200:
            return False
        begun = self._request("POST", "blobs/uploads/", {202})
        url = upload_address(begun.url, begun.headers.get("Location", ""), digest)
        if url is None:
            raise RegistryFailed(reference=self._reference, reason="it wants the image sent to where there is no TLS")
        headers = {"Content-Type": _OCTETS, "Content-Length": str(len(blob))}
        self._request("PUT", url, {201}, blob, headers)
        return True

    def put_manifest(self, document: Document, name: str) -> Mapping[str, str]:
        """Give a manifest or index a name, a tag or its digest; returns the answer's headers."""
        headers = {"Content-Type": document.descriptor.media_type}
        answer = self._request("PUT", f"manifests/{name}", {201}, document.content, headers)
        found: Mapping[str, str] = answer.headers
        return found

    def manifest(self, name: str) -> bytes | None:
        """The manifest or index of that name; None if there is none."""
        headers = {"Accept": f"{INDEX}, {MANIFEST}"}
        answer = self._request("GET", f"manifests/{name}", {200, 404}, headers=headers)
        content: bytes = answer.content
        return content if answer.status_code == 200 else None

    def _request(
        self,
        method: str,
        path: str,
        good: set[int],
        data: bytes | Blob | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """`path` below the repository's address, or a whole address."""
        url = urljoin(f"{self._root}{self._reference.name}/", path)
        once = type(self._client).do_request
        once = getattr(once, "__wrapped__", once)
        answer = self._answer(partial(once, self._client, url, method, data=data, headers=dict(headers or {})))
        if answer.status_code in (401, 403):
            self._refuse(_said(answer))
        if answer.status_code not in good:
            raise RegistryFailed(reference=self._reference, reason=_said(answer))
        return answer

    def _answer(self, ask: partial[Any]) -> Any:
        try:
            return ask()
        except self._errors.RequestException as error:
            raise RegistryUnreachable(registry=self._host, reason=_innermost(error)) from error
        except (ValueError, AttributeError) as error:
            # What oras raises where it is asked for a login that it does not have.
            self._refuse("it asks for a login, and none that it takes is known", error)

    def _refuse(self, reason: str, cause: Exception | None = None) -> NoReturn:
        raise RegistryRefuses(reference=self._reference, registry=self._reference.host, reason=reason) from cause


def _library(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise OciExtraMissing(module=name.partition(".")[0]) from error


def _have_patience(session: Any) -> None:
    """Every request ends, and what may pass is tried again."""
    retry = _library("urllib3.util").Retry(
        total=3,
        connect=1,
        other=0,
        backoff_factor=0.5,
        status_forcelist=_AGAIN,
        allowed_methods=None,
        raise_on_status=False,
    )
    for prefix in ("http://", "https://"):
        session.mount(prefix, _library("requests.adapters").HTTPAdapter(max_retries=retry))
    session.request = partial(session.request, timeout=_PATIENCE)


def _innermost(error: BaseException) -> str:
    """requests wraps what went wrong several times, and says all of it."""
    reasons = [part for part in (*error.args, getattr(error, "reason", None)) if isinstance(part, BaseException)]
    if reasons:
        return _innermost(reasons[0])
    return str(error).splitlines()[0][:_MOST_REASON] if str(error) else type(error).__name__


def _said(answer: Any) -> str:
    """The answer on one line: what the registry says in the format of the distribution-spec, or its status."""
    status = f"{answer.status_code} {answer.reason}"
    try:
        match json.loads(answer.content[: 1 << 16]):
            case {"errors": [{"code": str(code), **rest}, *_]}:
                return f"{status}: {code}: {rest.get('message', '')}"[:_MOST_REASON]
    except ValueError:
        pass
    return status
