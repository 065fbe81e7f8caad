"""What the webhook's replicas have counted for policies, summed up for their status. Pure.

Denials are summed by minute, each replica's as of its last reading: a later reading replaces the one before, and a
replica that is gone, or was restarted under another name, keeps what it had counted until that is an hour old. So no
denial counts twice, and no number is negative. Images are not told apart across replicas: the most that one has
seen counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealgate.api.v1alpha1.status import PolicyActivity
from sealgate.clocks import timestamp
from sealgate.policies.policy_counts import MAX_IMAGES, MINUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealgate.policies.policy_counts import Bucket, PolicyCounts, ReplicaCounts

#: The most replicas whose counts are kept, also of those that are gone; the one that was read longest ago goes first.
MAX_REPLICAS: Final = 64
#: The most denials that are shown.
MAX_DENIALS: Final = 1_000_000_000
#: Two readings of one denial differ by less than this, in seconds.
_SAME_DENIAL: Final = timedelta(seconds=5)
_HOUR: Final = 60.0 * MINUTES


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    policies: Mapping[str, PolicyCounts]


class Tally:
    """The last readings of all replicas. Not thread-safe."""

    def __init__(self) -> None:
        self._readings: dict[str, _Reading] = {}

    def read(self, counts: ReplicaCounts, now: float) -> None:
        """Take what a replica has counted, instead of what it had counted before.

        Args:
            counts: its document.
            now: the time, in monotonic seconds.
        """
        self._readings.pop(counts.replica, None)
        self._readings[counts.replica] = _Reading(now, counts.policies)
        while len(self._readings) > MAX_REPLICAS:
            del self._readings[next(iter(self._readings))]

    def expire(self, now: float) -> None:
        """Forget the replicas of which nothing was read for an hour."""
        self._readings = {name: reading for name, reading in self._readings.items() if now - reading.at < _HOUR}

    @property
    def empty(self) -> bool:
        """Whether nothing is known of any replica."""
        return not self._readings

    def activity(
        self, policy: str, before: PolicyActivity | None, monotonic: float, now: datetime
    ) -> PolicyActivity | None:
        """Return what the status of a policy should say.

        Args:
            policy: its name.
            before: what its status said; the time of the last denial never goes back.
            monotonic: the time, in monotonic seconds.
            now: the time.

        Returns:
            the activity; None if nothing is known of any replica.
        """
        if self.empty:
            return None
        known = [
            (monotonic - reading.at, counts)
            for reading in self._readings.values()
            if (counts := reading.policies.get(policy)) is not None
        ]
        images = max((counts.images for _, counts in known), default=0)
        ages = [age + counts.last_denied for age, counts in known if counts.last_denied is not None]
        return PolicyActivity(
            images=f"{MAX_IMAGES}+" if images >= MAX_IMAGES else str(images),
            denials=_total((age, counts.denied) for age, counts in known),
            dry_run_denials=_total((age, counts.dry_run) for age, counts in known),
            last_denial=_latest(before, now - timedelta(seconds=min(ages)) if ages else None),
        )


def _total(readings: Iterable[tuple[float, Iterable[Bucket]]]) -> int:
    total = sum(count for age, buckets in readings for minutes, count in buckets if minutes + int(age // 60) < MINUTES)
    return min(total, MAX_DENIALS)


def _latest(before: PolicyActivity | None, found: datetime | None) -> str | None:
    """Return the time of the last denial: the known one, unless another one is clearly later."""
    known = None if before is None else before.last_denial
    if found is None:
        return known
    try:
        same = known is not None and found < _moment(known) + _SAME_DENIAL
    except ValueError:
        same = False
    return known if same else timestamp(found)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
