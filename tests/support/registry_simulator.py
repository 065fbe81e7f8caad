"""A registry in this process: real bytes over real HTTP on 127.0.0.1, with faults that a test switches on.

::

    with RegistrySimulator() as registry:
        digest = registry.push_image("team/app", "v1")
        registry.faults.status("/manifests/v1", 503)
        ...                                   # ask `registry.host` with the client under test
        assert registry.paths == ["/v2/team/app/manifests/v1"]

What is pushed is served byte for byte under the digest of its bytes. Referrers come from the API, or with
`referrers_api=False` from the fallback tag, which pushing a manifest with a `subject` then keeps up to date as
real clients do. Pushing over HTTP works too (blob uploads in one or several pieces, manifests), so real tools can
be pointed at it. `tls=True` serves HTTPS with a certificate of an authority of its own (`ca_pem`) that is valid
for 127.0.0.1, localhost and whatever `names` lists.

Nothing here sleeps: what is slow waits for an event that the test, or closing the simulator, sets.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import trustme

from sealgate.references import Digest
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_TLS_RECORD = b"\x16"
_DRIP_SECONDS = 0.02


def digest_of(data: bytes) -> Digest:
    """Return the digest of the bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def encode(document: object) -> bytes:
    """Return a document as the bytes that the simulator stores for it: compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it arrived.

    Attributes:
        method: "GET".
        path: without the query ("/v2/team/app/manifests/v1").
        query: the query's pairs, in order.
        headers: names in lower case.
        body: the bytes.
        connection: which TCP connection it came on; 1 for the first that carried a request.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(slots=True)
class Answer:
    """What goes back: status, headers, body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Fault:
    """Something that goes wrong on the requests that it matches. Make them with the methods of `Faults`.

    Attributes:
        path: a regular expression searched in path and query.
        change: turns the right answer into the wrong one.
        send: writes the answer itself (drips, endless bodies) instead of the usual way.
        times: how often it still happens; None for always.
        hit: set when the first matching request has arrived.
    """

    path: str
    change: Callable[[Answer], Answer] | None = None
    send: Callable[[_Handler, Answer], None] | None = None
    times: int | None = None
    hit: threading.Event = field(default_factory=threading.Event)


