"""Requests to registries with the caller's credentials: what reads and writes share.

A request goes first without credentials, unless the host is known to ask for some, and then with each of the caller's
credentials until one is accepted. Credentials go only to the origin that they are for. A host that is listed as
insecure is asked over TLS first.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from sealgate.errors import ConfigError, DeadlineError, UnauthorizedError, UnavailableError
from sealgate.http.client import Follow, NotTLSError, Request, RequestPolicy
from sealgate.http.settings import api_host, fold
from sealgate.http.urls import URL, Origin, parse_origin
from sealgate.reasons import Reason
from sealgate.references import Repository
from sealgate.registry.auth import PULL, AuthContext, refused
from sealgate.registry.callers import Caller, access_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.http.client import Answer
    from sealgate.registry.callers import Access, Identity
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404


class Query(NamedTuple):
    """A request to a repository, without its origin.

    Attributes:
        target: path and query, with the leading `/v2/<repository>/`.
        limit: maximum bytes of the response.
        accept: accepted media types; empty for any.
        follow: which redirects are followed; only those of GET and HEAD ever are.
        method: the HTTP method, in upper case.
        headers: headers besides those of every request.
        body: bytes to send; None for no body.
        actions: the rights that a token is asked for ("pull", "pull,push").
        idempotent: whether it may be sent again where a connection that was kept turns out to be closed.
    """

    target: str
    limit: int
    accept: str = ""
    follow: Follow = Follow.ANYWHERE
    method: str = "GET"
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    actions: str = PULL
    idempotent: bool = True


class Location(NamedTuple):
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


class RegistryRequests:
    """Sends requests with one set of credentials. Not thread-safe.

    Args:
        state: what all users of one client share.
        credentials: the caller's credentials for each repository.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider) -> None:
        self._state = state
        self._caller = Caller(credentials)
        self._identities: dict[Repository, Identity] = {}
        #: See `Registry.unanswered_seconds`.
        self.unanswered_seconds = 0.0

    @property
    def access(self) -> Access:
        """See `Registry.access`."""
        return access_of(self._identities)

    def send(self, location: Location, query: Query, owner: Repository | None = None) -> Answer:
        """Send a request over TLS, or over plain HTTP to an insecure host that does not speak TLS; see `send_to`."""
        settings, without_tls = self._state.settings, self._state.without_tls
        authority = api_host(location.host)
        if not settings.is_insecure(location.host) or settings.ca_of(location.host) is not None:
            return self.send_to(location, parse_origin("https", authority), query, owner)
        if not without_tls.holds(location.host):
            with contextlib.suppress(NotTLSError):
                return self.send_to(location, parse_origin("https", authority), query, owner)
        try:
            answer = self.send_to(location, parse_origin("http", authority), query, owner)
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

    def send_to(self, location: Location, origin: Origin, query: Query, owner: Repository | None = None) -> Answer:
        """Send a request with the credentials that the host asks for.

        Args:
            location: the repository that is asked, and the terms.
            origin: scheme, host and port to ask.
            query: the request.
            owner: the repository whose credentials are sent; by default that of the location.
        """
        seconds = location.policy.deadline.remaining()
        try:
            return self._send_to(location, origin, query, owner)
        except DeadlineError:
            self.unanswered_seconds = max(self.unanswered_seconds, seconds)
            raise

    def _send_to(self, location: Location, origin: Origin, query: Query, owner: Repository | None) -> Answer:
        anonymous = AuthContext(origin, location.repository.path, None, location.policy, query.actions)
        if self._state.auth.challenged(origin, anonymous.ca):
            return self._request_with_credentials(anonymous, query, owner or location.repository, None)
        answer = self._send(anonymous, query, None)
        if not _is_from(answer, origin, _UNAUTHORIZED):
            return answer
        return self._request_with_credentials(anonymous, query, owner or location.repository, answer)

    def send_document(  # noqa: PLR0913 - a request, and who may answer it
        self, policy: RequestPolicy, url: URL, repository: str, query: Query, *, ca: str | None, named: bool
    ) -> Answer:
        """Send a request about a repository to a server that authenticates callers as registries do.

        Args:
            policy: the terms of requests.
            url: the URL; its target replaces that of the query.
            repository: the name in the token's scope, and in credentials' paths.
            query: the request.
            ca: PEM bundle of CA certificates to trust for this server instead of the system's.
            named: whether the configuration names the server's host literally, so that its addresses may be private.

        Raises:
            UnavailableError: the server could not be asked (and its subclasses).
        """
        host = fold(url.origin.authority)
        literal = policy.literal_hosts | ({host} if named else frozenset())
        terms = replace(policy, literal_hosts=literal, ca={} if ca is None else {host: ca})
        # The name in the scope may begin with the host, which is not in the path that credentials are stored under.
        location = Location(Repository(host, repository), terms)
        owner = Repository(host, repository.removeprefix(f"{host}/"))
        query = query._replace(target=url.target, follow=Follow.SAME_ORIGIN)
        try:
            if named or ca is not None:
                return self.send_to(location, url.origin, query, owner)
            # A host that the configuration does not name is reached as a registry of that name would be.
            return self.send(location, query, owner)
        except ConfigError as error:
            raise UnavailableError(error.message, reason=Reason.AUTHENTICATOR_NOT_READY) from error

    def _request_with_credentials(
        self, anonymous: AuthContext, query: Query, owner: Repository, refusal: Answer | None
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
        if anonymous.ca:
            # The platform's identity is for the cloud's own registry, which no CA of an object's author proves.
            every = tuple(each for each in every if each.lease is None)
        if not every:
            return self._request_as(anonymous, query, refusal)
        first: Answer | UnauthorizedError | None = None
        missing: UnavailableError | None = None
        for credentials in auth.preferred(anonymous, every):
            try:
                held = credentials.obtain(anonymous.policy.deadline)
            except UnavailableError as error:
                missing = missing or error
                continue
            context = anonymous._replace(credentials=held)
            try:
                answer = self._request_as(context, query, refusal)
            except UnauthorizedError as error:
                held.refused()
                first = first or error
                continue
            # Registries answer 404, too, for what a caller may not read: the missing credentials might read it.
            refusals = (_FORBIDDEN,) if missing is None else (_FORBIDDEN, _NOT_FOUND)
            if not _is_from(answer, anonymous.registry, *refusals):
                auth.prefer(context, every)
                return answer
            first = first or answer
        if missing is not None:
            raise missing
        assert first is not None  # noqa: S101 - for the type checker: each of at least one credentials set it
        if isinstance(first, UnauthorizedError):
            raise first
        return first

    def _request_as(self, context: AuthContext, query: Query, refusal: Answer | None) -> Answer:
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

    def _send(self, context: AuthContext, query: Query, authorization: str | None) -> Answer:
        headers = {**query.headers, "Accept": query.accept} if query.accept else dict(query.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        url = URL(context.registry, query.target)
        request = Request(
            url, query.limit, query.method, headers, query.body, query.follow, idempotent=query.idempotent
        )
        return self._state.http.send(request, context.policy)


def _is_from(answer: Answer, origin: Origin, *statuses: int) -> bool:
    """Return whether a response has a status and is the registry's own, not that of a storage it redirects to."""
    return answer.response.status in statuses and answer.url.origin == origin
