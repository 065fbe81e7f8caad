"""The hosts that work runs or waits for, and whether they respond.

A host is *silent* until it has responded, and again once work has run for it for some time without a response. Silent
hosts share few workers, so that any number of dead hosts delays no host that responds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachetools import LRUCache

from sealgate.budgets import MAX_HOSTS, Pace, Rate
from sealgate.verification.shares import Shares
from sealgate.verification.tasks import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.verification.settings import VerifierSettings

#: Hosts that are known to have responded, least recently used evicted first; bounded because names come from users.
MAX_RESPONSIVE = 10_000


@dataclass(slots=True, eq=False)
class Host:
    """One host; removed when it is idle.

    Attributes:
        name: `host[:port]`.
        silent: whether it is silent.
        responded_at: when it last responded, in monotonic seconds; at first, when it ceased to be idle.
        shares: its workers.
        pace: the slots of its budget, and its pauses.
        free: tasks that wait for a worker.
        charged: tasks that wait for a slot of its budget and a worker.
        trackers: how often `HostTable.track` was called without `untrack`.
    """

    name: str
    silent: bool
    responded_at: float
    shares: Shares
    pace: Pace
    free: Lane = field(init=False)
    charged: Lane = field(init=False)
    trackers: int = 0

    def __post_init__(self) -> None:
        """Make the lanes."""
        self.free = Lane(self.name, charged=False)
        self.charged = Lane(self.name, charged=True)

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        """Both lanes."""
        return self.free, self.charged


class HostTable:
    """The hosts that are not idle. Not thread-safe.

    Args:
        settings: budgets, concurrency limits, and after how many seconds a host is silent.
    """

    def __init__(self, settings: VerifierSettings) -> None:
        self._settings = settings
        self._hosts: dict[str, Host] = {}
        self._rate = Rate.per_minute(settings.verifications_per_minute, settings.burst)
        self._paces: LRUCache[str, Pace] = LRUCache(MAX_HOSTS)
        self._responsive: LRUCache[str, bool] = LRUCache(MAX_RESPONSIVE)

    def __iter__(self) -> Iterator[Host]:
        """Return the hosts as of now."""
        return iter(list(self._hosts.values()))

    def __getitem__(self, name: str) -> Host:
        """Return a host that is not idle."""
        return self._hosts[name]

    def lanes(self, name: str) -> tuple[Lane, ...]:
        """Return the lanes of a host in which tasks wait."""
        host = self._hosts.get(name)
        return () if host is None else tuple(lane for lane in host.lanes if lane)

    def get_or_add(self, name: str, now: float) -> Host:
        """Return a host; one that was idle is added."""
        host = self._hosts.get(name)
        if host is None:
            silent = not self._responsive.get(name, False)
            host = self._hosts[name] = Host(name, silent, now, self._shares(silent=silent), self.pace(name))
        return host

    def pace(self, name: str) -> Pace:
        """Return the slots of a host's budget, and its pauses, which outlast its being idle."""
        host = self._hosts.get(name)
        pace = self._paces.get(name) if host is None else host.pace
        if pace is None:
            pace = self._paces[name] = Pace(self._rate)
        return pace

    def forget_if_idle(self, host: Host) -> None:
        """Remove a host that nothing refers to."""
        if host.shares.idle and not host.trackers:
            self._hosts.pop(host.name, None)

    def note_response(self, host: Host, now: float) -> None:
        """Note that a host has responded."""
        host.responded_at = now
        self._responsive[host.name] = True

    def responds(self, name: str) -> bool:
        """Return whether a host, idle or not, has responded before and is not silent."""
        host = self._hosts.get(name)
        return name in self._responsive if host is None else not host.silent

    def is_silent(self, host: Host, now: float) -> bool:
        """Return whether a host is silent now."""
        if host.shares.in_use and now - host.responded_at > self._settings.unresponsive_after:
            self._responsive.pop(host.name, None)
        return host.name not in self._responsive

    def set_silent(self, host: Host, *, silent: bool) -> None:
        """Record that a host has become silent or responsive, which changes how many workers it has."""
        host.silent = silent
        shares = self._shares(silent=silent)
        shares.add(host.shares)
        host.shares = shares

    def silent_seconds(self, name: str, now: float) -> float:
        """Return how long ago a host last responded, or ceased to be idle; 0 for an idle host."""
        host = self._hosts.get(name)
        return 0.0 if host is None else now - host.responded_at

    def track(self, name: str, now: float) -> float:
        """Keep the time of a host's last response, even while no work is there for it, until `untrack` is called.

        Returns:
            The same as `silent_seconds`.
        """
        host = self.get_or_add(name, now)
        host.trackers += 1
        return now - host.responded_at

    def untrack(self, name: str) -> None:
        """Undo one call of `track`."""
        host = self._hosts[name]
        host.trackers -= 1
        self.forget_if_idle(host)

    def _shares(self, *, silent: bool) -> Shares:
        settings = self._settings
        return Shares(
            settings.silent_host_concurrency if silent else settings.host_concurrency, settings.host_concurrency * 2
        )
