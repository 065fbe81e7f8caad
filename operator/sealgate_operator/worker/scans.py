"""Searches of registries for one policy: to record its baseline, to resync, and for a manual run.

Each search has a thread of its own while it lasts, so that a slow registry holds up only the policies that name it.
A resync and a run only find tags; the agenda's workers sign them, so that a bounded number waits there.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.signing_baseline import baseline_entry
from sealgate.api.v1alpha1.signing_status import BaselineStatus, RepositoriesStatus, has_ended
from sealgate.errors import NotFoundError, SealgateError, SigningError, UnauthorizedError, UnavailableError
from sealgate.signing.discovery import CoveredTag, Undiscovered
from sealgate_operator.controller.resources import SIGNING_REQUEST
from sealgate_operator.worker.agenda import Source
from sealgate_operator.worker.baselines import Baseline, catalog_entry
from sealgate_operator.worker.requests import DroppedError, parse_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.references import Digest, Repository
    from sealgate.signing.discovery import Discovery, FoundRepositories
    from sealgate_operator.controller.store import Object, ObjectStore
    from sealgate_operator.worker.baselines import BaselineObjects
    from sealgate_operator.worker.image_signer import ImageSigner
    from sealgate_operator.worker.policy_states import OpenPolicy, PolicyState
    from sealgate_operator.worker.requests import Request
    from sealgate_operator.worker.run_progress import Result
    from sealgate_operator.worker.signing_jobs import SigningJobs
    from sealgate_operator.worker.status_writer import StatusWriter

#: Tags of one policy that a resync has found and that wait to be signed.
MAX_FOUND = 32
#: Tags of one policy whose digest is asked for at a time.
_TOGETHER, _BATCH = 4, 64
_MAX_PROBLEMS, _MAX_PROBLEM = 16, 1024
#: How often the digest of a tag is asked for, and seconds between.
_READS, _PAUSE = 3, 1.0


class IncompleteError(Exception):
    """Not all of what a policy covers could be listed.

    Args:
        problems: what could not be, and why.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems


class CancelledError(Exception):
    """The search is of no use any more: the policy changed, or this replica stops."""


