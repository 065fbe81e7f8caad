"""What all verification requests of one process share: network, clock, caches, budgets, and the work under way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sealgate.formats.service_answers import ServiceAnswers
from sealgate.verification.background_runner import BackgroundRunner
from sealgate.verification.byte_cache import ByteCache
from sealgate.verification.caches import FindingCache, TagCache
from sealgate.verification.shared_level import NoSharedLevel
from sealgate.verification.single_flight import SingleFlight
from sealgate.verification.stale_cache import StaleCache
from sealgate.verification.tasks import Task
from sealgate.verification.verdict_cache import VerdictCache
from sealgate.verification.wait_slots import WaitSlots
from sealgate.verification.workers import Workers

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
    from sealgate.verification.shared_level import SharedLevel

#: The part of the memory of caches that is for verdicts.
VERDICT_SHARE: Final = 1 / 4


@dataclass(frozen=True, slots=True)
class VerifierContext:
    """The parts that every request of one process shares; each is thread-safe.

    Attributes:
        network: registries and services.
        clock: the time.
        settings: limits.
        observer: counts cache hits, waits, verifications and errors.
        answers: memory of the following three caches.
        findings: cache of findings.
        tags: cache of the digests of tags.
        stale: what both held, for the time while a registry is unreachable.
        verdicts: cache of verdicts.
        single_flight: calls under way.
        workers: run their work, at the pace of each host's budget.
        background: has the workers verify what reviews could not wait for.
        wait_slots: callers that wait for them.
        state: highest versions seen of versioned evidence.
        service_answers: answers of services that formats ask beside the signature stores, and the budgets of these.
        shared: what other replicas share with this one; only workers use it.
    """

    network: Network
    clock: Clock
    settings: VerifierSettings
    observer: VerifierObserver
    answers: ByteCache
    findings: FindingCache
    tags: TagCache
    stale: StaleCache
    verdicts: VerdictCache
    single_flight: SingleFlight
    workers: Workers
    background: BackgroundRunner
    wait_slots: WaitSlots
    state: TrustedState
    service_answers: ServiceAnswers
    shared: SharedLevel

    @classmethod
    def assemble(
        cls,
        network: Network,
        clock: Clock,
        settings: VerifierSettings,
        observer: VerifierObserver,
        state: TrustedState,
        shared: SharedLevel | None = None,
    ) -> VerifierContext:
        """Make the parts from the settings."""
        workers = Workers(settings, clock, observer)
        network.on_pause(workers.pause)
        verdict_bytes = int(settings.cache_bytes * VERDICT_SHARE)
        answers = ByteCache(settings.cache_bytes - verdict_bytes, clock)
        return cls(
            network,
            clock,
            settings,
            observer,
            answers,
            FindingCache(settings, answers, clock),
            TagCache(settings, answers),
            StaleCache(settings, answers, clock),
            VerdictCache(verdict_bytes, clock),
            SingleFlight(),
            workers,
            BackgroundRunner(workers, clock, observer),
            WaitSlots(settings, clock, workers, observer),
            state,
            ServiceAnswers(clock, settings.verifications_per_minute, settings.burst),
            shared or NoSharedLevel(),
        )

    def session(self, request: VerificationRequest, deadline: Deadline) -> Registry:
        """Return reads of registries with the credentials of a request, under the deadline of the work itself."""
        return self.network.session(request.caller, deadline, request.policies.literal_hosts)

    def start(  # noqa: PLR0913 - what a task needs
        self,
        key: Hashable,
        host: str,
        request: VerificationRequest,
        work: Callable[[], Any],
        *,
        charged: bool = False,
        known: Callable[[], Any] | None = None,
    ) -> tuple[Future[Any], bool]:
        """Return the future of the call for a key, and whether that call was under way already; start it otherwise.

        Args:
            key: what the work is about.
            host: the host that the work is for, as `host[:port]`.
            request: who wants it, and until when.
            work: runs in a worker, only if no call is under way.
            charged: whether it takes a slot of the host's budget.
            known: returns the result if it is in a cache by now, None otherwise; called if no call is under way.

        Raises:
            UnavailableError: too much work waits, or the host's budget allows none before the deadline. Callers that
                joined meanwhile get a `NotStartedError`.
        """
        now = self.clock.monotonic()
        deadline = now + request.deadline.remaining()
        call, leading = self.single_flight.join(key)
        if not leading:
            task = call.task
            if task is not None:
                self.workers.join(task, request.requester, deadline)
            return call.future, True
        try:
            result = None if known is None else known()
            if result is None:
                task = Task(host, charged, work, partial(self.single_flight.complete, call), deadline, now)
                call.task = task
                self.workers.submit(task, request.requester)
        except BaseException:
            self.single_flight.abandon(call)
            raise
        if result is not None:
            self.single_flight.complete(call, result, None)
        return call.future, False
