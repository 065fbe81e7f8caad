"""Fetches the trusted root periodically, and keeps it in a ConfigMap that only the operator writes.

What was fetched is stored before it is used, with the metadata that proves it: after a restart, or with another leader,
the last good root is there at once, and older metadata is refused as before. While a round fails, the last good root
goes on, also after its metadata has expired: a mirror that is away must not stop the cluster. It is then said in
a condition, metrics and an alert.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sealgate.clocks import Deadline, jittered
from sealgate.errors import NotFoundError, UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate_operator.fetched_root.repository import expiry, fetch
from sealgate_operator.fetched_root.state import Known, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.http.interface import ServiceSource
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate_operator.fetched_root.repository import Round
    from sealgate_operator.fetched_root.state import Anchor, FetchedRoot
    from sealgate_operator.metrics import Metrics

#: Seconds that all requests of a round may take together.
ROUND_SECONDS: Final = 60.0
#: Seconds until the next round after one that failed: the first and the longest.
FIRST_BACKOFF, LONGEST_BACKOFF = 60.0, 3600.0
_LABEL: Final = "trusted-root"


class RootKeeper:
    """Keeps the fetched trusted root up to date. Thread-safe.

    Args:
        api: the API server.
        path: path of the ConfigMap. The chart creates it, without data.
        anchor: with what trust in the repository begins.
        mirror: URL of the repository.
        refresh_seconds: seconds between two rounds.
        network: sends the requests.
        fence: whether this replica may still write.
        on_change: called when the trusted root, or what is wrong, has changed.
        clock: source of the time.
        metrics: counts rounds, and shows when the root was fetched.
        log: gets a line for every change and failure.
    """

    def __init__(  # noqa: PLR0913 - five of them are what every task of the operator is given
        self,
        *,
        api: KubernetesAPI,
        path: str,
        anchor: Anchor,
        mirror: str,
        refresh_seconds: float,
        network: ServiceSource,
        fence: Fence,
        on_change: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._path = path
        self._anchor = anchor
        self.mirror = mirror
        self._refresh_seconds = refresh_seconds
        self._network = network
        self._fence = fence
        self._on_change = on_change
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._lock = threading.Lock()
        self._known: Known | None = None

    def read(self) -> Known:
        """Return what is known.

        Raises:
            UnavailableError: the ConfigMap has not been read yet, and could not be read.
        """
        with self._lock:
            if self._known is not None:
                return self._known
        state = self._load()[1]
        with self._lock:
            if self._known is None:
                self._known = Known(state.trusted_root, state.fetched_at)
            return self._known

    def run(self, stop: threading.Event) -> None:
        """Fetch periodically until `stop` is set."""
        backoff = FIRST_BACKOFF
        pause = self._first_pause()
        while not stop.wait(pause):
            if self.round():
                backoff, pause = FIRST_BACKOFF, jittered(self._refresh_seconds, 0.9, 1.0)
            else:
                pause = jittered(min(backoff, self._refresh_seconds), 0.5, 1.0)
                backoff = min(backoff * 2, LONGEST_BACKOFF)

    def round(self) -> bool:
        """Fetch once; return whether that succeeded. What fails leaves the last good root in force."""
        before: FetchedRoot | None = None
        try:
            config_map, before = self._load()
            found = self._fetch(before)
            if found.state != before:
                self._store(config_map, found.state)
            state, problem = found.state, found.problem
        except UnavailableError as error:
            self._fail(before, error.message)
            return False
        self._publish(Known(state.trusted_root, state.fetched_at, problem))
        self._metrics.trusted_root(state.fetched_at, expiry(state))
        return not problem

    def _first_pause(self) -> float:
        """Return the seconds until the first round: none, if what is there was fetched too long ago."""
        try:
            state = self._load()[1]
        except UnavailableError:
            return 0.0
        self._metrics.trusted_root(state.fetched_at, expiry(state))
        if state.fetched_at is None:
            return 0.0
        due = state.fetched_at + timedelta(seconds=self._refresh_seconds)
        return min(max((due - self._clock.now()).total_seconds(), 0.0), self._refresh_seconds)

    def _fetch(self, before: FetchedRoot) -> Round:
        services = self._network.services(Deadline.after(self._clock, ROUND_SECONDS))
        return fetch(before, self._anchor, self.mirror, services, self._clock.now())

    def _load(self) -> tuple[dict[str, Any], FetchedRoot]:
        try:
            config_map = self._api.get(self._path)
            return config_map, decode(config_map.get("data") or {}, self._anchor.name)
        except NotFoundError as error:
            message = f"there is no ConfigMap {quote(self._path)}; the chart makes it"
            raise UnavailableError(message, reason=Reason.STATE_UNAVAILABLE) from error

    def _store(self, config_map: dict[str, Any], state: FetchedRoot) -> None:
        self._fence.check()
        self._api.replace(self._path, {**config_map, "data": state.encode()})

    def _fail(self, stored: FetchedRoot | None, problem: str) -> None:
        """Publish why a round failed, beside the last good root, so far as that is known.

        Args:
            stored: what was fetched before; None if it could not be read.
            problem: why the round failed.
        """
        with self._lock:
            kept = self._known
        if kept is None and stored is not None:
            kept = Known(stored.trusted_root, stored.fetched_at)
        if kept is None:
            # That there is no root would take the last good one out of each status. `read` says that it is not known.
            self._warn(problem)
        else:
            self._publish(Known(kept.trusted_root, kept.fetched_at, problem))

    def _warn(self, problem: str) -> None:
        self._metrics.failed(_LABEL)
        self._log.warning("trusted root not fetched; will retry", error=problem)

    def _publish(self, known: Known) -> None:
        with self._lock:
            before, self._known = self._known, known
        if known.problem:
            self._warn(known.problem)
        else:
            self._metrics.worked(_LABEL)
        if before is None or (before.trusted_root, before.problem) != (known.trusted_root, known.problem):
            self._log.info("trusted root changed", fetched=known.trusted_root is not None)
            self._on_change()
