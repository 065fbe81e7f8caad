"""What all verification requests of one process share: network, clock, caches, budgets, and the work under way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sealgate.budgets import Budgets
from sealgate.verification.caches import FindingCache, TagCache
from sealgate.verification.host_limiter import HostLimiter
from sealgate.verification.single_flight import SingleFlight
from sealgate.verification.verdict_cache import VerdictCache
from sealgate.verification.wait_slots import WaitSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future

    from sealgate.clocks import Clock, Deadline
    from sealgate.registry.interface import Registry
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.network import Network
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.requests import VerificationRequest
    from sealgate.verification.settings import VerifierSettings


@dataclass(frozen=True, slots=True)
class VerifierContext:
    """The parts that every request of one process shares; each is thread-safe.

    Attributes:
        network: registries and services.
        clock: the time.
        settings: limits.
        observer: counts cache hits, waits, verifications and errors.
        findings: cache of findings.
        tags: cache of the digests of tags.
        verdicts: cache of verdicts.
        budgets: verifications per minute for each host.
        single_flight: calls under way.
        limiter: runs their work.
        wait_slots: callers that wait for them.
        state: highest versions seen of versioned evidence.
    """

    network: Network
    clock: Clock
    settings: VerifierSettings
    observer: VerifierObserver
    findings: FindingCache
    tags: TagCache
    verdicts: VerdictCache
    budgets: Budgets
    single_flight: SingleFlight
    limiter: HostLimiter
    wait_slots: WaitSlots
    state: TrustedState

    @classmethod
    def assemble(
        cls,
        network: Network,
        clock: Clock,
        settings: VerifierSettings,
        observer: VerifierObserver,
        state: TrustedState,
    ) -> VerifierContext:
        """Make the parts from the settings."""
        limiter = HostLimiter(settings.host_concurrency, settings.workers, clock)
        return cls(
            network,
            clock,
            settings,
            observer,
            FindingCache(settings, clock),
            TagCache(settings, clock),
            VerdictCache(clock),
            Budgets(settings.verifications_per_minute, settings.burst, clock),
            SingleFlight(),
            limiter,
            WaitSlots(settings.max_waiters, settings.unresponsive_after, limiter),
            state,
        )

    def session(self, request: VerificationRequest, deadline: Deadline) -> Registry:
        """Return reads of registries with the credentials of a request, under the deadline of the work itself."""
        return self.network.session(request.caller, deadline, request.policies.literal_hosts)

    def start(self, key: Hashable, host: str, prepare: Callable[[], Callable[[], Any]]) -> tuple[Future[Any], bool]:
        """Return the future of the call for a key, and whether that call was under way already; start it otherwise.

        Args:
            key: what the work is about.
            host: the host that the work is for, as `host[:port]`.
            prepare: returns the work. It is called, under no lock, only if there is no call and the host's queue has
                room. Callers that join meanwhile get a `NotStartedError` if it raises.

        Raises:
            UnavailableError: too much work queues for the host; or as `prepare` raises.
        """
        call, leading = self.single_flight.join(key)
        if not leading:
            return call.future, True
        try:
            self.limiter.admit(host)
            try:
                work = prepare()
            except BaseException:
                self.limiter.cancel(host)
                raise
            self.limiter.start(host, work, partial(self.single_flight.complete, call))
        except BaseException:
            self.single_flight.abandon(call)
            raise
        return call.future, False
