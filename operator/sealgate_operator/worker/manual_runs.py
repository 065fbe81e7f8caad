"""Manual runs: sign everything that a policy covers, whether or not its baseline has it.

A run goes through the tags in their order and keeps a checkpoint in the status, so that a replica that takes over goes
on there. A new value of the annotation starts a new run in place of the one under way, since it covers everything
again; an annotation that is removed ends it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.signing_status import RunStatus
from sealgate.errors import SigningError
from sealgate.signing.discovery import CoveredTag
from sealgate_operator.controller.resources import SIGNING_POLICY
from sealgate_operator.worker.agenda import Source
from sealgate_operator.worker.policy_states import run_id
from sealgate_operator.worker.run_progress import RunProgress, after_checkpoint
from sealgate_operator.worker.scans import CancelledError, IncompleteError, note_problems

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.signing_status import SigningPolicyStatus
    from sealgate.references import Repository
    from sealgate.signing.discovery import Discovery, Undiscovered
    from sealgate_operator.controller.store import ObjectStore
    from sealgate_operator.worker.image_signer import ImageSigner
    from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
    from sealgate_operator.worker.run_progress import Result
    from sealgate_operator.worker.scans import Scans
    from sealgate_operator.worker.signing_jobs import SigningJobs
    from sealgate_operator.worker.status_writer import StatusWriter

#: Tags of one run that are under way.
WINDOW = 32
#: Seconds between two checks of whether a run that waits is still wanted.
_POLL_SECONDS = 0.5


class ManualRuns:
    """The runs of all policies.

    Args:
        signer: reaches the registries.
        scans: reads digests.
        jobs: signs what is found.
        store: cache of the objects.
        writer: source of timestamps.
        log: gets a line for every run that began or ended.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        *,
        signer: ImageSigner,
        scans: Scans,
        jobs: SigningJobs,
        store: ObjectStore,
        writer: StatusWriter,
        log: FilteringBoundLogger,
    ) -> None:
        self._signer = signer
        self._scans = scans
        self._jobs = jobs
        self._store = store
        self._writer = writer
        self._log = log

    def wanted(self, policy: PolicyState) -> str:
        """Return the ID of the run that a policy's annotation asks for; empty if there is none to start or go on."""
        obj = self._store.get(SIGNING_POLICY, policy.name)
        wanted = "" if obj is None else run_id(obj)
        last = policy.status.last_run
        if last is not None and last.state == "Running" and last.id != wanted:
            self._end(policy)
        done = last is not None and last.id == wanted and last.state == "Ended"
        return "" if done else wanted

    def run(self, policy: PolicyState, opened: OpenPolicy, stop: threading.Event) -> None:
        """Do the run that is wanted, or go on with it.

        Raises:
            CancelledError: another run is wanted, or this replica stops.
        """
        wanted = self.wanted(policy)
        last = policy.status.last_run
        if last is None or last.id != wanted:
            last = self._first(wanted)
            self._log.info("manual run started", policy=policy.name, run=wanted)
        discovery = self._signer.discovery(opened)
        repositories = discovery.repositories(self._scans.pushed(policy))
        if not last.checkpoint:
            total = sum(isinstance(found, CoveredTag) for found in _bounded(discovery, repositories.repositories))
            last = last.model_copy(update={"total": total})
        progress = RunProgress(last, WINDOW)
        policy.change(lambda _: {"last_run": progress.status})
        for found in _bounded(discovery, repositories.repositories, after_checkpoint(last)):
            self._begin(policy, opened, discovery, found, progress, stop)
        while not progress.wait(_POLL_SECONDS):
            self._check(policy, opened, wanted, stop)
        self._end(policy)

    def _begin(  # noqa: PLR0913, PLR0917 - the run, and what ends it
        self,
        policy: PolicyState,
        opened: OpenPolicy,
        discovery: Discovery,
        found: CoveredTag | Undiscovered,
        progress: RunProgress,
        stop: threading.Event,
    ) -> None:
        tag = found if isinstance(found, CoveredTag) else None
        while (entry := progress.begin(tag, _POLL_SECONDS)) is None:
            self._check(policy, opened, progress.status.id, stop)
        self._check(policy, opened, progress.status.id, stop)

        def ended(result: Result) -> None:
            progress.end(entry, result)
            policy.change(_newer(progress))

        if not isinstance(found, CoveredTag):
            note_problems(policy, (f"{found.name}: {found.message}",))
            ended("failed")
            return
        try:
            digest = self._scans.digest(discovery, found)
        except IncompleteError as error:
            policy.note_failure(str(found.reference), error.problems[0], self._writer.now())
            ended("failed")
            return
        if digest is None:
            ended("failed")
            return
        self._jobs.add_tag(Source.RUN, policy, opened, found, digest, ended)

    def _check(self, policy: PolicyState, opened: OpenPolicy, wanted: str, stop: threading.Event) -> None:
        if stop.is_set() or policy.opened is None or self.wanted(policy) != wanted:
            raise CancelledError
        if not policy.says(opened):
            # What was signed so far was signed as the policy said before.
            policy.change(lambda _: {"last_run": self._first(wanted)})
            raise CancelledError

    def _first(self, wanted: str) -> RunStatus:
        return RunStatus(id=wanted, state="Running", started_at=self._writer.now())

    def _end(self, policy: PolicyState) -> None:
        def change(status: SigningPolicyStatus) -> Mapping[str, object]:
            last = status.last_run
            if last is None:
                return {}
            return {"last_run": last.model_copy(update={"state": "Ended", "ended_at": self._writer.now()})}

        policy.change(change)
        last = policy.status.last_run
        if last is not None:
            self._log.info("manual run ended", policy=policy.name, run=last.id, counts=last.counts.model_dump())


def _newer(progress: RunProgress) -> Callable[[SigningPolicyStatus], Mapping[str, object]]:
    """Return the change that brings a status to a run's progress, unless the status has another run, or its end."""

    def change(status: SigningPolicyStatus) -> Mapping[str, object]:
        last = status.last_run
        same = last is not None and last.id == progress.status.id and last.state == "Running"
        return {"last_run": progress.status} if same else {}

    return change


def _bounded(
    discovery: Discovery, repositories: Iterable[Repository], after: tuple[str, str] | None = None
) -> Iterator[CoveredTag | Undiscovered]:
    """Yield the tags of repositories, at most as many as a policy may cover."""
    with suppress(SigningError):
        yield from discovery.tags(repositories, after)
