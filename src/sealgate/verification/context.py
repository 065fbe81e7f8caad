"""What all reviews share: the network, the clock, memory, budgets and the work under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sealgate.budgets import Budgets
from sealgate.verification.caches import FindingCache, TagCache
from sealgate.verification.single_flight import Flights
from sealgate.verification.verdict_cache import VerdictMemory

if TYPE_CHECKING:
    from sealgate.clocks import Clock, Deadline
    from sealgate.http.interface import Services
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Registry
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.settings import VerifierSettings


class Network(Protocol):
    """Where sessions come from; `sealgate.registry.client.RegistryClient` is one."""

    def session(self, credentials: CredentialProvider, deadline: Deadline, literal_hosts: frozenset[str]) -> Registry:
        """Return reads of registries with these credentials under this deadline."""

    def services(self, deadline: Deadline) -> Services:
        """Return requests to signature stores under this deadline."""

    def places(self, repository: Repository) -> tuple[Repository, ...]:
        """Return the repositories that are asked for a repository's content, the first to ask first."""

    def asks(self, repository: Repository) -> bool:
        """Return whether one of those places is known to ask who comes, so that credentials count there."""


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