class Scans:
    """The searches of all policies.

    Args:
        signer: reaches the registries.
        jobs: signs what is found.
        store: cache of the objects.
        baselines: the stored baselines.
        writer: writes statuses.
        clock: source of the time.
        on_recorded: called when a baseline is complete.
        log: gets a line for every search that ended.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        *,
        signer: ImageSigner,
        jobs: SigningJobs,
        store: ObjectStore,
        baselines: BaselineObjects,
        writer: StatusWriter,
        clock: Clock,
        on_recorded: Callable[[PolicyState], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._signer = signer
        self._jobs = jobs
        self._store = store
        self._baselines = baselines
        self._writer = writer
        self._clock = clock
        self._on_recorded = on_recorded
        self._log = log

    def record(self, policy: PolicyState, opened: OpenPolicy, stop: threading.Event) -> None:
        """Record the baseline of a policy.

        Raises:
            IncompleteError: not all repositories could be listed; nothing was recorded.
            CancelledError: the policy changed meanwhile.
            UnavailableError: the baseline could not be stored (and its subclasses).
        """
        key = opened.baseline_key
        try:
            baseline = self._collect(policy, opened, stop)
        except SigningError as error:
            self._log.warning("baseline too large", policy=policy.name, error=error.message)
            policy.change_baseline(BaselineStatus(state="TooLarge", key=key))
            return
        self._baselines.write(policy.name, policy.uid, key, baseline)
        recorded = BaselineStatus(
            state="Recorded",
            key=key,
            entries=len(baseline),
            objects=len(baseline.parts),
            checksum=baseline.checksum,
            recorded_at=self._writer.now(),
        )
        _check_current(policy, opened, stop)
        policy.baseline = baseline
        self._announce(policy, recorded)
        self._log.info("baseline recorded", policy=policy.name, entries=len(baseline))
        self._on_recorded(policy)

    def resync(self, policy: PolicyState, opened: OpenPolicy, stop: threading.Event) -> None:
        """Sign what a policy covers and its baseline does not have; renew what its signer has signed and ends soon.

        Raises:
            CancelledError: the policy changed meanwhile.
            SigningError: the policy covers too many tags; those before were signed.
        """
        baseline, discovery = policy.baseline_for(opened), self._signer.discovery(opened)
        if baseline is None:
            raise CancelledError
        found = self._repositories(policy, discovery, opened, baseline)
        self._renew(policy, opened, found, stop)
        room = threading.Semaphore(MAX_FOUND)
        tags = self._tags(policy, discovery, found)
        for tag, digest in self._named(policy, opened, tags, lambda tag: self._known(policy, discovery, tag), stop):
            if baseline_entry(tag.name, tag.tag, digest) in baseline:
                continue
            while not room.acquire(timeout=0.5):
                _check_current(policy, opened, stop)
            self._jobs.add_tag(Source.RESYNC, policy, opened, tag, digest, _releasing(room))

    def _renew(
        self, policy: PolicyState, opened: OpenPolicy, repositories: tuple[Repository, ...], stop: threading.Event
    ) -> None:
        for repository in repositories:
            _check_current(policy, opened, stop)
            try:
                renewed = self._signer.renew(opened, repository)
            except SealgateError as error:
                note_problems(policy, (f"{repository.name} was not renewed: {error.message}",))
                continue
            if renewed:
                self._log.info("renewed before its end", policy=policy.name, repository=repository.name, roles=renewed)

    def _announce(self, policy: PolicyState, recorded: BaselineStatus) -> None:
        """Write that a baseline is complete, before anything is signed: what is pushed from now on is new."""
        policy.change_baseline(recorded)
        try:
            self._writer.write_policy(policy)
        except UnavailableError:
            policy.change_baseline(BaselineStatus(state="Recording", key=recorded.key))
            raise

    def _collect(self, policy: PolicyState, opened: OpenPolicy, stop: threading.Event) -> Baseline:
        discovery = self._signer.discovery(opened)
        waiting = [request for obj, request in self._requests(policy) if not has_ended(obj)]
        found = discovery.repositories(request.repository for request in waiting)
        problems = [each for each in found.missing if not _has_no_catalog(each.error)]
        if problems:
            raise IncompleteError(tuple(f"{each.name}: {each.message}" for each in problems))
        self._note(policy, found)
        # What was accepted before the policy changed is not from before the policy.
        earlier = {request.entry for request in waiting if request.spec.policy.generation < policy.generation}
        read = opened.coverage.patterned_registries - {each.name for each in found.missing}
        entries = {catalog_entry(registry) for registry in read}
        tags = _strictly(discovery.tags(found.repositories))
        for tag, digest in self._named(policy, opened, tags, lambda tag: self.digest(discovery, tag), stop):
            entries.add(baseline_entry(tag.name, tag.tag, digest))
        return Baseline.of(entries - earlier)

    def pushed(self, policy: PolicyState) -> Iterator[Repository]:
        """Yield the repositories that push events of a policy name; registries without a catalog list them nowhere."""
        return (request.repository for _, request in self._requests(policy))

    def _requests(self, policy: PolicyState) -> Iterator[tuple[Object, Request]]:
        """Yield the requests of a policy."""
        for obj in self._store.all(SIGNING_REQUEST):
            with suppress(DroppedError):
                request = parse_request(obj)
                if request.spec.policy.uid == policy.uid:
                    yield obj, request

    def _repositories(
        self, policy: PolicyState, discovery: Discovery, opened: OpenPolicy, baseline: Baseline
    ) -> tuple[Repository, ...]:
        """Return the repositories of a resync: those named, and those in catalogs that the baseline knows.

        A repository that is known only by its events is left out: its older tags are in no baseline.
        """
        found = discovery.repositories()
        self._note(policy, found)
        named = set(opened.coverage.named_repositories)
        return tuple(each for each in found.repositories if each in named or baseline.has_catalog(each.registry))

    @staticmethod
    def _note(policy: PolicyState, found: FoundRepositories) -> None:
        problems = tuple(f"{each.name}: {each.message}"[:_MAX_PROBLEM] for each in found.missing[:_MAX_PROBLEMS])
        status = RepositoriesStatus(found=len(found.repositories), problems=problems)
        policy.change(lambda _: {"repositories": status})

    def _tags(
        self, policy: PolicyState, discovery: Discovery, repositories: tuple[Repository, ...]
    ) -> Iterator[CoveredTag]:
        """Yield the tags of repositories; what cannot be listed is in the status, and is listed the next time."""
        for found in discovery.tags(repositories):
            if isinstance(found, CoveredTag):
                yield found
            elif not isinstance(found.error, NotFoundError):
                note_problems(policy, (f"{found.name}: {found.message}",))

    @staticmethod
    def _named(  # noqa: PLR0913, PLR0917 - the search, and what ends it
        policy: PolicyState,
        opened: OpenPolicy,
        tags: Iterator[CoveredTag],
        read: Callable[[CoveredTag], Digest | None],
        stop: threading.Event,
    ) -> Iterator[tuple[CoveredTag, Digest]]:
        """Yield tags with the digests that they name; those without one are left out."""
        with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="digests") as pool:
            while batch := list(islice(tags, _BATCH)):
                _check_current(policy, opened, stop)
                for tag, digest in zip(batch, pool.map(read, batch), strict=True):
                    if digest is not None:
                        yield tag, digest

    def _known(self, policy: PolicyState, discovery: Discovery, tag: CoveredTag) -> Digest | None:
        """Return the digest that a tag names; None, and a problem in the status, if it cannot be read."""
        try:
            return self.digest(discovery, tag)
        except IncompleteError as error:
            note_problems(policy, error.problems)
            return None

    def digest(self, discovery: Discovery, tag: CoveredTag) -> Digest | None:
        """Return the digest that a tag names; None if the tag is gone.

        Raises:
            IncompleteError: the registry could not be asked, several times.
        """
        for attempt in range(1, _READS + 1):
            try:
                return discovery.digest(tag)
            except NotFoundError:
                return None
            except SealgateError as error:
                if attempt == _READS:
                    raise IncompleteError((f"{tag.name}:{tag.tag}: {error.message}",)) from error
                self._clock.sleep(_PAUSE)
        raise AssertionError  # the loop returns or raises


def note_problems(policy: PolicyState, problems: tuple[str, ...]) -> None:
    """Add what could not be listed to the status of a policy."""
    short = tuple(problem[:_MAX_PROBLEM] for problem in problems)
    policy.change(
        lambda status: {
            "repositories": status.repositories.model_copy(
                update={"problems": tuple(dict.fromkeys((*status.repositories.problems, *short)))[:_MAX_PROBLEMS]}
            )
        }
    )


def _strictly(tags: Iterator[CoveredTag | Undiscovered]) -> Iterator[CoveredTag]:
    """Yield tags; raise at a repository that could not be listed, unless there is none of that name."""
    for found in tags:
        if isinstance(found, CoveredTag):
            yield found
        elif not isinstance(found.error, NotFoundError):
            raise IncompleteError((f"{found.name}: {found.message}",))


def _has_no_catalog(error: SealgateError) -> bool:
    """Return whether a registry has no catalog, or none for these credentials: trying again does not change that."""
    return isinstance(error, (NotFoundError, UnauthorizedError)) or not isinstance(error, UnavailableError)


def _check_current(policy: PolicyState, opened: OpenPolicy, stop: threading.Event) -> None:
    if stop.is_set() or not policy.says(opened):
        raise CancelledError


def _releasing(room: threading.Semaphore) -> Callable[[Result], None]:
    def release(_: Result) -> None:
        room.release()

    return release
