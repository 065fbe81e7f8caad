"""Writes to registries for one piece of work: blobs, manifests, signatures of the signature extension.

A write goes to the registry itself, never to a mirror. It never follows a redirect; only the location of an upload,
which the registry names, may be on another host, and gets no credentials there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, VerificationError
from sealgate.http.client import Follow, Request
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.urls import URL, join_url, parse_url
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.references import parse_digest
from sealgate.registry.interface import StoredManifest
from sealgate.registry.names import as_digest, check_repository, digest_of, manifest_name
from sealgate.registry.refusals import deletion_refused, signature_refused, write_refused
from sealgate.registry.requests import Location, Query, RegistryRequests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.http.client import Answer, RequestPolicy
    from sealgate.http.interface import Response
    from sealgate.references import Digest, Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Manifest
    from sealgate.registry.state import SharedState

#: The rights of a token for writes, in the order that registries name them.
PUSH = "pull,push"
#: The right of a token for deletions. Registries that want another one name it in their challenge.
DELETE = "delete"
_BYTES = "application/octet-stream"
_MAX_ANSWER = 64 << 10
_OK, _ACCEPTED, _NOT_FOUND = 200, 202, 404
_STORED = range(200, 300)


class Writer:
    """Writes with one set of credentials, under one deadline; see `sealgate.registry.interface.RegistryWriter`.

    Args:
        state: what all writers and sessions of one client share.
        credentials: the caller's credentials for each repository.
        policy: deadline, and the hosts that the configuration names literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._state = state
        self._policy = policy
        self._requests = RegistryRequests(state, credentials)

    def put_blob(self, repository: Repository, data: bytes) -> Digest:
        """See `RegistryWriter.put_blob`.

        Raises:
            InvalidReferenceError: the repository is not valid.
        """
        digest = digest_of(data)
        location = self._locate(repository)
        if self._has_blob(location, digest):
            return digest
        what = f"the blob {quote(repository.path)}@{digest}"
        started = self._write(location, "POST", "blobs/uploads/", b"")
        upload = started.response.headers.get("location")
        if started.response.status != _ACCEPTED or upload is None:
            raise write_refused(repository, what, started.response)
        response = self._upload(location, _with_digest(join_url(started.url, upload), digest), started.url, data)
        if response.status not in _STORED:
            raise write_refused(repository, what, response)
        return digest

    def put_manifest(
        self, repository: Repository, reference: str, body: bytes, media_type: str, *, replaces: Manifest | None = None
    ) -> StoredManifest:
        """See `RegistryWriter.put_manifest`.

        Raises:
            InvalidReferenceError: the repository is not valid, or `reference` is neither a tag nor a digest.
        """
        tag = as_digest(reference) is None
        digest = digest_of(body)
        conditional = replaces is not None and bool(replaces.etag)
        headers = {"Content-Type": media_type}
        if replaces is not None and conditional:
            headers["If-Match"] = replaces.etag
        location = self._locate(repository)
        response = self._write(location, "PUT", f"manifests/{reference}", body, headers).response
        what = manifest_name(repository, reference)
        if response.status not in _STORED:
            raise write_refused(repository, what, response, tag=tag, conditional=conditional)
        stated = response.headers.get("docker-content-digest", digest)
        if stated.startswith("sha256:") and stated != digest:
            msg = f"{quote(repository.registry)} stored {what} with other bytes: it says {quote(stated, 80)}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        return StoredManifest(digest, "oci-subject" in response.headers)

    def delete_manifest(self, repository: Repository, reference: str) -> None:
        """See `RegistryWriter.delete_manifest`.

        Raises:
            InvalidReferenceError: the repository is not valid, or `reference` is neither a tag nor a digest.
        """
        as_digest(reference)
        location = self._locate(repository)
        response = self._write(location, "DELETE", f"manifests/{reference}", None, actions=DELETE).response
        what = manifest_name(repository, reference)
        if response.status == _NOT_FOUND:
            raise NotFoundError(f"{quote(repository.registry)} does not have {what}")
        if response.status not in _STORED:
            raise deletion_refused(repository, what, response)

    def put_signature(self, repository: Repository, digest: Digest, body: bytes) -> None:
        """See `RegistryWriter.put_signature`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        check_repository(repository)
        target = f"/extensions/v2/{repository.path}/signatures/{parse_digest(digest)}"
        headers = {"Content-Type": "application/json"}
        query = Query(target, _MAX_ANSWER, "", Follow.NOWHERE, "PUT", headers, body, PUSH)
        response = self._requests.send(Location(repository, self._policy), query).response
        if response.status not in _STORED:
            raise signature_refused(repository, digest, response)

    def send_document(  # noqa: PLR0913 - the parts of an HTTP request, and who may answer it
        self,
        method: str,
        url: str,
        repository: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        actions: str = "push,pull",
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
        named: bool = False,
    ) -> Response:
        """See `RegistryWriter.send_document`."""
        parsed = parse_url(url)
        query = Query(
            parsed.target, limit, "", Follow.NOWHERE, method, headers or {}, body, actions, idempotent=method != "POST"
        )
        return self._requests.send_document(self._policy, parsed, repository, query, ca=ca, named=named).response

    def _locate(self, repository: Repository) -> Location:
        check_repository(repository)
        return Location(repository, self._policy)

    def _has_blob(self, location: Location, digest: Digest) -> bool:
        # A storage that it redirects to may refuse a HEAD; the blob is then sent again, which harms nothing.
        query = Query(location.target(f"blobs/{digest}"), _MAX_ANSWER, method="HEAD", actions=PUSH)
        return self._requests.send(location, query).response.status == _OK

    def _write(
        self,
        location: Location,
        method: str,
        what: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        actions: str = PUSH,
    ) -> Answer:
        query = Query(location.target(what), _MAX_ANSWER, "", Follow.NOWHERE, method, headers or {}, body, actions)
        return self._requests.send(location, query)

    def _upload(self, location: Location, url: URL, started: URL, data: bytes) -> Response:
        """Send a blob to where the registry wants it; only the registry itself gets credentials."""
        headers = {"Content-Type": _BYTES}
        if url.origin.host == started.origin.host:
            # As with pages of referrers: registries behind a proxy may name a wrong scheme and port of their own.
            query = Query(url.target, _MAX_ANSWER, "", Follow.NOWHERE, "PUT", headers, data, PUSH)
            return self._requests.send_to(location, started.origin, query).response
        request = Request(url, _MAX_ANSWER, "PUT", headers, data, Follow.NOWHERE, idempotent=True)
        return self._state.http.send(request, location.policy).response


def _with_digest(url: URL, digest: Digest) -> URL:
    return url._replace(target=f"{url.target}{'&' if '?' in url.target else '?'}digest={digest}")
