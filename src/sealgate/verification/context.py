"""What all reviews share: the network, the clock, memory, budgets and the work under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.budgets import Budgets
from sealgate.verification.caches import FindingCache, TagCache
from sealgate.verification.single_flight import Flights
from sealgate.verification.verdict_cache import VerdictMemory

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline
    from sealgate.registry.interface import Registry
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.network import Network
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.requests import Review
    from sealgate.verification.settings import VerifierSettings


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that every review of one process shares; each is thread-safe.

    Attributes:
        network: the registries and services.
        clock: the time.
        settings: the limits.
        observer: told of everything countable.
        findings: findings that were made.
        tags: digests that tags resolved to.
        budgets: how much each host may be asked.
        flights: resolutions and verifications under way.
        verdicts: verdicts that rest on what is in memory.
        state: the highest versions seen of versioned evidence.
    """

    network: Network
    clock: Clock
    settings: VerifierSettings
    observer: VerifierObserver
    findings: FindingCache
    tags: TagCache
    budgets: Budgets
    flights: Flights
    verdicts: VerdictMemory
    state: TrustedState

    @classmethod
    def assemble(
        cls,
        network: Network,
        clock: Clock,
        settings: VerifierSettings,
        observer: VerifierObserver,
        state: TrustedState,
    ) -> Engine:
        """Make the parts from their settings."""
        return cls(
            network,
            clock,
            settings,
            observer,
            FindingCache(settings, clock),
            TagCache(settings, clock),
            Budgets(settings.verifications_per_minute, settings.burst, clock),
            Flights(settings, clock),
            VerdictMemory(clock),
            state,
        )

    def session(self, review: Review, deadline: Deadline) -> Registry:
        """Return reads of registries with the credentials of a review, under the deadline of the work itself."""
        return self.network.session(review.caller, deadline, review.policies.literal_hosts)
