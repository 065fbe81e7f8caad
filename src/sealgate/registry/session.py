"""Reads of registries for one verification: manifests, blobs, referrers.

Bytes first: everything that is fetched is hashed, and the hash counts. A header can only contradict it, with one
exception: the digest that a tag names is what the registry states in `Docker-Content-Digest`. A false header there
chooses which digest is verified, pinned and reported, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sealgate.clocks import Deadline
from sealgate.errors import (
    ConfigError,
    DeadlineError,
    ForbiddenAddressError,
    InvalidReferenceError,
    NotFoundError,
    RateLimitedError,
    UnauthorizedError,
    UnavailableError,
    VerificationError,
)
from sealgate.http.client import Follow, NotTLSError, Request, RequestPolicy
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.settings import api_host, fold
from sealgate.http.urls import URL, Origin, parse_origin, parse_url
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.references import Digest, Repository, parse_digest, parse_repository
from sealgate.registry.auth import AuthContext, refused
from sealgate.registry.callers import Caller, access_of
from sealgate.registry.interface import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from sealgate.registry.referrers import error_codes, lacks_api, next_page, read_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealgate.http.client import Answer
    from sealgate.http.interface import Response
    from sealgate.registry.callers import Access, Identity
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState

T = TypeVar("T")

#: Maximum number of pages of one list of referrers.
MAX_PAGES = 16

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
#: Statuses with which servers answer a path that they do not know.
_NO_EXTENSION = (404, 405, 501)
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404
#: Statuses of a response to HEAD that are about the manifest; others may be about the method.
_KNOWS_HEAD = frozenset({_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND})
#: Statuses with which registries without the referrers API answer it.
_NO_REFERRERS = frozenset({400, 404, 405, 406, 501})


class _Query(NamedTuple):
    """A request to a repository, without its origin.

    Attributes:
        target: path and query, with the leading `/v2/<repository>/`.
        limit: maximum bytes of the response.
        accept: accepted media types; empty for any.
        follow: which redirects are followed.
        method: GET or HEAD.
    """

    target: str
    limit: int
    accept: str = ""
    follow: Follow = Follow.ANYWHERE
    method: str = "GET"


class _Location(NamedTuple):
    """Location of a repository: its registry, or a mirror of it.

    Attributes:
        repository: the repository, with the host that is asked as its registry.
        policy: the terms of the requests.
    """

    repository: Repository
    policy: RequestPolicy

    @property
    def host(self) -> str:
        """The host that is asked, as references and settings spell it."""
        return self.repository.registry

    def target(self, what: str) -> str:
        """Return the target of a part of this repository."""
        return f"/v2/{self.repository.path}/{what}"


class Session:
    """Reads with one set of credentials, under one deadline; see `sealgate.registry.interface.Registry`.

    Args:
        state: what all sessions of one client share.
        credentials: the caller's credentials for each repository.
        policy: deadline, and the hosts that the configuration names literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._state = state
        self._caller = Caller(credentials)
        self._policy = policy
        self._identities: dict[Repository, Identity] = {}

    @property
    def access(self) -> Access:
        """See `Registry.access`."""
        return access_of(self._identities)

    def resolve(self, repository: Repository, tag: str) -> Digest:
        """See `Registry.resolve`.

        Raises:
            InvalidReferenceError: the repository or the tag is not valid.
        """
        _check_repository(repository)
        if _as_digest(tag) is not None:
            raise InvalidReferenceError(f"{quote(tag)} is a digest, not a tag")
        return self._read(repository, lambda location: self._resolve(location, tag))

    def confirm(self, repository: Repository, digest: Digest) -> None:
        """See `Registry.confirm`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        _check_repository(repository)
        parse_digest(digest)
        self._read(repository, lambda location: self._confirm(location, digest))

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """See `Registry.manifest`.

        Raises:
            InvalidReferenceError: the repository is not valid, or `reference` is neither a tag nor a digest.
        """
        _check_repository(repository)
        digest = _as_digest(reference)
        return self._read(repository, lambda location: self._manifest(location, reference, digest))

    def blob(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """See `Registry.blob`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        _check_repository(repository)
        parse_digest(digest)
        return self._read(repository, lambda location: self._blob(location, digest, limit))

    def referrers(self, repository: Repository, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        """See `Registry.referrers`.

        Raises:
            InvalidReferenceError: the repository or the digest is not valid.
        """
        _check_repository(repository)
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
        _check_repository(repository)
        parse_digest(digest)
        return self._read(repository, lambda location: self._signatures(location, digest, limit))

    def document(self, url: str, repository: str, *, limit: int, ca: str | None = None, named: bool = False) -> bytes:
        """See `Registry.document`."""
        parsed = parse_url(url)
        host = fold(parsed.origin.authority)
        literal = self._policy.literal_hosts | ({host} if named else frozenset())
        policy = replace(self._policy, literal_hosts=literal, ca={} if ca is None else {host: ca})
        # The name in the scope may begin with the host, which is not in the path that credentials are stored under.
        location = _Location(Repository(host, repository), policy)
        owner = Repository(host, repository.removeprefix(f"{host}/"))
        query = _Query(parsed.target, limit, follow=Follow.SAME_ORIGIN)
        try:
            if named or ca is not None:
                answer = self._request(location, parsed.origin, query, owner)
            else:
                # A host that the configuration does not name is reached as a registry of that name would be.
                answer = self._get(location, query, owner)
        except ConfigError as error:
            raise UnavailableError(error.message, reason=Reason.AUTHENTICATOR_NOT_READY) from error
        _expect_ok(location, answer.response, quote(str(parsed)))
        return answer.response.body

    # Location: the registry, or its mirror first ---------------------------------------------------------------------

    def _read(self, repository: Repository, read: Callable[[_Location], T]) -> T:
        mirror = self._state.settings.mirrors.get(repository.registry)
        if mirror is not None:
            # At most half of the time, so that a mirror that hangs leaves some for the registry.
            deadline = self._policy.deadline
            half = RequestPolicy(Deadline.after(deadline.clock, deadline.remaining() / 2), self._policy.literal_hosts)
            try:
                return read(_Location(repository._replace(registry=mirror), half))
            except (UnauthorizedError, ForbiddenAddressError, RateLimitedError):
                raise
            except UnavailableError:
                deadline.check(f"asking {quote(repository.registry)}")
        return read(_Location(repository, self._policy))

    # Content ------------------------------------------------------------------------------------------------------

    def _resolve(self, location: _Location, tag: str) -> Digest:
        response = self._head(location, tag)
        if response is not None and _media_type(response) in _MANIFEST_TYPES:
            with contextlib.suppress(InvalidReferenceError):
                return parse_digest(response.headers.get("docker-content-digest", ""))
        # The registry does not state it, or the manifest cannot be verified, which fetching it shows.
        return self._manifest(location, tag, None).digest

    def _confirm(self, location: _Location, digest: Digest) -> None:
        if self._head(location, digest) is None:
            self._manifest(location, digest, digest)

    def _head(self, location: _Location, reference: str) -> Response | None:
        """Return the response to a HEAD of a manifest; None if the registry does not support HEAD.

        Registries count a GET of a manifest as a pull, and do not count a HEAD.
        """
        target = location.target(f"manifests/{reference}")
        response = self._get(
            location, _Query(target, MAX_RESPONSE_BYTES, ", ".join(_MANIFEST_TYPES), method="HEAD")
        ).response
        if response.status not in _KNOWS_HEAD:
            return None
        _expect_ok(location, response, _manifest_name(location, reference))
        return response

    def _manifest(self, location: _Location, reference: str, digest: Digest | None) -> Manifest:
        answer = self._get(
            location, _Query(location.target(f"manifests/{reference}"), MAX_RESPONSE_BYTES, ", ".join(_MANIFEST_TYPES))
        )
        what = _manifest_name(location, reference)
        _expect_ok(location, answer.response, what)
        media_type = _media_type(answer.response)
        if media_type in _SCHEMA_1:
            # Its digest is that of a part of it, so hashing it would prove nothing.
            msg = f"{what} is of the old schema 1, which cannot be verified; build and push the image anew"
            raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
        computed = _digest_of(answer.response.body)
        if digest is not None and computed != digest:
            msg = f"{what} has other bytes: they hash to {computed}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        _check_header(answer.response, computed, what)
        if media_type not in _MANIFEST_TYPES:
            msg = f"{what} is of the type {quote(media_type, 100)}, which is not an image manifest"
            raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
        return Manifest(computed, media_type, answer.response.body)

    def _blob(self, location: _Location, digest: Digest, limit: int) -> bytes:
        answer = self._get(location, _Query(location.target(f"blobs/{digest}"), limit))
        what = f"the blob {quote(location.repository.path)}@{digest}"
        _expect_ok(location, answer.response, what)
        if _digest_of(answer.response.body) != digest:
            msg = f"{what} has other bytes: they hash to {_digest_of(answer.response.body)}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        return answer.response.body

    def _referrers(self, location: _Location, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        found = None
        if not self._state.without_referrers.holds(location.host):
            found = self._referrers_of_api(location, digest, limit)
        if found is None:
            tag = digest.replace(":", "-")
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

    def _referrers_of_api(self, location: _Location, digest: Digest, limit: int) -> dict[Digest, Descriptor] | None:
        """Return the descriptors that the referrers API lists; None if the registry lacks the API."""
        what = f"the list of referrers of {quote(location.repository.path)}@{digest}"
        found: dict[Digest, Descriptor] = {}
        query = _Query(location.target(f"referrers/{digest}"), MAX_RESPONSE_BYTES, OCI_INDEX)
        following: URL | None = None
        for _ in range(MAX_PAGES):
            answer = self._get(location, query) if following is None else self._next_page(location, following, query)
            response = answer.response
            missing = response.status in _NO_REFERRERS
            if missing or (response.status == _OK and _media_type(response) != OCI_INDEX):
                if not missing or lacks_api(response.body):
                    self._state.without_referrers.note(location.host)
                return None
            _expect_ok(location, response, what)
            _add_bounded(found, read_index(response.body, what), limit, what)
            following = next_page(answer.url, response.headers.get("link"))
            if following is None:
                return found
        raise VerificationError(f"{what} has more than {MAX_PAGES} pages", reason=Reason.EVIDENCE_TOO_LARGE)

    def _next_page(self, location: _Location, url: URL, query: _Query) -> Answer:
        """Return the next page of a list: from the registry, or without credentials from the host it redirected to."""
        if url.origin.authority == api_host(location.host):
            return self._get(location, query._replace(target=url.target))
        request = Request(url, query.limit, headers={"Accept": query.accept}, follow=query.follow)
        return self._state.http.send(request, location.policy)

    def _signatures(self, location: _Location, digest: Digest, limit: int) -> bytes:
        path = location.repository.path
        target = f"/extensions/v2/{path}/signatures/{digest}"
        answer = self._get(location, _Query(target, limit, follow=Follow.SAME_ORIGIN))
        if answer.response.status in _NO_EXTENSION:
            raise NotFoundError(f"{quote(location.host)} does not have the signature extension")
        _expect_ok(location, answer.response, f"a list of signatures of {quote(path)}@{digest}")
        return answer.response.body

    # Requests -----------------------------------------------------------------------------------------------------

    def _get(self, location: _Location, query: _Query, owner: Repository | None = None) -> Answer:
        """Send a request over TLS, or over plain HTTP to an insecure host that does not speak TLS; see `_request`."""
        settings, without_tls = self._state.settings, self._state.without_tls
        authority = api_host(location.host)
        if not settings.is_insecure(location.host) or settings.ca_of(location.host) is not None:
            return self._request(location, parse_origin("https", authority), query, owner)
        if not without_tls.holds(location.host):
            with contextlib.suppress(NotTLSError):
                return self._request(location, parse_origin("https", authority), query, owner)
        try:
            answer = self._request(location, parse_origin("http", authority), query, owner)
        except DeadlineError:
            raise
        except UnavailableError:
            without_tls.drop(location.host)  # it may speak TLS by now; the next request finds out
            raise
        # A server that speaks TLS, and failed to do so a moment ago, answers plain HTTP with 400.
        if answer.response.status == _BAD_REQUEST:
            without_tls.drop(location.host)
        else:
            without_tls.note(location.host)
        return answer

    def _request(self, location: _Location, origin: Origin, query: _Query, owner: Repository | None = None) -> Answer:
        """Send a request with the credentials that the host asks for.

        Args:
            location: the repository that is asked, and the terms.
            origin: scheme, host and port to ask.
            query: the request.
            owner: the repository whose credentials are sent; by default that of the location.
        """
        anonymous = AuthContext(origin, location.repository.path, None, location.policy)
        if self._state.auth.challenged(origin):
            return self._request_with_credentials(anonymous, query, owner or location.repository, None)
        answer = self._send(anonymous, query, None)
        if not _is_from(answer, origin, _UNAUTHORIZED):
            return answer
        return self._request_with_credentials(anonymous, query, owner or location.repository, answer)

    def _request_with_credentials(
        self, anonymous: AuthContext, query: _Query, owner: Repository, refusal: Answer | None
    ) -> Answer:
        """Send a request with each of the caller's credentials until one of them is accepted.

        Args:
            anonymous: the context, without credentials.
            query: the request.
            owner: the repository whose credentials are sent.
            refusal: the 401 to the same request without credentials; None if it was not sent.
        """
        auth = self._state.auth
        every = self._caller.credentials(owner)
        self._identities[owner] = self._caller.identity(owner)
        if not every:
            return self._request_as(anonymous, query, refusal)
        first: Answer | UnauthorizedError | None = None
        for credentials in auth.preferred(anonymous, every):
            context = anonymous._replace(credentials=credentials)
            try:
                answer = self._request_as(context, query, refusal)
            except UnauthorizedError as error:
                first = first or error
                continue
            if not _is_from(answer, anonymous.registry, _FORBIDDEN):
                auth.prefer(context, every)
                return answer
            first = first or answer
        assert first is not None  # noqa: S101 - for the type checker: each of at least one credentials set it
        if isinstance(first, UnauthorizedError):
            raise first
        return first

    def _request_as(self, context: AuthContext, query: _Query, refusal: Answer | None) -> Answer:
        auth = self._state.auth
        sent = None
        if refusal is None:
            sent = auth.header(context)
            refusal = self._send(context, query, sent)
            if not _is_from(refusal, context.registry, _UNAUTHORIZED):
                return refusal
        value = auth.answer(context, refusal.response.headers.get("www-authenticate"), sent)
        answer = self._send(context, query, value)
        if _is_from(answer, context.registry, _UNAUTHORIZED):
            raise refused(context)
        return answer

    def _send(self, context: AuthContext, query: _Query, authorization: str | None) -> Answer:
        headers = {"Accept": query.accept} if query.accept else {}
        if authorization is not None:
            headers["Authorization"] = authorization
        url = URL(context.registry, query.target)
        return self._state.http.send(
            Request(url, query.limit, query.method, headers, follow=query.follow), context.policy
        )


def _is_from(answer: Answer, origin: Origin, status: int) -> bool:
    """Return whether a response has a status and is the registry's own, not that of a storage it redirects to."""
    return answer.response.status == status and answer.url.origin == origin


@lru_cache(4096)
def _check_repository(repository: Repository) -> None:
    """Raise `InvalidReferenceError` for a repository that is not normalised; its parts are put into URLs."""
    if parse_repository(repository.name) != repository:
        raise InvalidReferenceError(f"{quote(repository.name)} is not a repository in normalised form")


def _as_digest(reference: str) -> Digest | None:
    """Return a reference that is a digest; None for a tag."""
    if ":" in reference:
        return parse_digest(reference)
    if not _TAG.fullmatch(reference):
        raise InvalidReferenceError(f"{quote(reference)} is neither a tag nor a digest")
    return None


def _expect_ok(location: _Location, response: Response, what: str) -> None:
    host = quote(location.host)
    if response.status == _OK:
        return
    if response.status == _NOT_FOUND:
        raise NotFoundError(f"{host} does not have {what}")
    if response.status in (_UNAUTHORIZED, _FORBIDDEN):
        codes = ", ".join(error_codes(response.body))
        why = f" ({codes})" if codes else ""
        raise UnauthorizedError(f"{host} does not give out {what}{why}; check the pull secret and its rights")
    raise UnavailableError(f"{host} answers with status {response.status} when asked for {what}")


def _manifest_name(location: _Location, reference: str) -> str:
    separator = "@" if ":" in reference else ":"
    return f"the manifest {quote(location.repository.path)}{separator}{quote(reference)}"


def _no_referrers_error(location: _Location, digest: Digest) -> NotFoundError:
    return NotFoundError(f"{quote(location.repository.name)} has nothing that refers to {digest}")


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _digest_of(body: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(body).hexdigest())


def _check_header(response: Response, computed: Digest, what: str) -> None:
    stated = response.headers.get("docker-content-digest")
    if stated is None or stated == computed:
        return
    algorithm, _, digest = stated.partition(":")
    make = _HASHES.get(algorithm)
    if make is None or make(response.body).hexdigest() != digest:
        msg = f"{what} hashes to {computed}, but the registry states {quote(stated, 80)}"
        raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)


def _add_bounded(
    found: dict[Digest, Descriptor], more: Iterable[Descriptor], limit: int, what: str
) -> dict[Digest, Descriptor]:
    for descriptor in more:
        found.setdefault(descriptor.digest, descriptor)
        if len(found) > limit:
            raise VerificationError(f"{what} has more than {limit} entries", reason=Reason.EVIDENCE_TOO_LARGE)
    return found
