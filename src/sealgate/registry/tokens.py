"""Bearer tokens: fetched from the realm that a registry names, cached until shortly before they expire.

See the token authentication specification of the distribution project.
"""

from __future__ import annotations

import re
import threading
from base64 import b64encode
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from cachetools import TLRUCache

from sealgate.errors import (
    DeadlineError,
    SealgateError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    VerificationError,
)
from sealgate.http.client import Follow, Request
from sealgate.http.settings import fold
from sealgate.http.urls import URL
from sealgate.messages import quote
from sealgate.parsing import strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.http.client import HTTPClient, RequestPolicy
    from sealgate.http.interface import Response
    from sealgate.http.urls import Origin
    from sealgate.registry.credentials import Credentials

#: Lifetime in seconds of a token without `expires_in`; the default of the specification.
DEFAULT_LIFETIME = 60
#: Longest lifetime in seconds for which a token is cached.
MAX_LIFETIME = 3600
#: Tokens in the cache.
MAX_TOKENS = 4096
_MAX_ANSWER = 64 << 10
_MAX_TOKEN = 16 << 10
_TOKEN = re.compile(r"[!-~]+")
_CLIENT = "sealgate"
_SERVER_ERROR = 500
_NO_POST = frozenset({404, 405})
_REFUSALS = frozenset({400, 401, 403})


class TokenRequest(NamedTuple):
    """Key of a token: everything that decides which token is returned.

    Attributes:
        registry: the registry that named the realm; its tokens are sent to no other.
        realm: URL of the token service.
        service: the service, as the registry named it; empty if it did not.
        scopes: the requested scopes.
        account: fingerprint of the credentials; empty without credentials.
        ca: PEM bundle of CA certificates by which the registry was authenticated; empty for the settings' own.
    """

    registry: Origin
    realm: URL
    service: str
    scopes: tuple[str, ...]
    account: bytes
    ca: str


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    expires_at: float


