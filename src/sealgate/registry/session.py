"""Reads of registries for one verification: manifests, blobs, referrers.

Bytes first: everything that is fetched is hashed, and the hash counts. A header can only contradict it, with one
exception: the digest that a tag names is what the registry states in `Docker-Content-Digest`. A false header there
chooses which digest is verified, pinned and reported, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, TypeVar

from sealgate.clocks import Deadline
from sealgate.errors import (
    ForbiddenAddressError,
    InvalidReferenceError,
    NotFoundError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    VerificationError,
)
from sealgate.http.client import Follow, Request, RequestPolicy
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.settings import api_host, fold
from sealgate.http.urls import URL, parse_url
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.references import Digest, Repository, parse_digest
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from sealgate.registry.names import as_digest, check_repository, digest_of, manifest_name, referrers_tag
from sealgate.registry.referrers import error_codes, lacks_api, next_page, read_index
from sealgate.registry.requests import Location, Query, RegistryRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealgate.http.client import Answer
    from sealgate.http.interface import Response
    from sealgate.registry.callers import Access
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState

T = TypeVar("T")

#: Maximum number of pages of one list of referrers.
MAX_PAGES = 16

_MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_ETAG = re.compile(r'"[!#-~]{1,256}"')
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
#: Statuses with which servers answer a path that they do not know.
_NO_EXTENSION = (404, 405, 501)
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404
#: The lowest status with which a server says that it failed.
_SERVER_ERROR = 500
#: Statuses of a response to HEAD that are about the manifest; others may be about the method.
_KNOWS_HEAD = frozenset({_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND})
#: Statuses with which registries without the referrers API answer it.
_NO_REFERRERS = frozenset({400, 404, 405, 406, 501})


class Session:
    """Reads with one set of credentials, under one deadline; see `sealgate.registry.interface.Registry`.

    Args:
        state: what all sessions of one client share.
        credentials: the caller's credentials for each repository.
        policy: deadline, and the hosts that the configuration names literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._state = state
        self._policy = policy
        self._requests = RegistryRequests(state, credentials)

    @property
    def access(self) -> Access:
        """See `Registry.access`."""
        return self._requests.access

    @property
    def unanswered_seconds(self) -> float:
        """See `Registry.unanswered_seconds`."""
        return self._requests.unanswered_seconds

    def resolve(self, repository: Repository, tag: str) -> Digest:
        """See `Registry.resolve`.

        Raises:
            InvalidReferenceError: the repository or the tag is not valid.
        """
        check_repository(repository)
        if as_digest(tag) is not None:
            raise InvalidReferenceError(f"{quote(tag)} is a digest, not a tag")
        return self._read(repository, lambda location: self._resolve(location, tag))

    def confirm(self, repository: Repository, digest: Digest) -> None:
        """See `Registry.confirm`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        check_repository(repository)
        parse_digest(digest)
        self._read(repository, lambda location: self._confirm(location, digest))

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """See `Registry.manifest`.

        Raises:
            InvalidReferenceError: the repository is not valid, or `reference` is neither a tag nor a digest.
        """
        check_repository(repository)
        digest = as_digest(reference)
        return self._read(repository, lambda location: self._manifest(location, reference, digest))

    def blob(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """See `Registry.blob`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        check_repository(repository)
        parse_digest(digest)
        return self._read(repository, lambda location: self._blob(location, digest, limit))

    def referrers(self, repository: Repository, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        """See `Registry.referrers`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        check_repository(repository)
        parse_digest(digest)
        try:
            return self._read(repository, lambda location: self._referrers(location, digest, limit))
        except NotFoundError:
            return ()

    def signatures(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """See `Registry.signatures`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        check_repository(repository)
        parse_digest(digest)
        return self._read(repository, lambda location: self._signatures(location, digest, limit))

    def document(self, url: str, repository: str, *, limit: int, ca: str | None = None, named: bool = False) -> bytes:
        """See `Registry.document`."""
        parsed = parse_url(url)
        query = Query(parsed.target, limit)
        answer = self._requests.send_document(self._policy, parsed, repository, query, ca=ca, named=named)
        _expect_ok(fold(parsed.origin.authority), answer.response, lambda: quote(str(parsed)))
        return answer.response.body

    # Location: the registry, or its mirror first ---------------------------------------------------------------------

    def _read(self, repository: Repository, read: Callable[[Location], T]) -> T:
        mirror = self._state.settings.mirrors.get(repository.registry)
        if mirror is not None:
            # At most half of the time, so that a mirror that hangs leaves some for the registry.
            deadline = self._policy.deadline
            half = RequestPolicy(Deadline.after(deadline.clock, deadline.remaining() / 2), self._policy.literal_hosts)
            try:
                return read(Location(repository._replace(registry=mirror), half))
            except (UnauthorizedError, ForbiddenAddressError, RateLimitedError):
                raise
            except UnavailableError:
                deadline.check(f"asking {quote(repository.registry)}")
        return read(Location(repository, self._policy))

    # Content ------------------------------------------------------------------------------------------------------

    def _resolve(self, location: Location, tag: str) -> Digest:
        response = self._head(location, tag)
        if response is not None and _media_type(response) in _MANIFEST_TYPES:
            with contextlib.suppress(InvalidReferenceError):
                return parse_digest(response.headers.get("docker-content-digest", ""))
        # The registry does not state it, or the manifest cannot be verified, which fetching it shows.
        return self._manifest(location, tag, None).digest

    def _confirm(self, location: Location, digest: Digest) -> None:
        if self._head(location, digest) is None:
            self._manifest(location, digest, digest)

    def _head(self, location: Location, reference: str) -> Response | None:
        """Return the response to a HEAD of a manifest; None if the registry does not support HEAD.

        Registries count a GET of a manifest as a pull, and do not count a HEAD.
        """
        target = location.target(f"manifests/{reference}")
        response = self._requests.send(
            location, Query(target, MAX_RESPONSE_BYTES, ", ".join(_MANIFEST_TYPES), method="HEAD")
        ).response
        if response.status not in _KNOWS_HEAD:
            return None
        _expect_ok(location.host, response, lambda: manifest_name(location.repository, reference))
        return response

    def _manifest(self, location: Location, reference: str, digest: Digest | None) -> Manifest:
        answer = self._requests.send(
            location, Query(location.target(f"manifests/{reference}"), MAX_RESPONSE_BYTES, ", ".join(_MANIFEST_TYPES))
        )
        _expect_ok(location.host, answer.response, lambda: manifest_name(location.repository, reference))
        media_type = _media_type(answer.response)
        if media_type in _SCHEMA_1:
            # Its digest is that of a part of it, so hashing it would prove nothing.
            what = manifest_name(location.repository, reference)
            msg = f"{what} is of the old schema 1, which cannot be verified; build and push the image anew"
            raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
        computed = digest_of(answer.response.body)
        if digest is not None and computed != digest:
            msg = f"{manifest_name(location.repository, reference)} has other bytes: they hash to {computed}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        _check_header(answer.response, computed, lambda: manifest_name(location.repository, reference))
        if media_type not in _MANIFEST_TYPES:
            what = manifest_name(location.repository, reference)
            msg = f"{what} is of the type {quote(media_type, 100)}, which is not an image manifest"
            raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
        return Manifest(computed, media_type, answer.response.body, _strong_etag(answer.response))

    def _blob(self, location: Location, digest: Digest, limit: int) -> bytes:
        answer = self._requests.send(location, Query(location.target(f"blobs/{digest}"), limit))

        def what() -> str:
            return f"the blob {quote(location.repository.path)}@{digest}"

        _expect_ok(location.host, answer.response, what)
        if digest_of(answer.response.body) != digest:
            msg = f"{what()} has other bytes: they hash to {digest_of(answer.response.body)}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        return answer.response.body

    def _referrers(self, location: Location, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        found = None
        if not self._state.without_referrers.holds(location.host):
            found = self._referrers_of_api(location, digest, limit)
        if found is None:
            tag = referrers_tag(digest)
            manifest = self._manifest(location, tag, None)
            if manifest.digest == digest:
                # Some registries resolve such a tag to the image itself, which does not refer to itself.
                raise _no_referrers_error(location, digest)
            what = f"the list of referrers {quote(location.repository.path)}:{tag}"
            if manifest.media_type != OCI_INDEX:
                raise VerificationError(f"{what} is not an OCI index", reason=Reason.MALFORMED_EVIDENCE)
            found = _add_bounded({}, read_index(manifest.body, what), limit, what)
        if not found:
            # An empty list of a mirror says nothing about the registry.
            raise _no_referrers_error(location, digest)
        return tuple(found.values())

    def _referrers_of_api(self, location: Location, digest: Digest, limit: int) -> dict[Digest, Descriptor] | None:
        """Return the descriptors that the referrers API lists; None if the registry lacks the API."""
        what = f"the list of referrers of {quote(location.repository.path)}@{digest}"
        found: dict[Digest, Descriptor] = {}
        query = Query(location.target(f"referrers/{digest}"), MAX_RESPONSE_BYTES, OCI_INDEX)
        following: URL | None = None
        for _ in range(MAX_PAGES):
            answer = (
                self._requests.send(location, query)
                if following is None
                else self._next_page(location, following, query)
            )
            response = answer.response
            missing = response.status in _NO_REFERRERS
            if missing or (response.status == _OK and _media_type(response) != OCI_INDEX):
                if not missing or lacks_api(response.body):
                    self._state.without_referrers.note(location.host)
                return None
            _expect_ok(location.host, response, lambda: what)
            _add_bounded(found, read_index(response.body, what), limit, what)
            following = next_page(answer.url, response.headers.get("link"))
            if following is None:
                return found
        raise VerificationError(f"{what} has more than {MAX_PAGES} pages", reason=Reason.EVIDENCE_TOO_LARGE)

    def _next_page(self, location: Location, url: URL, query: Query) -> Answer:
        """Return the next page of a list: from the registry, or without credentials from the host it redirected to."""
        if url.origin.authority == api_host(location.host):
            return self._requests.send(location, query._replace(target=url.target))
        request = Request(url, query.limit, headers={"Accept": query.accept}, follow=query.follow)
        return self._state.http.send(request, location.policy)

    def _signatures(self, location: Location, digest: Digest, limit: int) -> bytes:
        path = location.repository.path
        target = f"/extensions/v2/{path}/signatures/{digest}"
        answer = self._requests.send(location, Query(target, limit, follow=Follow.SAME_ORIGIN))
        if answer.response.status in _NO_EXTENSION:
            raise NotFoundError(f"{quote(location.host)} does not have the signature extension")
        _expect_ok(location.host, answer.response, lambda: f"a list of signatures of {quote(path)}@{digest}")
        return answer.response.body


def _expect_ok(registry: str, response: Response, name: Callable[[], str]) -> None:
    """Raise unless the status is 200; only then are the names for the message needed."""
    if response.status == _OK:
        return
    host, what = quote(registry), name()
    if response.status == _NOT_FOUND:
        raise NotFoundError(f"{host} does not have {what}")
    if response.status in (_UNAUTHORIZED, _FORBIDDEN):
        codes = ", ".join(error_codes(response.body))
        why = f" ({codes})" if codes else ""
        raise UnauthorizedError(f"{host} does not give out {what}{why}; check the pull secret and its rights")
    failure = UnreachableError if response.status >= _SERVER_ERROR else UnavailableError
    raise failure(f"{host} answers with status {response.status} when asked for {what}")


def _no_referrers_error(location: Location, digest: Digest) -> NotFoundError:
    return NotFoundError(f"{quote(location.repository.name)} has nothing that refers to {digest}")


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _strong_etag(response: Response) -> str:
    # A weak one never fits in If-Match (RFC 9110, 13.1.1), so a write with it would always fail.
    etag = response.headers.get("etag", "")
    return etag if _ETAG.fullmatch(etag) else ""


def _check_header(response: Response, computed: Digest, name: Callable[[], str]) -> None:
    stated = response.headers.get("docker-content-digest")
    if stated is None or stated == computed:
        return
    algorithm, _, digest = stated.partition(":")
    make = _HASHES.get(algorithm)
    if make is None or make(response.body).hexdigest() != digest:
        msg = f"{name()} hashes to {computed}, but the registry states {quote(stated, 80)}"
        raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)


def _add_bounded(
    found: dict[Digest, Descriptor], more: Iterable[Descriptor], limit: int, what: str
) -> dict[Digest, Descriptor]:
    for descriptor in more:
        found.setdefault(descriptor.digest, descriptor)
        if len(found) > limit:
            raise VerificationError(f"{what} has more than {limit} entries", reason=Reason.EVIDENCE_TOO_LARGE)
    return found