class Faults:
    """Switches for what goes wrong. `path` is always a regular expression searched in path and query.

    The first fault that matches wins; `times` limits how often it happens. Each method returns the fault, whose
    `hit` is set when a matching request has arrived.
    """

    def __init__(self, closing: threading.Event) -> None:
        """Start with none; `closing` ends whatever waits."""
        self._faults: list[Fault] = []
        self._closing = closing
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Switch on a fault made by hand."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            self._faults.clear()

    def take(self, target: str) -> Fault | None:
        """Return the fault for a request, counting it; None if all is well."""
        with self._lock:
            for fault in self._faults:
                if fault.times != 0 and re.search(fault.path, target):
                    if fault.times is not None:
                        fault.times -= 1
                    fault.hit.set()
                    return fault
        return None

    def answer(
        self,
        path: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        times: int | None = None,
    ) -> Fault:
        """Answer with exactly this."""
        answer = Answer(status, dict(headers or {}), body)
        return self.add(Fault(path, lambda _: answer, times=times))

    def status(self, path: str, status: int, times: int | None = None) -> Fault:
        """Answer with this status and an error document of that registry."""
        body = encode({"errors": [{"code": "FAULT", "message": "switched on by a test"}]})
        return self.answer(path, status, {"Content-Type": "application/json"}, body, times)

    def rate_limit(self, path: str, retry_after: str | None, times: int | None = 1) -> Fault:
        """Answer 429, with a Retry-After unless that is None."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return self.answer(path, 429, headers, b"too many requests", times)

    def redirect(self, path: str, location: str, status: int = 307, times: int | None = None) -> Fault:
        """Send the client elsewhere; `location` is the header as it stands."""
        return self.answer(path, status, {"Location": location}, b"", times)

    def header(self, path: str, name: str, value: str | None, times: int | None = None) -> Fault:
        """Serve the right answer with one header set to something else, or (None) left out."""

        def change(answer: Answer) -> Answer:
            headers = {key: text for key, text in answer.headers.items() if key.lower() != name.lower()}
            return Answer(answer.status, headers if value is None else {**headers, name: value}, answer.body)

        return self.add(Fault(path, change, times=times))

    def body(self, path: str, body: bytes, times: int | None = None) -> Fault:
        """Serve the right status and headers (the digest header included) with other bytes."""
        return self.add(Fault(path, lambda answer: Answer(answer.status, answer.headers, body), times=times))

    def hang(self, path: str, times: int | None = None) -> Fault:
        """Read the request, then say nothing until the simulator closes."""

        def send(handler: _Handler, _: Answer) -> None:
            self._closing.wait()
            handler.close_connection = True

        return self.add(Fault(path, send=send, times=times))

    def wait_for(self, path: str, event: threading.Event, times: int | None = None) -> Fault:
        """Serve the right answer, but only once the event is set."""

        def change(answer: Answer) -> Answer:
            while not event.wait(_DRIP_SECONDS) and not self._closing.is_set():
                pass
            return answer

        return self.add(Fault(path, change, times=times))

    def drop(self, path: str, times: int | None = None, after: bytes = b"") -> Fault:
        """Close the connection without an answer, or after these bytes of one."""

        def send(handler: _Handler, _: Answer) -> None:
            handler.wfile.write(after)
            handler.close_connection = True

        return self.add(Fault(path, send=send, times=times))

    def raw(self, path: str, data: bytes, times: int | None = None) -> Fault:
        """Write these bytes as the whole answer, status line included, and keep the connection open."""

        def send(handler: _Handler, _: Answer) -> None:
            handler.wfile.write(data)

        return self.add(Fault(path, send=send, times=times))

    def drip(self, path: str, between: Callable[[], object] | None = None, *, headers: bool = False) -> Fault:
        """Serve the right answer one byte at a time, the headers too if asked, calling `between` after each.

        `between` may advance a fake clock; without it a little real time passes.
        """

        def send(handler: _Handler, answer: Answer) -> None:
            head, body = handler.render(answer)
            if not headers:
                handler.wfile.write(head)
                handler.wfile.flush()
            for byte in (head if headers else b"") + body:
                handler.wfile.write(bytes((byte,)))
                handler.wfile.flush()
                if between is not None:
                    between()
                elif self._closing.wait(_DRIP_SECONDS):
                    break

        return self.add(Fault(path, send=send))

    def endless(
        self, path: str, headers: Mapping[str, str] | None = None, chunk: bytes = b"\0" * 65536, status: int = 200
    ) -> Fault:
        """Never stop sending; with no headers given the body has no declared length and ends with the connection."""

        def send(handler: _Handler, _: Answer) -> None:
            lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
            handler.wfile.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode())
            while not self._closing.is_set():
                handler.wfile.write(chunk)
            handler.close_connection = True

        return self.add(Fault(path, send=send))


@dataclass(slots=True)
class Auth:
    """What the registry asks for. Change it while it runs.

    Attributes:
        mode: "none", "basic" or "bearer".
        users: passwords by user name.
        identity_tokens: OAuth2 refresh tokens that the token endpoint takes by POST.
        anonymous: whether the token endpoint gives tokens to callers without credentials.
        realm: the token endpoint named in challenges; None for this registry's own `/token`.
        service: as named in challenges.
        expires_in: what token answers say; None leaves it out.
        token_member: "token" or "access_token".
        post: whether the token endpoint knows the OAuth2 POST (else 404).
        issued: every token given out, with the scopes it is good for. Clear it to revoke them all.
        challenge: the exact WWW-Authenticate header instead of the one that follows from the above.
    """

    mode: str = "none"
    users: dict[str, str] = field(default_factory=dict)
    identity_tokens: set[str] = field(default_factory=set)
    anonymous: bool = False
    realm: str | None = None
    service: str = "simulator"
    expires_in: int | None = 300
    token_member: str = "token"
    post: bool = True
    issued: dict[str, tuple[str, ...]] = field(default_factory=dict)
    challenge: str | None = None


@dataclass(slots=True)
class _Repository:
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # digest -> media type, body
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class RegistrySimulator:
    """A threaded registry, on 127.0.0.1 if nothing else is said. Use it as a context manager, or call `close`.

    Args:
        referrers_api: whether it has the referrers API; without it pushing a manifest with a subject updates
            the fallback tag. May be changed while it runs (`simulator.referrers_api = False`).
        tls: serve HTTPS; the authority's certificate is `ca_pem`.
        names: further names the TLS certificate is valid for.
        auth: what it asks callers for.
        page_size: entries of one page of the referrers API; None for all on one.
        host_name: the host part of `host`; None for the address.
        address: where it listens.
        port: where it listens; 0 for one that is free.

    Attributes:
        host: "127.0.0.1:port", as it stands in references.
        faults: what goes wrong; see `Faults`.
        auth: what it asks for; see `Auth`.
        requests: every request that arrived, in order; clear it with `requests.clear()`.
        documents: further answers by path ("/v1/notes"), for services that are no registries.
        ca_pem: PEM of the authority of its TLS certificate; empty without TLS.
    """

    def __init__(
        self,
        *,
        referrers_api: bool = True,
        tls: bool = False,
        names: tuple[str, ...] = (),
        auth: Auth | None = None,
        page_size: int | None = None,
        host_name: str | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Start serving at once."""
        self.referrers_api = referrers_api
        self.page_size = page_size
        self.auth = auth or Auth()
        self.requests: list[RecordedRequest] = []
        self.documents: dict[str, Answer] = {}
        self.closing = threading.Event()
        self.faults = Faults(self.closing)
        self.lock = threading.RLock()
        self.repositories: dict[str, _Repository] = {}
        self.ca_pem = ""
        self.tls_context = self._make_tls(names) if tls else None
        self._server = _Server(self, (address, port))
        self.scheme = "https" if tls else "http"
        self.port = self._server.server_address[1]
        self.host = f"{host_name or address}:{self.port}"
        self.url = f"{self.scheme}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself; it already serves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop serving: let go whatever hangs, close every connection, wait for every thread."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def close_idle_connections(self) -> None:
        """Close the TCP connections that clients keep alive, as a restarted server would."""
        self._server.close_connections()

    # What is in it ------------------------------------------------------------------------------------------------

    def push_image(
        self,
        repository: str,
        tag: str | None = None,
        *,
        content: bytes | None = None,
        media_type: str = OCI_MANIFEST,
        platform: Mapping[str, str] | None = None,
    ) -> Digest:
        """Push a small image with one layer and return its digest.

        Args:
            repository: "team/app".
            tag: may be None.
            content: the layer's bytes; the default differs for each repository and tag.
            media_type: of the manifest; with `DOCKER_MANIFEST` a docker image.
            platform: members of the config ({"architecture": "arm64"}).
        """
        layer = content if content is not None else f"layer of {repository}:{tag}".encode()
        config = encode({"architecture": "amd64", "os": "linux", **(platform or {})})
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": self.descriptor(repository, config, IMAGE_CONFIG),
            "layers": [self.descriptor(repository, layer, LAYER)],
        }
        return self.push_manifest(repository, tag, encode(document), media_type)

    def push_index(
        self, repository: str, tag: str | None, digests: tuple[Digest, ...], media_type: str = OCI_INDEX
    ) -> Digest:
        """Push an index (or docker manifest list) of manifests that are already there and return its digest."""
        entries = []
        for number, digest in enumerate(digests):
            kind, body = self.repositories[repository].manifests[digest]
            platform = {"architecture": ("amd64", "arm64", "s390x")[number % 3], "os": "linux"}
            entries.append({"mediaType": kind, "digest": digest, "size": len(body), "platform": platform})
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
        return self.push_manifest(repository, tag, encode(document), media_type)

    def push_artifact(
        self,
        repository: str,
        tag: str | None,
        layers: tuple[tuple[bytes, str, Mapping[str, str]], ...],
        *,
        subject: Digest | None = None,
        artifact_type: str | None = None,
        config: tuple[bytes, str] = (b"{}", "application/vnd.oci.empty.v1+json"),
        annotations: Mapping[str, str] | None = None,
    ) -> Digest:
        """Push an OCI manifest of blobs (a signature, say) and return its digest.

        Args:
            repository: "team/app".
            tag: "sha256-….sig", or None for a referrer that has none.
            layers: bytes, media type and annotations of each.
            subject: what it refers to; it is then listed among that one's referrers.
            artifact_type: of the manifest.
            config: bytes and media type.
            annotations: of the manifest.
        """
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
        if artifact_type is not None:
            document["artifactType"] = artifact_type
        document["config"] = self.descriptor(repository, *config)
        document["layers"] = [self.descriptor(repository, *layer) for layer in layers]
        if subject is not None:
            known = self.repositories[repository].manifests.get(subject, (OCI_MANIFEST, b""))
            document["subject"] = {"mediaType": known[0], "digest": subject, "size": len(known[1])}
        if annotations:
            document["annotations"] = dict(annotations)
        return self.push_manifest(repository, tag, encode(document), OCI_MANIFEST)

    def descriptor(
        self, repository: str, data: bytes, media_type: str, annotations: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Push a blob and return its descriptor."""
        digest = self.push_blob(repository, data)
        found: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(data)}
        if annotations:
            found["annotations"] = dict(annotations)
        return found

    def push_manifest(
        self, repository: str, reference: str | None, body: bytes, media_type: str = OCI_MANIFEST
    ) -> Digest:
        """Store a manifest, byte for byte, under its digest and (if `reference` is one) a tag."""
        digest = digest_of(body)
        with self.lock:
            place = self.repositories.setdefault(repository, _Repository())
            place.manifests[digest] = (media_type, body)
            if reference is not None and reference != digest:
                place.tags[reference] = digest
            if not self.referrers_api:
                self._update_fallback(repository, digest)
        return digest

    def push_blob(self, repository: str, data: bytes) -> Digest:
        """Store a blob under its digest."""
        digest = digest_of(data)
        with self.lock:
            self.repositories.setdefault(repository, _Repository()).blobs[digest] = data
        return digest

    def tag(self, repository: str, tag: str, digest: Digest) -> None:
        """Point a tag at a manifest that is there; move it if it exists."""
        with self.lock:
            self.repositories[repository].tags[tag] = digest

    def delete(self, repository: str, reference: str) -> None:
        """Remove a tag, or by digest a manifest with its tags or a blob."""
        with self.lock:
            place = self.repositories[repository]
            place.tags = {t: d for t, d in place.tags.items() if reference not in (t, d)}
            place.manifests.pop(reference, None)
            place.blobs.pop(reference, None)

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes]:
        """Return media type and body of a stored manifest, by tag or digest."""
        with self.lock:
            place = self.repositories[repository]
            return place.manifests[place.tags.get(reference, reference)]

    def referrers(self, repository: str, subject: str) -> list[dict[str, Any]]:
        """Return the descriptors of the manifests whose subject that is, in the order pushed."""
        with self.lock:
            found = []
            for digest, (media_type, body) in self.repositories[repository].manifests.items():
                descriptor = _referrer(digest, media_type, body, subject)
                if descriptor is not None:
                    found.append(descriptor)
            return found

    @property
    def paths(self) -> list[str]:
        """The paths of all requests so far, in order."""
        return [request.path for request in self.requests]

    # How it is served ---------------------------------------------------------------------------------------------

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the right answer to a request."""
        with self.lock:
            if request.path == "/token":
                return self._token(request)
            if request.path in self.documents:
                return self.documents[request.path]
            refusal = self._authorize(request)
            if refusal is not None:
                return refusal
            if request.path in ("/v2", "/v2/"):
                return Answer(200, {"Content-Type": "application/json"}, b"{}")
            for pattern, serve in _ROUTES:
                match = pattern.fullmatch(request.path)
                if match:
                    return serve(self, request, *match.groups())
            return Answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")

    def serve_manifest(self, request: RecordedRequest, repository: str, reference: str) -> Answer:
        """Serve or take a manifest."""
        if request.method == "PUT":
            media_type = request.headers.get("content-type", OCI_MANIFEST)
            digest = self.push_manifest(repository, reference, request.body, media_type)
            headers = {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/manifests/{digest}"}
            subject = _document(request.body).get("subject")
            if self.referrers_api and isinstance(subject, dict):
                headers["OCI-Subject"] = subject["digest"]
            return Answer(201, headers)
        place = self.repositories.get(repository)
        if place is None:
            return _error(404, "NAME_UNKNOWN")
        if request.method == "DELETE":
            self.delete(repository, reference)
            return Answer(202)
        digest = Digest(place.tags.get(reference, reference))
        if digest not in place.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        media_type, body = place.manifests[digest]
        return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest}, body)

    def serve_blob(self, _: RecordedRequest, repository: str, digest: str) -> Answer:
        """Serve a blob."""
        place = self.repositories.get(repository)
        if place is None or digest not in place.blobs:
            return _error(404, "BLOB_UNKNOWN")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        return Answer(200, headers, place.blobs[digest])

    def serve_referrers(self, request: RecordedRequest, repository: str, digest: str) -> Answer:
        """Serve the referrers API, a page of it if pages are asked of the simulator."""
        if not self.referrers_api:
            return Answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if repository not in self.repositories:
            return _error(404, "NAME_UNKNOWN")
        found = self.referrers(repository, digest)
        headers = {"Content-Type": OCI_INDEX}
        query = dict(request.query)
        if "artifactType" in query:
            found = [entry for entry in found if entry.get("artifactType") == query["artifactType"]]
            headers["OCI-Filters-Applied"] = "artifactType"
        if self.page_size is not None:
            start = int(query.get("start", "0"))
            following = start + self.page_size
            if following < len(found):
                target = f"/v2/{repository}/referrers/{digest}?{urlencode({**query, 'start': following})}"
                headers["Link"] = f'<{target}>; rel="next"'
            found = found[start:following]
        return Answer(200, headers, encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}))

    def serve_tags(self, _: RecordedRequest, repository: str) -> Answer:
        """Serve the list of tags."""
        place = self.repositories.get(repository)
        if place is None:
            return _error(404, "NAME_UNKNOWN")
        body = encode({"name": repository, "tags": sorted(place.tags)})
        return Answer(200, {"Content-Type": "application/json"}, body)

    def serve_upload(self, request: RecordedRequest, repository: str, upload: str) -> Answer:
        """Take a blob: POST starts, PATCH appends, PUT ends; POST with a digest takes it whole."""
        place = self.repositories.setdefault(repository, _Repository())
        number = upload or str(len(place.uploads) + 1)
        data = place.uploads.get(number, b"") + request.body
        place.uploads[number] = data
        location = {"Location": f"/v2/{repository}/blobs/uploads/{number}", "Docker-Upload-UUID": number}
        digest = dict(request.query).get("digest")
        if digest is None:
            headers = {**location, "Range": f"0-{max(len(data) - 1, 0)}"}
            return Answer(202, headers)
        if digest_of(data) != digest:
            return _error(400, "DIGEST_INVALID")
        self.push_blob(repository, data)
        headers = {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest}
        return Answer(201, headers)

    def _authorize(self, request: RecordedRequest) -> Answer | None:
        given = request.headers.get("authorization", "")
        if self.auth.mode == "basic" and self._user(given) is None:
            return self._challenge('Basic realm="simulator"')
        if self.auth.mode == "bearer":
            match = re.match(r"/v2/(.+)/(manifests|blobs|referrers|tags)/", request.path)
            action = "pull" if request.method in ("GET", "HEAD") else "pull,push"
            scope = f"repository:{match[1]}:{action}" if match else ""
            if not self._token_covers(given, scope):
                realm = self.auth.realm or f"{self.url}/token"
                text = f'Bearer realm="{realm}",service="{self.auth.service}"'
                if scope:
                    text += f',scope="{scope}"'
                return self._challenge(text + (',error="insufficient_scope"' if given else ""))
        return None

    def _token_covers(self, given: str, scope: str) -> bool:
        scopes = self.auth.issued.get(given.removeprefix("Bearer "))
        return scopes is not None and (not scope or scope in scopes)

    def _challenge(self, text: str) -> Answer:
        answer = _error(401, "UNAUTHORIZED")
        answer.headers["WWW-Authenticate"] = self.auth.challenge or text
        return answer

    def _user(self, authorization: str) -> str | None:
        if not authorization.startswith("Basic "):
            return None
        name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        return name if name in self.auth.users and self.auth.users[name] == password else None

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method == "POST":
            if not self.auth.post:
                return Answer(404)
            form = parse_qsl(request.body.decode())
            scopes = [value for name, value in form if name == "scope"]
            if dict(form).get("refresh_token") not in self.auth.identity_tokens:
                return _error(401, "UNAUTHORIZED")
        else:
            scopes = [value for name, value in request.query if name == "scope"]
            given = request.headers.get("authorization")
            if not (self._user(given) if given else self.auth.anonymous):
                return _error(401, "UNAUTHORIZED")
        token = f"token-{len(self.auth.issued) + 1}-of-{self.port}"
        self.auth.issued[token] = tuple(part for scope in scopes for part in scope.split(" "))
        document: dict[str, Any] = {self.auth.token_member: token}
        if self.auth.expires_in is not None:
            document["expires_in"] = self.auth.expires_in
        return Answer(200, {"Content-Type": "application/json"}, encode(document))

    def _update_fallback(self, repository: str, digest: str) -> None:
        subject = _document(self.repositories[repository].manifests[digest][1]).get("subject")
        if not isinstance(subject, dict):
            return
        entries = self.referrers(repository, subject["digest"])
        index = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        self.push_manifest(repository, subject["digest"].replace(":", "-"), index, OCI_INDEX)

    def _make_tls(self, names: tuple[str, ...]) -> ssl.SSLContext:
        authority = trustme.CA()
        self.ca_pem = authority.cert_pem.bytes().decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost", *names).configure_cert(context)
        return context


