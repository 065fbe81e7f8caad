"""Registry authentication: from a registry's challenge to the `Authorization` of the next request.

Credentials are sent to the registry that they are for, or to the token service that this registry names, and nowhere
else. The challenge of a registry is cached, so that most requests carry the right header from the start.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from cachetools import TTLCache

from sealgate.errors import ForbiddenAddressError, UnauthorizedError, UnavailableError
from sealgate.http.settings import fold
from sealgate.http.urls import parse_url
from sealgate.messages import quote
from sealgate.registry.challenges import parse_challenges
from sealgate.registry.tokens import TokenRequest, Tokens, basic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.clocks import Clock
    from sealgate.http.client import HTTPClient, RequestPolicy
    from sealgate.http.urls import URL, Origin
    from sealgate.registry.challenges import Challenge
    from sealgate.registry.credentials import Credentials

#: Registries whose challenge is cached, and the TTL in seconds; it is also the TTL of preferred credentials.
MAX_CHALLENGES = 1024
CHALLENGE_SECONDS = 600.0
#: Repositories for which it is cached which of a caller's credentials may read them.
MAX_PREFERRED = 4096
#: The rights that a token for reads has.
PULL = "pull"
_CATALOG = "registry:catalog:*"
_MAX_SCOPES = 8
_MAX_SCOPE = 512


class _Bearer(NamedTuple):
    """A registry wants tokens, with the usual scope for reading a repository."""

    realm: URL
    service: str


class _Basic:
    """A registry wants a user name and password."""


class AuthContext(NamedTuple):
    """What decides about the authentication of a request.

    Attributes:
        registry: the origin that is asked.
        path: the repository's name inside the registry; empty for the registry's catalog.
        credentials: the credentials to use; None to ask anonymously.
        policy: the terms of requests to token services.
        actions: the rights that a token is asked for ("pull", "pull,push").
    """

    registry: Origin
    path: str
    credentials: Credentials | None
    policy: RequestPolicy
    actions: str = PULL

    @property
    def scope(self) -> str:
        """The scope of a token for the request."""
        return f"repository:{self.path}:{self.actions}" if self.path else _CATALOG

    @property
    def ca(self) -> str:
        """The CA of an object's author by which the registry is authenticated, in PEM; empty for those of the settings.

        The holder of a key of such a CA can answer for the registry, so that nothing that is learned there counts for
        other requests.
        """
        return self.policy.ca.get(fold(self.registry.authority), "")


#: A registry, a repository of it, and the fingerprints of all credentials that a caller has for it.
_PreferenceKey = tuple["Origin", str, tuple[bytes, ...]]


class RegistryAuth:
    """Caches of the registries' challenges, of tokens, and of preferred credentials. Long-lived and thread-safe.

    Args:
        http: sends requests to token services.
        clock: measures the TTLs.
    """

    def __init__(self, http: HTTPClient, clock: Clock) -> None:
        self._tokens = Tokens(http, clock)
        # By registry and `AuthContext.ca`.
        self._challenges: TTLCache[tuple[Origin, str], _Basic | _Bearer] = TTLCache(
            MAX_CHALLENGES, CHALLENGE_SECONDS, timer=clock.monotonic
        )
        self._preferred: TTLCache[_PreferenceKey, bytes] = TTLCache(
            MAX_PREFERRED, CHALLENGE_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def preferred(self, context: AuthContext, every: Sequence[Credentials]) -> Sequence[Credentials]:
        """Return credentials in the order in which to try them: first those that were accepted the last time.

        Args:
            context: the repository; its credentials do not matter.
            every: all credentials of the caller for the repository, in their usual order; at least one.
        """
        if len(every) == 1:
            return every
        with self._lock:
            preferred = self._preferred.get(_preference_key(context, every))
        return sorted(every, key=lambda credentials: credentials.fingerprint != preferred)

    def prefer(self, context: AuthContext, every: Sequence[Credentials]) -> None:
        """Cache which of several credentials may read a repository, so that the others are not tried each time."""
        if len(every) > 1 and context.credentials is not None:
            with self._lock:
                self._preferred[_preference_key(context, every)] = context.credentials.fingerprint

    def challenged(self, registry: Origin, ca: str = "") -> bool:
        """Return whether a registry is known to ask for credentials; if not, none need be read.

        Args:
            registry: the origin.
            ca: see `AuthContext.ca`.
        """
        with self._lock:
            return (registry, ca) in self._challenges

    def header(self, context: AuthContext) -> str | None:
        """Return the `Authorization` for a request, as far as the registry's challenge is known; None for none.

        Raises:
            UnavailableError: a token is needed and could not be fetched (and its subclasses).
        """
        with self._lock:
            way = self._challenges.get((context.registry, context.ca))
        if isinstance(way, _Bearer):
            try:
                return "Bearer " + self._tokens.get(_usual_request(context, way), context.credentials, context.policy)
            except UnauthorizedError:
                raise
            except UnavailableError:
                # The registry may have another token service by now, or none; the next request finds out.
                with self._lock:
                    self._challenges.pop((context.registry, context.ca), None)
                raise
        if isinstance(way, _Basic) and context.credentials is not None and context.credentials.username:
            return basic(context.credentials)
        return None

    def answer(self, context: AuthContext, header: str | None, sent: str | None) -> str:
        """Return the `Authorization` that answers a registry's 401.

        Args:
            context: what was asked.
            header: the response's `WWW-Authenticate`; None if there is none.
            sent: the `Authorization` that was refused; None if there was none.

        Raises:
            UnauthorizedError: there are no other credentials to answer with, or the challenge is not understood.
            UnavailableError: a token is needed and could not be fetched (and its subclasses).
        """
        host = quote(context.registry.authority)
        try:
            challenges = parse_challenges(header or "")
        except ValueError as error:
            raise UnauthorizedError(f"{host} asks for credentials in a way that is not understood: {error}") from error
        # Bearer first: a password is worth more than a token, so it is sent only where no token is accepted.
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return self._answer_bearer(context, challenge, sent)
        if any(challenge.scheme == "basic" for challenge in challenges):
            return self._answer_basic(context, sent)
        raise UnauthorizedError(f"{host} asks for credentials and offers neither Basic nor Bearer")

    def _answer_basic(self, context: AuthContext, sent: str | None) -> str:
        if context.credentials is None or not context.credentials.username:
            msg = f"{quote(context.registry.authority)} wants a user name and password; add a pull secret for it"
            raise UnauthorizedError(msg)
        with self._lock:
            self._challenges[context.registry, context.ca] = _Basic()
        value = basic(context.credentials)
        if value == sent:
            raise refused(context)
        return value

    def _answer_bearer(self, context: AuthContext, challenge: Challenge, sent: str | None) -> str:
        parameters = challenge.parameters
        try:
            way = _Bearer(parse_url(parameters["realm"]), parameters.get("service", ""))
        except ForbiddenAddressError as error:
            raise UnauthorizedError(
                f"the token service of {quote(context.registry.authority)}: {error.message}"
            ) from error
        usual = _usual_request(context, way)
        scopes = _scopes(parameters, usual.scopes)
        if context.actions != PULL:
            # Some registries challenge a write with the scope of a read; a token for that would not do.
            scopes = _with_rights(usual.scopes, scopes)
        wanted = usual._replace(scopes=scopes)
        if wanted == usual:
            with self._lock:
                self._challenges[context.registry, context.ca] = way
        known = self._tokens.known(wanted)
        if known is not None and sent == f"Bearer {known}":
            self._tokens.forget(wanted, known)
        return "Bearer " + self._tokens.get(wanted, context.credentials, context.policy)


def refused(context: AuthContext) -> UnauthorizedError:
    """Return the error for a registry that understood the credentials and refuses them."""
    repository = quote(f"{context.registry.authority}/{context.path or '_catalog'}")
    if context.actions != PULL:
        whose = "the credentials at hand" if context.credentials is not None else "callers without credentials"
        return UnauthorizedError(f"{whose} may not write to {repository}; log in with the right {quote(context.scope)}")
    if context.credentials is None:
        return UnauthorizedError(f"{repository} cannot be read anonymously; add a pull secret for it")
    return UnauthorizedError(f"the credentials at hand may not read {repository}; check the pull secret")


def _preference_key(context: AuthContext, every: Sequence[Credentials]) -> _PreferenceKey:
    return context.registry, context.path, tuple(credentials.fingerprint for credentials in every)


def _usual_request(context: AuthContext, way: _Bearer) -> TokenRequest:
    account = context.credentials.fingerprint if context.credentials is not None else b""
    return TokenRequest(context.registry, way.realm, way.service, (context.scope,), account, context.ca)


def _scopes(parameters: Mapping[str, str], usual: tuple[str, ...]) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(parameters.get("scope", "").split()))
    if not scopes or len(scopes) > _MAX_SCOPES or any(len(scope) > _MAX_SCOPE for scope in scopes):
        return usual
    return scopes


def _with_rights(usual: tuple[str, ...], challenged: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of a write: its own, and what the registry asks for besides."""
    name, _, actions = usual[0].rpartition(":")
    held = {name: set(actions.split(","))}
    return usual + tuple(scope for scope in challenged if not _holds(held, scope))


def _holds(held: Mapping[str, set[str]], scope: str) -> bool:
    name, _, actions = scope.rpartition(":")
    return set(actions.split(",")) <= held.get(name, set())
