"""A registry in this process: real bytes over real HTTP on 127.0.0.1, with faults that a test switches on.

::

    with RegistrySimulator() as registry:
        digest = registry.push_image("team/app", "v1")
        registry.faults.status("/manifests/v1", 503)
        ...                                   # ask `registry.host` with the client under test
        assert registry.paths == ["/v2/team/app/manifests/v1"]

What is pushed is served byte for byte under the digest of its bytes. Referrers come from the API, or with
`referrers_api=False` from the fallback tag, which `push_manifest` of a manifest with a `subject` then keeps up to
date as real clients do. Pushing over HTTP works too (blob uploads in one or several pieces, manifests), so real tools
can be pointed at it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sealgate.references import Digest
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, encode, json_answer, registry_error
from tests.support.simulators.registry_auth import Auth, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.simulators.http_messages import RecordedRequest

IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CATALOG = "/v2/_catalog"


def digest_of(data: bytes) -> Digest:
    """Return the digest of the bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


@dataclass(slots=True)
class _Repository:
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # digest -> media type, body
    tags: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class RegistrySimulator(HTTPSimulator):
    """A threaded registry; see `HTTPSimulator` for where and how it serves.

    Args:
        referrers_api: whether it has the referrers API; without it pushing a manifest with a subject updates
            the fallback tag. May be changed while it runs (`simulator.referrers_api = False`).
        auth: required authentication; see `Auth`.
        page_size: entries of one page of the referrers API; None for all on one.
        immutable_tags: regular expression of the tags that cannot be changed once they exist; None for none.
        etags: whether manifests have an ETag and `If-Match` counts.
        catalog: whether it lists its repositories.
        deletes: whether manifests may be deleted, by digest; docker-registry permits it only if it is configured.
        server: the arguments of `HTTPSimulator`.

    Attributes:
        auth: required authentication, changeable at any time; see `Auth`.
    """

    def __init__(
        self,
        *,
        referrers_api: bool = True,
        auth: Auth | None = None,
        page_size: int | None = None,
        immutable_tags: str | None = None,
        etags: bool = False,
        catalog: bool = True,
        deletes: bool = True,
        **server: Any,
    ) -> None:
        """Start serving at once."""
        self.referrers_api = referrers_api
        self.page_size = page_size
        self.immutable_tags = immutable_tags
        self.etags = etags
        self.catalog = catalog
        self.deletes = deletes
        self.auth = auth or Auth()
        self.repositories: dict[str, _Repository] = {}
        super().__init__(**server)

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
            repository: path of the repository ("team/app").
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
            repository: path of the repository ("team/app").
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
        """Store a manifest, byte for byte, under its digest and (if `reference` is one) a tag.

        Without the referrers API the fallback tag of its subject is kept up to date, as clients do. A manifest that
        is pushed over HTTP leaves that to its client.
        """
        with self.lock:
            digest = self._store(repository, reference, body, media_type)
            if not self.referrers_api:
                self._update_fallback(repository, digest)
        return digest

    def _store(self, repository: str, reference: str | None, body: bytes, media_type: str) -> Digest:
        digest = digest_of(body)
        with self.lock:
            stored = self.repositories.setdefault(repository, _Repository())
            stored.manifests[digest] = (media_type, body)
            if reference is not None and reference != digest:
                stored.tags[reference] = digest
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
            stored = self.repositories[repository]
            stored.tags = {t: d for t, d in stored.tags.items() if reference not in (t, d)}
            stored.manifests.pop(reference, None)
            stored.blobs.pop(reference, None)

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes]:
        """Return media type and body of a stored manifest, by tag or digest."""
        with self.lock:
            stored = self.repositories[repository]
            return stored.manifests[stored.tags.get(reference, reference)]

    def referrers(self, repository: str, subject: str) -> list[dict[str, Any]]:
        """Return the descriptors of the manifests whose subject that is, in the order pushed."""
        with self.lock:
            found = []
            for digest, (media_type, body) in self.repositories[repository].manifests.items():
                descriptor = _referrer(digest, media_type, body, subject)
                if descriptor is not None:
                    found.append(descriptor)
            return found

    # How it is served ---------------------------------------------------------------------------------------------

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the faultless response to a request."""
        with self.lock:
            if request.path == "/token":
                return self.auth.token(request, self.port)
            if request.path in self.documents:
                return super().respond(request)
            refusal = self.auth.refusal(request, _scope(request), self.url)
            if refusal is not None:
                return refusal
            if request.path in ("/v2", "/v2/"):
                return json_answer({})
            for pattern, serve in _ROUTES:
                match = pattern.fullmatch(request.path)
                if match:
                    return serve(self, request, *match.groups())
            return super().respond(request)

    def serve_manifest(self, request: RecordedRequest, repository: str, reference: str) -> Answer:
        """Serve or store a manifest."""
        if request.method == "PUT":
            refusal = self._refuse_put(request, repository, reference)
            if refusal is not None:
                return refusal
            media_type = request.headers.get("content-type", OCI_MANIFEST)
            digest = self._store(repository, reference, request.body, media_type)
            headers = {"Docker-Content-Digest": digest, "Location": f"/v2/{repository}/manifests/{digest}"}
            subject = _document(request.body).get("subject")
            if self.referrers_api and isinstance(subject, dict):
                headers["OCI-Subject"] = subject["digest"]
            return Answer(201, headers)
        stored = self.repositories.get(repository)
        if stored is None:
            return registry_error(404, "NAME_UNKNOWN")
        if request.method == "DELETE":
            return self._serve_delete(stored, repository, reference)
        digest = Digest(stored.tags.get(reference, reference))
        if digest not in stored.manifests:
            return registry_error(404, "MANIFEST_UNKNOWN")
        media_type, body = stored.manifests[digest]
        etag = {"ETag": f'"{digest}"'} if self.etags else {}
        return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest, **etag}, body)

    def _serve_delete(self, stored: _Repository, repository: str, reference: str) -> Answer:
        """Answer as docker-registry 2.8 does: it deletes by digest only, with all tags of the manifest."""
        if not self.deletes:
            return registry_error(405, "UNSUPPORTED")
        if not reference.startswith("sha256:"):
            return registry_error(400, "DIGEST_INVALID")
        if reference not in stored.manifests:
            return registry_error(404, "MANIFEST_UNKNOWN")
        self.delete(repository, reference)
        return Answer(202)

    def _refuse_put(self, request: RecordedRequest, repository: str, reference: str) -> Answer | None:
        there = self.repositories.get(repository, _Repository()).tags.get(reference)
        if there is not None and self.immutable_tags and re.fullmatch(self.immutable_tags, reference):
            # As Amazon ECR says it.
            words = f"The image tag '{reference}' already exists and cannot be overwritten: the tag is immutable."
            return json_answer({"errors": [{"code": "TAG_INVALID", "message": words}]}, 400)
        wanted = request.headers.get("if-match")
        return registry_error(412, "PRECONDITION_FAILED") if self.etags and wanted not in (None, f'"{there}"') else None

    def serve_blob(self, _: RecordedRequest, repository: str, digest: str) -> Answer:
        """Serve a blob."""
        stored = self.repositories.get(repository)
        if stored is None or digest not in stored.blobs:
            return registry_error(404, "BLOB_UNKNOWN")
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest}
        return Answer(200, headers, stored.blobs[digest])

    def serve_referrers(self, request: RecordedRequest, repository: str, digest: str) -> Answer:
        """Serve the referrers API, one page at a time if the simulator is set to pages."""
        if not self.referrers_api:
            return Answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        if repository not in self.repositories:
            return registry_error(404, "NAME_UNKNOWN")
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
        stored = self.repositories.get(repository)
        if stored is None:
            return registry_error(404, "NAME_UNKNOWN")
        return json_answer({"name": repository, "tags": sorted(stored.tags)})

    def serve_catalog(self, _: RecordedRequest) -> Answer:
        """Serve the list of repositories."""
        if not self.catalog:
            return registry_error(404, "UNSUPPORTED")
        return json_answer({"repositories": sorted(self.repositories)})

    def serve_upload(self, request: RecordedRequest, repository: str, upload: str) -> Answer:
        """Receive a blob: POST starts, PATCH appends, PUT ends; POST with a digest is a single upload."""
        stored = self.repositories.setdefault(repository, _Repository())
        number = upload or str(len(stored.uploads) + 1)
        data = stored.uploads.get(number, b"") + request.body
        stored.uploads[number] = data
        location = {"Location": f"/v2/{repository}/blobs/uploads/{number}", "Docker-Upload-UUID": number}
        digest = dict(request.query).get("digest")
        if digest is None:
            headers = {**location, "Range": f"0-{max(len(data) - 1, 0)}"}
            return Answer(202, headers)
        if digest_of(data) != digest:
            return registry_error(400, "DIGEST_INVALID")
        self.push_blob(repository, data)
        headers = {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest}
        return Answer(201, headers)

    def _update_fallback(self, repository: str, digest: str) -> None:
        subject = _document(self.repositories[repository].manifests[digest][1]).get("subject")
        if not isinstance(subject, dict):
            return
        entries = self.referrers(repository, subject["digest"])
        index = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        self.push_manifest(repository, subject["digest"].replace(":", "-"), index, OCI_INDEX)


_NAME = r"/v2/([^?]+?)"
_ROUTES: tuple[tuple[re.Pattern[str], Callable[..., Answer]], ...] = (
    (re.compile(rf"{_NAME}/manifests/([^/]+)"), RegistrySimulator.serve_manifest),
    (re.compile(rf"{_NAME}/blobs/uploads/([^/]*)"), RegistrySimulator.serve_upload),
    (re.compile(rf"{_NAME}/blobs/(sha256:[^/]+)"), RegistrySimulator.serve_blob),
    (re.compile(rf"{_NAME}/referrers/([^/]+)"), RegistrySimulator.serve_referrers),
    (re.compile(rf"{_NAME}/tags/list"), RegistrySimulator.serve_tags),
    (re.compile(_CATALOG), RegistrySimulator.serve_catalog),
)


def _scope(request: RecordedRequest) -> str:
    """Return the scope that a request needs."""
    if request.path == _CATALOG:
        return "registry:catalog:*"
    match = re.match(r"/v2/(.+)/(manifests|blobs|referrers|tags)/", request.path)
    return scope_of(request.method, match[1]) if match else ""


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