_NAME = r"/v2/([^?]+?)"
_ROUTES: tuple[tuple[re.Pattern[str], Callable[..., Answer]], ...] = (
    (re.compile(rf"{_NAME}/manifests/([^/]+)"), RegistrySimulator.serve_manifest),
    (re.compile(rf"{_NAME}/blobs/uploads/([^/]*)"), RegistrySimulator.serve_upload),
    (re.compile(rf"{_NAME}/blobs/(sha256:[^/]+)"), RegistrySimulator.serve_blob),
    (re.compile(rf"{_NAME}/referrers/([^/]+)"), RegistrySimulator.serve_referrers),
    (re.compile(rf"{_NAME}/tags/list"), RegistrySimulator.serve_tags),
)


def _error(status: int, code: str) -> Answer:
    body = encode({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]})
    return Answer(status, {"Content-Type": "application/json"}, body)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _referrer(digest: str, media_type: str, body: bytes, subject: str) -> dict[str, Any] | None:
    document = _document(body)
    if not isinstance(document.get("subject"), dict) or document["subject"].get("digest") != subject:
        return None
    found: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(body)}
    config = document.get("config")
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    if kind:
        found["artifactType"] = kind
    if document.get("annotations"):
        found["annotations"] = document["annotations"]
    return found


class _Server(HTTPServer):
    """One thread a connection, every connection known, so that closing leaves nothing behind."""

    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, simulator: RegistrySimulator, address: tuple[str, int]) -> None:
        self.simulator = simulator
        self.connections: dict[socket.socket, threading.Thread] = {}
        self.accepted = 0
        self.lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        # At once, because a thread that has not started cannot be waited for.
        with self.lock:
            self.connections[request] = thread
            thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        # A client that goes away in the middle is what half of the tests are about.
        with contextlib.suppress(OSError, ValueError):
            self.finish_request(request, client_address)
        with self.lock:
            self.connections.pop(request, None)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        request.close()

    def next_connection(self) -> int:
        with self.lock:
            self.accepted += 1
            return self.accepted

    def close_connections(self) -> None:
        with self.lock:
            open_now = dict(self.connections)
        for connection, thread in open_now.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, over TLS if the simulator has it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server
    number = 0

    def setup(self) -> None:
        context = self.server.simulator.tls_context
        self._tls: ssl.SSLSocket | None = None
        if context is not None:
            # The plain socket stays with the server, which shuts it down; TLS works on a copy of it.
            self._tls = context.wrap_socket(self.request.dup(), server_side=True)
            self.request = self._tls
        super().setup()

    def finish(self) -> None:
        try:
            with contextlib.suppress(OSError):
                super().finish()
        finally:
            if self._tls is not None:
                self._tls.close()

    def handle(self) -> None:
        if self._tls is None and self.rfile.peek(1)[:1] == _TLS_RECORD:  # type: ignore[attr-defined]  # a BufferedReader
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        super().handle()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        request = self._record()
        simulator = self.server.simulator
        fault = simulator.faults.take(self.path)
        answer = simulator.respond(request)
        if fault is not None and fault.change is not None:
            answer = fault.change(answer)
        if fault is not None and fault.send is not None:
            fault.send(self, answer)
        else:
            head, body = self.render(answer)
            self.wfile.write(head + (b"" if request.method == "HEAD" else body))
        self.wfile.flush()

    def _record(self) -> RecordedRequest:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        if headers.get("transfer-encoding") == "chunked":
            body = self._read_chunks()
        parts = urlsplit(f"http://host{self.path}")
        self.number = self.number or self.server.next_connection()
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        request = RecordedRequest(self.command, unquote(parts.path), query, headers, body, self.number)
        self.server.simulator.requests.append(request)
        return request

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def render(self, answer: Answer) -> tuple[bytes, bytes]:
        """Return the answer's head and body as they go over the wire."""
        headers = dict(answer.headers)
        if not any(name.lower() in ("content-length", "transfer-encoding") for name in headers):
            headers["Content-Length"] = str(len(answer.body))
        if headers.get("Connection") == "close":
            self.close_connection = True
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'X')}\r\n{lines}\r\n".encode(
            "latin-1"
        ), answer.body

    def log_message(self, *_: Any) -> None:
        """Say nothing: `requests` is the log."""


_PHRASES = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    307: "Temporary Redirect",
    401: "Unauthorized",
    404: "Not Found",
}

__all__ = [
    "DOCKER_LIST",
    "DOCKER_MANIFEST",
    "IMAGE_CONFIG",
    "LAYER",
    "OCI_INDEX",
    "OCI_MANIFEST",
    "Answer",
    "Auth",
    "Fault",
    "Faults",
    "RecordedRequest",
    "RegistrySimulator",
    "digest_of",
    "encode",
]
