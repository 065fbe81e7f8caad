"""The SigningRequests of the release's namespace: one for each push and policy, bounded in number.

A push is accepted only when the API server has its request. The name is a hash of what is requested, so that an event
that is sent twice, or to two replicas, is one object; a request that has ended starts again. The bound counts what this
replica has seen: replicas that accept pushes in the same moment may go beyond it by as many as they accept at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as quote_path

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.signing_request import SigningRequestSpec, request_name
from sealgate.api.v1alpha1.signing_status import has_ended
from sealgate.errors import NotFoundError, RateLimitedError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.kubernetes.watch import Informer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.signing_request import RequestedPolicy
    from sealgate.clocks import Clock, Deadline
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_webhook.events.pushes import Push

#: The part of all places that the requests of one repository may take.
REPOSITORY_SHARE: Final = 10
#: Seconds after which a source that met the bound may try again: the worker signs 300 tags a minute.
RETRY_AFTER_SECONDS: Final = 10.0
#: Seconds for which a request that was just stored needs no second look. The worker removes none that young.
JUST_STORED_SECONDS: Final = 10.0
#: Seconds after which a request that was stored is in the watch, or never will be; and for which one that was started
#: again may still be seen as ended.
LOST_SECONDS: Final = 120.0
SEEN_SECONDS: Final = 2.0
#: Seconds between two counts of what waits, at least; what was accepted since is counted apart.
COUNT_SECONDS: Final = 0.5
_ATTEMPTS: Final = 3


class ShareExceededError(Exception):
    """So many requests of one repository wait that a further one would take the places of others."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A SigningRequest as the API server reported it.

    Attributes:
        repository: normalised name.
        ended: whether it does not wait any more.
    """

    repository: str
    ended: bool


class SigningRequests:
    """The SigningRequests; thread-safe.

    Args:
        api: the API server.
        namespace: the release's own.
        max_waiting: the most requests that wait to be signed.
        clock: the time.
        log: gets a line for every failure of the watch.
    """

    def __init__(
        self, api: KubernetesAPI, namespace: str, max_waiting: int, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._api = api
        self._path = f"/apis/{API_VERSION}/namespaces/{quote_path(namespace, safe='')}/signingrequests"
        self._max_waiting = max_waiting
        self._clock = clock
        self._informer = Informer(api, self._path, read_request, _ignore_change, clock, log)
        self._lock = threading.Lock()
        self._counted_at = -COUNT_SECONDS
        #: What waits, by repository, as of the last count.
        self._waiting: Counter[str] = Counter()
        #: Requests that are not in the count yet, by name: repository, and the moment when the place was taken.
        self._taken: dict[str, tuple[str, float]] = {}
        #: The moments when requests were stored, by name.
        self._stored: dict[str, float] = {}

    @property
    def complete(self) -> bool:
        """Whether all requests have been read once."""
        return self._informer.complete

    def run(self, stop: threading.Event) -> None:
        """Follow the requests until `stop` is set."""
        self._informer.run(stop)

    def waiting(self) -> int:
        """Return how many requests wait to be signed."""
        with self._lock:
            self._count()
            return self._waiting.total() + len(self._taken)

    def accept(self, push: Push, policy: RequestedPolicy, source: str, deadline: Deadline) -> bool:
        """Store the request for a push, or start it again if it has ended.

        Args:
            push: the push.
            policy: a policy that covers it.
            source: name of the source that reported it.
            deadline: by which the API server must have answered.

        Returns:
            whether it waits since now; False if it waited before.

        Raises:
            RateLimitedError: too many requests wait.
            ShareExceededError: too many requests of this repository wait.
            UnavailableError: the API server did not store it in time, or the requests have not been read yet.
        """
        name = request_name(policy, push.repository, push.tag, push.digest)
        if not self._take_place(name, push.repository):
            return False
        try:
            accepted = self._store(name, self._spec(push, policy, source), deadline)
        except BaseException:
            with self._lock:
                self._taken.pop(name, None)
            raise
        with self._lock:
            self._stored[name] = self._clock.monotonic()
        return accepted

    def _spec(self, push: Push, policy: RequestedPolicy, source: str) -> SigningRequestSpec:
        # With fractions of a second, so that a push that follows the end of a request at once changes the time.
        accepted_at = self._clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return SigningRequestSpec.model_validate(
            {
                "policy": policy,
                "repository": push.repository,
                "tag": push.tag,
                "digest": push.digest,
                "source": source,
                "acceptedAt": accepted_at,
            }
        )

    def _take_place(self, name: str, repository: str) -> bool:
        """Take a place for a request that does not wait; return whether the API server must be asked at all."""
        with self._lock:
            if not self._informer.complete:
                raise UnavailableError("the signing requests have not been read from the API server yet")
            now = self._clock.monotonic()
            self._count()
            seen = self._informer.get(name)
            if seen is not None and not seen.ended:
                return not self._is_just_stored(name, now)
            if seen is None and self._is_just_stored(name, now):
                return False
            if name not in self._taken:
                self._require_place(repository)
                self._taken[name] = (repository, now)
            return True

    def _is_just_stored(self, name: str, now: float) -> bool:
        return now - self._stored.get(name, -JUST_STORED_SECONDS) < JUST_STORED_SECONDS

    def _require_place(self, repository: str) -> None:
        waiting = self._waiting.total() + len(self._taken)
        if waiting >= self._max_waiting:
            msg = f"{waiting} requests wait to be signed, which is the most that are kept; send the event again later"
            raise RateLimitedError(msg, retry_after=RETRY_AFTER_SECONDS)
        of_repository = self._waiting[repository] + sum(taken == repository for taken, _ in self._taken.values())
        if of_repository >= self._max_waiting // REPOSITORY_SHARE:
            raise ShareExceededError

    def _count(self) -> None:
        """Count again what waits, unless it was counted a moment ago."""
        now = self._clock.monotonic()
        if now - self._counted_at < COUNT_SECONDS:
            return
        seen = self._informer.snapshot() or {}
        self._counted_at = now
        self._waiting = Counter(request.repository for request in seen.values() if not request.ended)
        self._taken = {name: taken for name, taken in self._taken.items() if not _is_counted(seen, name, taken[1], now)}
        self._stored = {name: at for name, at in self._stored.items() if now - at < JUST_STORED_SECONDS}

    def _store(self, name: str, spec: SigningRequestSpec, deadline: Deadline) -> bool:
        """Create the request, or start it again; return whether it did not wait before."""
        document = spec.model_dump(mode="json", by_alias=True)
        for _ in range(_ATTEMPTS):
            try:
                _limited(self._api, deadline).create(self._path, _object(name, document))
            except ConflictError:
                with contextlib.suppress(NotFoundError):
                    return self._start_again(name, spec.accepted_at, deadline)
            else:
                return True
        raise UnavailableError("the signing request was removed each time that it was stored")

    def _start_again(self, name: str, accepted_at: str, deadline: Deadline) -> bool:
        path = f"{self._path}/{name}"
        if not has_ended(_limited(self._api, deadline).get(path)):
            return False
        _limited(self._api, deadline).merge(path, {"spec": {"acceptedAt": accepted_at}})
        return True


def _ignore_change() -> None:
    """Do nothing: what waits is counted when it is asked for."""


def read_request(item: dict[str, Any], _: SeenRequest | None = None) -> SeenRequest:
    """Return what is kept of a SigningRequest; one that another hand wrote counts as it is."""
    repository = (item.get("spec") or {}).get("repository")
    return SeenRequest(repository if isinstance(repository, str) else "", has_ended(item))


def _is_counted(seen: Mapping[str, SeenRequest], name: str, taken_at: float, now: float) -> bool:
    """Return whether a place is in the count, or will never be."""
    if name not in seen:
        return now - taken_at > LOST_SECONDS
    return not seen[name].ended or now - taken_at > SEEN_SECONDS


def _object(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "SigningRequest", "metadata": {"name": name}, "spec": spec}


def _limited(api: KubernetesAPI, deadline: Deadline) -> KubernetesAPI:
    return api.within(deadline.check("storing the signing request"))
