"""Leases: the secret of one identity at one registry, obtained when it is needed and cached until it is about to end.

- One request at a time for each registry, in a thread of its own with a deadline of its own, so that a review that
  gives up takes nothing from the others. A review waits until its own deadline.
- A secret is renewed when three quarters of its time are over, by the first review that comes then, which does not
  wait. While the cloud cannot be reached, the secret that is there is used to its end.
- A secret that a registry refused is renewed in the same way, and used until then: most often the identity may not read
  the repository, which a user named, and the other repositories need the secret.
- A failure is cached: for `MIN_BACKOFF` seconds, then twice as long each time until `MAX_BACKOFF`, and at least as long
  as the cloud asks for. A thousand pods whose images need the secret cost one request.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.clocks import Deadline, jittered
from sealgate.errors import DeadlineError, RateLimitedError, SealgateError, UnavailableError
from sealgate.messages import quote
from sealgate.pull_credentials.interface import MAX_SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.http.interface import Response, Services, ServiceSource
    from sealgate.http.metadata import MetadataClient, MetadataEndpoint
    from sealgate.pull_credentials.interface import Issued, RegistryLogin
    from sealgate.registry.credentials import Login

#: Seconds that all requests for one secret may take together.
FETCH_SECONDS: Final = 10.0
#: Seconds until a failed request is repeated, at first and at most.
MIN_BACKOFF: Final = 5.0
MAX_BACKOFF: Final = 300.0
#: A secret that a registry refused is renewed early only if it is that old, in seconds: what is refused earlier is a
#: repository that the identity may not read, and a new secret would not help.
MIN_AGE: Final = 300.0
#: The longest that a secret is used, in seconds.
MAX_SECONDS: Final = 12 * 3600.0
#: Seconds before its end at which a secret is not used any more; of a very short one half of its time.
MARGIN: Final = 60.0
_RENEWED_AT = 0.75
_MAX_DOUBLINGS = 6


class Observer(Protocol):
    """Counts requests for secrets, for metrics, and logs failures. Must not block and must not raise."""

    def pull_credentials(self, provider: str, problem: str | None) -> None:
        """Count one request.

        Args:
            provider: the cloud ("aws").
            problem: why there is no secret, for the log; None if there is one.
        """


@dataclass(frozen=True, slots=True)
class _Held:
    """A secret, with the moments at which it was obtained, is renewed, and ends, in monotonic seconds."""

    login: Login
    since: float
    renewed_at: float
    until: float


@dataclass(frozen=True, slots=True)
class _Failure:
    """The last requests failed: why, how many one after the other, and when the next one may be sent."""

    message: str
    count: int
    retry_at: float


class LoginLease:
    """The secret of one identity at one registry; see `sealgate.registry.credentials.Lease`.

    Args:
        host: the registry.
        provider: the cloud, for metrics.
        login: obtains secrets.
        services: opens the requests.
        metadata: asks metadata services.
        clock: measures lifetimes and pauses.
        observer: counts requests.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what is asked for, and the edges
        self,
        host: str,
        provider: str,
        login: RegistryLogin,
        services: ServiceSource,
        metadata: MetadataClient,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._host = host
        self._provider = provider
        self._login = login
        self._services = services
        self._metadata = metadata
        self._clock = clock
        self._observer = observer
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._failure: _Failure | None = None
        self._under_way: Future[None] | None = None

    def obtain(self, deadline: Deadline) -> Login:
        """Return the secret; see `Lease.obtain`."""
        held, under_way = self._begin()
        if held is None and under_way is not None:
            doing = f"obtaining pull credentials for {quote(self._host)}"
            try:
                under_way.result(deadline.check(doing))
            except FutureTimeoutError:
                msg = f"ran out of time while {doing} by {self._login.who}; try again, or raise the webhook's timeout"
                raise DeadlineError(msg) from None
            with self._lock:
                held = self._usable()
        if held is None:
            raise self._error()
        return held.login

    def refused(self, login: Login) -> None:
        """Have a secret that a registry refused renewed by the next caller, unless it is new; see `MIN_AGE`."""
        with self._lock:
            held, now = self._held, self._clock.monotonic()
            if held is not None and held.login == login and now - held.since >= MIN_AGE:
                self._held = replace(held, renewed_at=min(held.renewed_at, now))

    def _begin(self) -> tuple[_Held | None, Future[None] | None]:
        """Return the secret if there is one, and the request under way; send one if it is time to."""
        with self._lock:
            held, now = self._usable(), self._clock.monotonic()
            due = held is None or now >= held.renewed_at
            paused = self._failure is not None and now < self._failure.retry_at
            if due and not paused and self._under_way is None:
                self._start()
            return held, self._under_way

    def _usable(self) -> _Held | None:
        return self._held if self._held is not None and self._clock.monotonic() < self._held.until else None

    def _start(self) -> None:
        """Start a request; called under the lock."""
        mine: Future[None] = Future()
        self._under_way = mine
        thread = threading.Thread(target=self._run, args=(mine,), name="pull-credentials", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._under_way = None
            self._fail("the process cannot start a thread", 0.0)

    def _run(self, mine: Future[None]) -> None:
        problem, pause, issued = None, 0.0, None
        try:
            issued = self._fetch()
        except RateLimitedError as error:
            problem, pause = error.message, error.retry_after
        except SealgateError as error:
            problem = error.message
        except Exception as error:  # noqa: BLE001 - any failure means that there is no secret, and its text may hold one
            problem = f"unexpected {type(error).__name__}"
        with self._lock:
            self._under_way = None
            if issued is not None:
                self._hold(issued)
            elif problem is not None:
                self._fail(problem, pause)
        self._observer.pull_credentials(self._provider, None if problem is None else self._describe(problem))
        mine.set_result(None)

    def _fetch(self) -> Issued:
        deadline = Deadline.after(self._clock, FETCH_SECONDS)
        services = _Services(self._services.services(deadline), self._metadata, deadline)
        issued = self._login.log_in(services, self._clock)
        secret = issued.login
        if not all(map(_is_sendable, (secret.username, secret.password, secret.identity_token or ""))):
            raise UnavailableError("the cloud issued a secret that cannot be sent in a header, or is too long")
        if not issued.seconds > 0:
            raise UnavailableError("the cloud issued a secret that has expired; check the clock of this machine")
        return issued

    def _hold(self, issued: Issued) -> None:
        now = self._clock.monotonic()
        seconds = min(issued.seconds, MAX_SECONDS)
        until = now + max(seconds - MARGIN, seconds / 2)
        # Not all replicas at the same moment.
        renewed_at = now + jittered(seconds * _RENEWED_AT, 0.9, 1.0)
        self._held, self._failure = _Held(issued.login, now, renewed_at, until), None

    def _fail(self, problem: str, pause: float) -> None:
        count = 1 if self._failure is None else self._failure.count + 1
        backoff = min(MIN_BACKOFF * 2 ** min(count - 1, _MAX_DOUBLINGS), MAX_BACKOFF)
        retry_at = self._clock.monotonic() + max(jittered(backoff, 0.9, 1.1), pause)
        self._failure = _Failure(problem, count, retry_at)

    def _error(self) -> UnavailableError:
        with self._lock:
            failure = self._failure
        if failure is None:  # it ended while this caller waited
            return UnavailableError(self._describe("they have just expired; try again"))
        # Without the seconds that are left: an Event or a line of a report is the same while the problem is.
        return UnavailableError(f"{self._describe(failure.message)}; the cloud is asked again in a few minutes at most")

    def _describe(self, problem: str) -> str:
        host = quote(self._host)
        return f"no pull credentials for {host} by {self._login.who}: {problem}; {self._login.remedy}"


class _Services:
    """See `CloudServices`."""

    def __init__(self, services: Services, metadata: MetadataClient, deadline: Deadline) -> None:
        self.request = services.request
        self._metadata = metadata
        self._deadline = deadline

    def metadata(
        self, endpoint: MetadataEndpoint, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Response:
        return self._metadata.get(endpoint, self._deadline, headers, query)


def _is_sendable(text: str) -> bool:
    return len(text) <= MAX_SECRET and text.isascii() and text.isprintable()