class Tokens:
    """Cache of tokens, with single flight. Thread-safe.

    Args:
        http: sends requests to token services.
        clock: measures the lifetime of tokens.
    """

    def __init__(self, http: HTTPClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._tokens: TLRUCache[TokenRequest, _Token] = TLRUCache(
            MAX_TOKENS, ttu=lambda _key, token, _now: token.expires_at, timer=clock.monotonic
        )
        self._under_way: dict[TokenRequest, Future[str]] = {}
        self._lock = threading.Lock()

    def known(self, wanted: TokenRequest) -> str | None:
        """Return the token if it is cached; None otherwise."""
        with self._lock:
            token = self._tokens.get(wanted)
        return None if token is None else token.text

    def forget(self, wanted: TokenRequest, text: str) -> None:
        """Remove a token that its registry refused from the cache."""
        with self._lock:
            token = self._tokens.get(wanted)
            if token is not None and token.text == text:
                del self._tokens[wanted]

    def get(self, wanted: TokenRequest, credentials: Credentials | None, policy: RequestPolicy) -> str:
        """Return a token from the cache, or fetch it; one request for all callers that need it at the same time.

        Raises:
            UnauthorizedError: the token service refuses the credentials.
            UnavailableError: the token could not be fetched (and its subclasses).
        """
        with self._lock:
            token = self._tokens.get(wanted)
            if token is not None:
                return token.text
            running = self._under_way.get(wanted)
            leading = running is None
            if running is None:
                running = self._under_way[wanted] = Future()
        if leading:
            return self._lead(running, wanted, credentials, policy)
        doing = "waiting for a token"
        try:
            return running.result(policy.deadline.check(doing))
        except FutureTimeoutError:
            raise DeadlineError(f"ran out of time while {doing}; try again, or raise the webhook's timeout") from None
        except SealgateError:
            return self._fetch(wanted, credentials, policy)  # the caller that failed may have had less time

    def _lead(
        self, mine: Future[str], wanted: TokenRequest, credentials: Credentials | None, policy: RequestPolicy
    ) -> str:
        try:
            text = self._fetch(wanted, credentials, policy)
        except BaseException as error:
            self._land(wanted)
            mine.set_exception(error)
            raise
        self._land(wanted)
        mine.set_result(text)
        return text

    def _land(self, wanted: TokenRequest) -> None:
        with self._lock:
            del self._under_way[wanted]

    def _fetch(self, wanted: TokenRequest, credentials: Credentials | None, policy: RequestPolicy) -> str:
        _require_permitted(wanted, credentials)
        asked_at = self._clock.monotonic()
        response = self._ask(wanted, credentials, policy)
        host = quote(wanted.realm.origin.authority)
        if response.status in _REFUSALS:
            whose = "the credentials" if credentials is not None else "callers without credentials"
            msg = (
                f"the token service {host} of {quote(wanted.registry.authority)} refuses {whose}; check the pull secret"
            )
            raise UnauthorizedError(msg)
        if response.status != 200:  # noqa: PLR2004 - the one status that means a token
            failure = UnreachableError if response.status >= _SERVER_ERROR else UnavailableError
            raise failure(f"the token service {host} answers with status {response.status}")
        try:
            text, lifetime = _read_token(response.body)
        except strict_json.MalformedError:
            # A token that does not parse is not evidence about an image, and the cause may quote the token.
            raise UnavailableError(f"the token service {host} answers with something that is not a token") from None
        with self._lock:
            self._tokens[wanted] = _Token(text, asked_at + lifetime)
        return text

    def _ask(self, wanted: TokenRequest, credentials: Credentials | None, policy: RequestPolicy) -> Response:
        if credentials is not None and credentials.identity_token is not None:
            response = self._post(wanted, credentials.identity_token, policy)
            if response.status not in _NO_POST:
                return response
        query = [("service", wanted.service)] if wanted.service else []
        query += [("scope", scope) for scope in wanted.scopes]
        headers = {}
        if credentials is not None and credentials.username:
            query.append(("account", credentials.username))
            headers["Authorization"] = basic(credentials)
        separator = "&" if "?" in wanted.realm.target else "?"
        target = wanted.realm.target + (separator + urlencode(query) if query else "")
        return self._send(Request(URL(wanted.realm.origin, target), headers=headers), policy)

    def _post(self, wanted: TokenRequest, identity_token: str, policy: RequestPolicy) -> Response:
        form = {
            "grant_type": "refresh_token",
            "service": wanted.service,
            "scope": " ".join(wanted.scopes),
            "client_id": _CLIENT,
            "refresh_token": identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send(Request(wanted.realm, method="POST", headers=headers, body=urlencode(form).encode()), policy)

    def _send(self, request: Request, policy: RequestPolicy) -> Response:
        try:
            return self._http.send(replace(request, limit=_MAX_ANSWER, follow=Follow.SAME_ORIGIN), policy).response
        except VerificationError:
            raise UnavailableError(
                f"the token service {quote(request.url.origin.authority)} answers too much"
            ) from None


def _require_permitted(wanted: TokenRequest, credentials: Credentials | None) -> None:
    """Return if the token service may get the credentials: a registry could name any host."""
    host = fold(wanted.realm.origin.authority)
    if credentials is not None and credentials.hosts is not None and host not in credentials.hosts:
        msg = (
            f"{quote(wanted.registry.authority)} names the token service {quote(host)}, which is not among the hosts "
            "that the credentials may be sent to; add it there"
        )
        raise UnauthorizedError(msg)


def basic(credentials: Credentials) -> str:
    """Return the value of `Authorization` for a user name and password."""
    return "Basic " + b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def _read_token(body: bytes) -> tuple[str, float]:
    """Return a token and its TTL in seconds."""
    answer = strict_json.parse_object(body, "the token answer", limit=_MAX_ANSWER)
    text = strict_json.optional_text(answer, "token", "it") or strict_json.text_member(answer, "access_token", "it")
    if len(text) > _MAX_TOKEN or not _TOKEN.fullmatch(text):
        raise strict_json.malformed("the token", "it is too long or has characters that headers do not have")
    return text, _lifetime(answer)


def _lifetime(answer: Mapping[str, object]) -> float:
    said = answer.get("expires_in")
    seconds = said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else DEFAULT_LIFETIME
    seconds = min(seconds, MAX_LIFETIME)
    # Early, so that a token does not expire on its way; one with a very short lifetime is not cached.
    return max(seconds - max(10.0, seconds * 0.1), 0.0)
