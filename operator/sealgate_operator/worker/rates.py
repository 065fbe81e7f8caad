"""Rates: how many images a minute are signed under a policy, and asked about in a registry.

A slot of the policy is reserved before an image is worked on, and given back if the image turned out to be signed
already. Requests to key management services have budgets of their own.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate_operator.worker.agenda import Job

#: Images a minute that one registry is asked about, for all policies together, and how many at once after a pause.
IMAGES_PER_MINUTE, IMAGES_BURST = 3000.0, 100
#: Images that may be signed at once under a policy after a pause.
POLICY_BURST = 10


class Rates:
    """The rates of all policies and registries. Thread-safe.

    Args:
        clock: measures the rates.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registries = Budgets(IMAGES_PER_MINUTE, IMAGES_BURST, clock)
        self._policies: dict[str, tuple[int, Budgets]] = {}
        self._lock = threading.Lock()

    def set(self, policy: str, per_minute: int) -> None:
        """Set the rate of a policy.

        Args:
            policy: its UID.
            per_minute: images a minute, at least 1.
        """
        with self._lock:
            if self._policies.get(policy, (0,))[0] != per_minute:
                burst = min(POLICY_BURST, per_minute)
                self._policies[policy] = (per_minute, Budgets(per_minute, burst, self._clock))

    def drop(self, policy: str) -> None:
        """Forget the rate of a policy that is gone."""
        with self._lock:
            self._policies.pop(policy, None)

    def admit(self, job: Job) -> float:
        """Return the seconds until a job may begin; 0 if it may begin now: its slots are then reserved."""
        budgets = self._budgets(job.policy)
        now = Deadline.after(self._clock, 0)
        try:
            if budgets is not None:
                budgets.reserve(job.policy, now)
        except RateLimitedError as error:
            return error.retry_after
        try:
            self._registries.reserve(job.host, now)
        except RateLimitedError as error:
            self.give_back(job.policy)
            return error.retry_after
        return 0.0

    def give_back(self, policy: str) -> None:
        """Return the slot of an image that was not signed."""
        budgets = self._budgets(policy)
        if budgets is not None:
            budgets.give_back(policy)

    def _budgets(self, policy: str) -> Budgets | None:
        with self._lock:
            known = self._policies.get(policy)
        return None if known is None else known[1]
