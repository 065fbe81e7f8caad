"""Reads of registries for one verification: manifests, blobs, referrers.

Bytes first: whatever was fetched is hashed, and the hash is what counts. A header may only contradict it, with one
exception: which digest a tag names is what the registry says in `Docker-Content-Digest`. A header that lies there
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

#: The most pages of one list of referrers.
MAX_PAGES = 16

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MANIFEST_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
#: How servers say of a path that they do not know it.
_NO_EXTENSION = (404, 405, 501)
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404
#: Answers to a HEAD that say something about the manifest; others may be about the method.
_KNOWS_HEAD = frozenset({_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND})
#: How registries without the referrers API answer it.
_NO_REFERRERS = frozenset({400, 404, 405, 406, 501})


class _Question(NamedTuple):
    """What to ask of a repository.

    Attributes:
        target: path and query, the leading `/v2/<repository>/` included.
        limit: the most bytes of the answer.
        accept: the media types; empty for any.
        follow: which redirects.
        method: GET or HEAD.
    """

    target: str
    limit: int
    accept: str = ""
    follow: Follow = Follow.ANYWHERE
    method: str = "GET"


class _Place(NamedTuple):
    """Where one repository is asked: its registry, or a mirror of it.

    Attributes:
        repository: with the host that is asked as its registry.
        policy: under what terms.
    """

    repository: Repository
    policy: RequestPolicy

    @property
    def host(self) -> str:
        """The host that is asked, as references and settings have it."""
        return self.repository.registry

    def target(self, what: str) -> str:
        """Return the path of something of this repository."""
        return f"/v2/{self.repository.path}/{what}"


class Session:
    """Reads with one set of credentials, under one deadline; see `sealgate.registry.interface.Registry`.

    Args:
        state: what all sessions of one client share.
        credentials: who asks.
        policy: until when, and which hosts were named literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._state = state
        self._caller = Caller(credentials)
        self._policy = policy
        self._looked_up: dict[Repository, Identity] = {}

    @property
    def access(self) -> Access:
        """See `Registry.access`."""
        return access_of(self._looked_up)

    def resolve(self, repository: Repository, tag: str) -> Digest:
        """See `Registry.resolve`.

        Raises:
            InvalidReferenceError: the repository or the tag is not one.
        """
        _check_repository(repository)
        if _as_digest(tag) is not None:
            raise InvalidReferenceError(f"{quote(tag)} is a digest, not a tag")
        return self._read(repository, lambda place: self._resolve(place, tag))

    def confirm(self, repository: Repository, digest: Digest) -> None:
        """See `Registry.confirm`.

        Raises:
            InvalidReferenceError: the repository or the digest is not one.
        """
        _check_repository(repository)
        parse_digest(digest)
        self._read(repository, lambda place: self._confirm(place, digest))

    def manifest(self, repository: Repository, reference: str) -> Manifest:
        """See `Registry.manifest`.

        Raises:
            InvalidReferenceError: the repository is none, or `reference` neither tag nor digest.
        """
        _check_repository(repository)
        digest = _as_digest(reference)
        return self._read(repository, lambda place: self._manifest(place, reference, digest))

    def blob(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """See `Registry.blob`.

        Raises:
            InvalidReferenceError: the repository or the digest is none.
        """
        _check_repository(repository)
        parse_digest(digest)
        return self._read(repository, lambda place: self._blob(place, digest, limit))

    def referrers(self, repository: Repository, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        """See `Registry.referrers`.

        Raises:
            InvalidReferenceError: the repository or the digest is none.
        """
        _check_repository(repository)
        parse_digest(digest)
        try:
            return self._read(repository, lambda place: self._referrers(place, digest, limit))
        except NotFoundError:
            return ()

    def signatures(self, repository: Repository, digest: Digest, limit: int) -> bytes:
        """See `Registry.signatures`.

        Raises:
            InvalidReferenceError: the repository or the digest is none.
        """
        _check_repository(repository)
        parse_digest(digest)
        return self._read(repository, lambda place: self._signatures(place, digest, limit))

    def document(self, url: str, repository: str, *, limit: int, ca: str | None = None, named: bool = False) -> bytes:
        """See `Registry.document`."""
        parsed = parse_url(url)
        host = fold(parsed.origin.authority)
        literal = self._policy.literal_hosts | ({host} if named else frozenset())
        policy = replace(self._policy, literal_hosts=literal, ca={} if ca is None else {host: ca})
        # The name in the scope may begin with the host, which is no part of the path that credentials are kept by.
        place = _Place(Repository(host, repository), policy)
        owner = Repository(host, repository.removeprefix(f"{host}/"))
        question = _Question(parsed.target, limit, follow=Follow.SAME_ORIGIN)
        try:
            if named or ca is not None:
                answer = self._ask(place, parsed.origin, question, owner)
            else:
                # An address that nobody wrote is reached like the registry whose name it has.
                answer = self._get(place, question, owner)
        except ConfigError as error:
            raise UnavailableError(error.message, reason=Reason.AUTHENTICATOR_NOT_READY) from error
        _expect_ok(place, answer.response, quote(str(parsed)))
        return answer.response.body

    # Where: the registry, or its mirror first ---------------------------------------------------------------------

    def _read(self, repository: Repository, read: Callable[[_Place], T]) -> T:
        mirror = self._state.settings.mirrors.get(repository.registry)
        if mirror is not None:
            # Half of the time at most, so that a mirror that hangs leaves some for the origin.
            deadline = self._policy.deadline
            half = RequestPolicy(Deadline.after(deadline.clock, deadline.remaining() / 2), self._policy.literal_hosts)
            try:
                return read(_Place(repository._replace(registry=mirror), half))
            except (UnauthorizedError, ForbiddenAddressError, RateLimitedError):
                raise
            except UnavailableError:
                deadline.check(f"asking {quote(repository.registry)}")
        return read(_Place(repository, self._policy))

    # What ---------------------------------------------------------------------------------------------------------

    def _resolve(self, place: _Place, tag: str) -> Digest:
        response = self._head(place, tag)
        if response is not None and _media_type(response) in _MANIFEST_TYPES:
            with contextlib.suppress(InvalidReferenceError):
                return parse_digest(response.headers.get("docker-content-digest", ""))
        # Not a registry that says it, or nothing that can be verified, which the manifest itself shows.
        return self._manifest(place, tag, None).digest

    def _confirm(self, place: _Place, digest: Digest) -> None:
        if self._head(place, digest) is None:
            self._manifest(place, digest, digest)

    def _head(self, place: _Place, reference: str) -> Response | None:
        """Return what a registry says about a manifest without sending it; None if it does not know HEAD.

        Registries count a GET of a manifest as a pull, and a HEAD as nothing.
        """
        target = place.target(f"manifests/{reference}")
        response = self._get(
            place, _Question(target, MAX_RESPONSE_BYTES, ", ".join(_MANIFEST_TYPES), method="HEAD")
        ).response
        if response.status not in _KNOWS_HEAD:
            return None
        _expect_ok(place, response, _manifest_name(place, reference))
        return response

    def _manifest(self, place: _Place, reference: str, digest: Digest | None) -> Manifest:
        answer = self._get(
            place, _Question(place.target(f"manifests/{reference}"), MAX_RESPONSE_BYTES, ", ".join(_MANIFEST_TYPES))
        )
        what = _manifest_name(place, reference)
        _expect_ok(place, answer.response, what)
        media_type = _media_type(answer.response)
        if media_type in _SCHEMA_1:
            # Its digest is that of a part of it, so there is no point in hashing it.
            msg = f"{what} is of the old schema 1, which cannot be verified; build and push the image anew"
            raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
        computed = _digest_of(answer.response.body)
        if digest is not None and computed != digest:
            msg = f"{what} has other bytes: they hash to {computed}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        _check_header(answer.response, computed, what)
        if media_type not in _MANIFEST_TYPES:
            msg = f"{what} is of the type {quote(media_type, 100)}, which is no image manifest"
            raise VerificationError(msg, reason=Reason.UNSUPPORTED_IMAGE)
        return Manifest(computed, media_type, answer.response.body)

    def _blob(self, place: _Place, digest: Digest, limit: int) -> bytes:
        answer = self._get(place, _Question(place.target(f"blobs/{digest}"), limit))
        what = f"the blob {quote(place.repository.path)}@{digest}"
        _expect_ok(place, answer.response, what)
        if _digest_of(answer.response.body) != digest:
            msg = f"{what} has other bytes: they hash to {_digest_of(answer.response.body)}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        return answer.response.body

    def _referrers(self, place: _Place, digest: Digest, limit: int) -> tuple[Descriptor, ...]:
        found = None
        if not self._state.without_referrers.holds(place.host):
            found = self._referrers_of_api(place, digest, limit)
        if found is None:
            tag = digest.replace(":", "-")
            manifest = self._manifest(place, tag, None)
            if manifest.digest == digest:
                # Some registries resolve such a tag to the image that it names. An image does not refer to itself.
                raise _nothing_refers_to(place, digest)
            what = f"the list of referrers {quote(place.repository.path)}:{tag}"
            if manifest.media_type != OCI_INDEX:
                raise VerificationError(f"{what} is no OCI index", reason=Reason.MALFORMED_EVIDENCE)
            found = _bounded({}, read_index(manifest.body, what), limit, what)
        if not found:
            # A mirror that knows of none does not speak for the origin.
            raise _nothing_refers_to(place, digest)
        return tuple(found.values())

    def _referrers_of_api(self, place: _Place, digest: Digest, limit: int) -> dict[Digest, Descriptor] | None:
        """Return what the referrers API lists; None if the registry has no such API."""
        what = f"the list of referrers of {quote(place.repository.path)}@{digest}"
        found: dict[Digest, Descriptor] = {}
        question = _Question(place.target(f"referrers/{digest}"), MAX_RESPONSE_BYTES, OCI_INDEX)
        following: URL | None = None
        for _ in range(MAX_PAGES):
            answer = self._get(place, question) if following is None else self._next_page(place, following, question)
            response = answer.response
            missing = response.status in _NO_REFERRERS
            if missing or (response.status == _OK and _media_type(response) != OCI_INDEX):
                if not missing or lacks_api(response.body):
                    self._state.without_referrers.note(place.host)
                return None
            _expect_ok(place, response, what)
            _bounded(found, read_index(response.body, what), limit, what)
            following = next_page(answer.url, response.headers.get("link"))
            if following is None:
                return found
        raise VerificationError(f"{what} has more than {MAX_PAGES} pages", reason=Reason.EVIDENCE_TOO_LARGE)

    def _next_page(self, place: _Place, url: URL, question: _Question) -> Answer:
        """Return the next page of a list: from the registry, or without credentials from where it redirected to."""
        if url.origin.authority == api_host(place.host):
            return self._get(place, question._replace(target=url.target))
        request = Request(url, question.limit, headers={"Accept": question.accept}, follow=question.follow)
        return self._state.http.send(request, place.policy)

    def _signatures(self, place: _Place, digest: Digest, limit: int) -> bytes:
        path = place.repository.path
        target = f"/extensions/v2/{path}/signatures/{digest}"
        answer = self._get(place, _Question(target, limit, follow=Follow.SAME_ORIGIN))
        if answer.response.status in _NO_EXTENSION:
            raise NotFoundError(f"{quote(place.host)} does not have the signature extension")
        _expect_ok(place, answer.response, f"a list of signatures of {quote(path)}@{digest}")
        return answer.response.body

    # How ----------------------------------------------------------------------------------------------------------

    def _get(self, place: _Place, question: _Question, owner: Repository | None = None) -> Answer:
        """Send a request over the scheme that the host speaks; see `_ask`."""
        settings, without_tls = self._state.settings, self._state.without_tls
        authority = api_host(place.host)
        if not settings.is_insecure(place.host) or settings.ca_of(place.host) is not None:
            return self._ask(place, parse_origin("https", authority), question, owner)
        if not without_tls.holds(place.host):
            with contextlib.suppress(NotTLSError):
                return self._ask(place, parse_origin("https", authority), question, owner)
        try:
            answer = self._ask(place, parse_origin("http", authority), question, owner)
        except DeadlineError:
            raise
        except UnavailableError:
            without_tls.drop(place.host)  # perhaps it speaks TLS by now; the next request finds out
            raise
        # A server that speaks TLS and had a bad moment answers plain HTTP with 400.
        if answer.response.status == _BAD_REQUEST:
            without_tls.drop(place.host)
        else:
            without_tls.note(place.host)
        return answer

    def _ask(self, place: _Place, origin: Origin, question: _Question, owner: Repository | None = None) -> Answer:
        """Send a request with the credentials that the host asks for.

        Args:
            place: which repository is asked, and under what terms.
            origin: the host and how it is reached.
            question: what to ask.
            owner: whose credentials are sent; by default those for the repository of the place.
        """
        nobody = AuthContext(origin, place.repository.path, None, place.policy)
        if self._state.auth.challenged(origin):
            return self._ask_as_caller(nobody, question, owner or place.repository, None)
        answer = self._send(nobody, question, None)
        if not _is_from(answer, origin, _UNAUTHORIZED):
            return answer
        return self._ask_as_caller(nobody, question, owner or place.repository, answer)

    def _ask_as_caller(
        self, nobody: AuthContext, question: _Question, owner: Repository, refusal: Answer | None
    ) -> Answer:
        """Send a request with each of the caller's credentials until one may read what is asked for.

        Args:
            nobody: the context, without credentials.
            question: what to ask.
            owner: whose credentials are sent.
            refusal: the 401 that the request was answered with when it was sent without credentials, if it was.
        """
        auth = self._state.auth
        every = self._caller.credentials(owner)
        self._looked_up[owner] = self._caller.identity(owner)
        if not every:
            return self._ask_as(nobody, question, refusal)
        first: Answer | UnauthorizedError | None = None
        for credentials in auth.preferred(nobody, every):
            context = nobody._replace(credentials=credentials)
            try:
                answer = self._ask_as(context, question, refusal)
            except UnauthorizedError as error:
                first = first or error
                continue
            if not _is_from(answer, nobody.registry, _FORBIDDEN):
                auth.prefer(context, every)
                return answer
            first = first or answer
        assert first is not None  # noqa: S101 - for the type checker: each of at least one credentials set it
        if isinstance(first, UnauthorizedError):
            raise first
        return first

    def _ask_as(self, context: AuthContext, question: _Question, refusal: Answer | None) -> Answer:
        auth = self._state.auth
        sent = None
        if refusal is None:
            sent = auth.header(context)
            refusal = self._send(context, question, sent)
            if not _is_from(refusal, context.registry, _UNAUTHORIZED):
                return refusal
        value = auth.answer(context, refusal.response.headers.get("www-authenticate"), sent)
        answer = self._send(context, question, value)
        if _is_from(answer, context.registry, _UNAUTHORIZED):
            raise refused(context)
        return answer

    def _send(self, context: AuthContext, question: _Question, authorization: str | None) -> Answer:
        headers = {"Accept": question.accept} if question.accept else {}
        if authorization is not None:
            headers["Authorization"] = authorization
        url = URL(context.registry, question.target)
        return self._state.http.send(
            Request(url, question.limit, question.method, headers, follow=question.follow), context.policy
        )


def _is_from(answer: Answer, origin: Origin, status: int) -> bool:
    """Return whether an answer has that status and is the registry's own, not that of a storage it redirects to."""
    return answer.response.status == status and answer.url.origin == origin


@lru_cache(4096)
def _check_repository(repository: Repository) -> None:
    """Refuse a repository that no reference can have; its parts end up in URLs."""
    if parse_repository(repository.name) != repository:
        raise InvalidReferenceError(f"{quote(repository.name)} is no repository in its normalised form")


def _as_digest(reference: str) -> Digest | None:
    """Return a reference as the digest it is; None for a tag."""
    if ":" in reference:
        return parse_digest(reference)
    if not _TAG.fullmatch(reference):
        raise InvalidReferenceError(f"{quote(reference)} is neither a tag nor a digest")
    return None


def _expect_ok(place: _Place, response: Response, what: str) -> None:
    host = quote(place.host)
    if response.status == _OK:
        return
    if response.status == _NOT_FOUND:
        raise NotFoundError(f"{host} does not have {what}")
    if response.status in (_UNAUTHORIZED, _FORBIDDEN):
        codes = ", ".join(error_codes(response.body))
        why = f" ({codes})" if codes else ""
        raise UnauthorizedError(f"{host} does not give out {what}{why}; check the pull secret and its rights")
    raise UnavailableError(f"{host} answers with status {response.status} when asked for {what}")


def _manifest_name(place: _Place, reference: str) -> str:
    separator = "@" if ":" in reference else ":"
    return f"the manifest {quote(place.repository.path)}{separator}{quote(reference)}"


def _nothing_refers_to(place: _Place, digest: Digest) -> NotFoundError:
    return NotFoundError(f"{quote(place.repository.name)} has nothing that refers to {digest}")


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _digest_of(body: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(body).hexdigest())


def _check_header(response: Response, computed: Digest, what: str) -> None:
    said = response.headers.get("docker-content-digest")
    if said is None or said == computed:
        return
    algorithm, _, digest = said.partition(":")
    make = _HASHES.get(algorithm)
    if make is None or make(response.body).hexdigest() != digest:
        msg = f"{what} hashes to {computed}, but the registry says {quote(said, 80)}"
        raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)


def _bounded(
    found: dict[Digest, Descriptor], more: Iterable[Descriptor], limit: int, what: str
) -> dict[Digest, Descriptor]:
    for descriptor in more:
        found.setdefault(descriptor.digest, descriptor)
        if len(found) > limit:
            raise VerificationError(f"{what} has more than {limit} entries", reason=Reason.EVIDENCE_TOO_LARGE)
    return found
