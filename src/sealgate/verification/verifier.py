"""Steps 3 to 6 of the path of a review: match, resolve, verify, decide, for all images of one request.

What is cached is answered in the calling thread. The rest becomes calls (`single_flight.py`), one for each key however
many requests want its result, and the calling thread waits for them until its deadline. A tag that was resolved starts
the verifications of its image, so a slow registry delays its own images only.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from sealgate.errors import SealgateError
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate.verification.context import VerifierContext
from sealgate.verification.continuations import Continuations
from sealgate.verification.from_memory import CacheTally, NoContinuations, NotInMemoryError
from sealgate.verification.image_tasks import ImageTask
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.tag_resolution import Resolved, TagResolution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import NoReturn

    from sealgate.clocks import Clock, Deadline
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Reference
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.byte_cache import Usage
    from sealgate.verification.network import Network
    from sealgate.verification.observers import CacheName, VerifierObserver
    from sealgate.verification.requests import VerificationRequest
    from sealgate.verification.shared_level import SharedLevel

    Waiting = Continuations | NoContinuations

#: Verdicts of one review that are made of cached findings by a caller that must not wait: matching an image against
#: many policies takes far longer than finding its verdict.
MAX_MADE: Final = 16


class Verifier:
    """Verifies images against policies. One for each process; thread-safe.

    Args:
        network: registries and services.
        clock: the time.
        settings: limits; the defaults of `VerifierSettings` if there are none.
        observer: counts cache hits, waits, verifications and errors.
        state: highest versions seen of versioned evidence; by default they are kept in memory.
        shared: what other replicas share with this one; nothing by default.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        settings: VerifierSettings | None = None,
        observer: VerifierObserver | None = None,
        state: TrustedState | None = None,
        shared: SharedLevel | None = None,
    ) -> None:
        self._context = VerifierContext.assemble(
            network,
            clock,
            settings or VerifierSettings(),
            observer or NullObserver(),
            state or MemoryTrustedState(),
            shared,
        )

    def verify(self, images: Sequence[str], request: VerificationRequest) -> tuple[ImageVerdict, ...]:
        """Return a verdict for each image, in order; never raises for what an image or registry does.

        Images without a verdict at the request's deadline are *unavailable*.

        Args:
            images: references as written; equal ones are verified once.
            request: policies, namespace, credentials and deadline.
        """
        return _verify(self._context, images, request, Continuations(self._context.wait_slots, request.namespace.name))

    def resolve(self, references: Iterable[Reference], request: VerificationRequest) -> Mapping[Reference, Resolved]:
        """Return the digests that references name, from the cache or else resolved all at the same time.

        Args:
            references: equal ones are resolved once; the caller bounds their number.
            request: policies, namespace, credentials and deadline.

        Returns:
            The digest of each reference, stale where its registry is unreachable; without those
            that could not be resolved before the deadline.
        """
        return _resolve(
            self._context, references, request, Continuations(self._context.wait_slots, request.namespace.name)
        )

    def from_memory(self) -> MemoryVerifier:
        """Return what answers from this verifier's caches alone."""
        return MemoryVerifier(self._context)

    def from_verdicts(self) -> VerdictVerifier:
        """Return what answers from this verifier's cache of verdicts alone."""
        return VerdictVerifier(self._context)

    def in_steps(self) -> StepVerifier:
        """Return what verifies the images of one request for a caller in an event loop."""
        return StepVerifier(self._context)

    def cache_usage(self) -> Mapping[CacheName, Usage]:
        """Return what each cache holds now."""
        context = self._context
        return {"answers": context.answers.usage, "verdicts": context.verdicts.usage}

    def close(self) -> None:
        """Start no more work; work that is running goes on, and its results are dropped with the process."""
        self._context.background.close()
        self._context.workers.close()


class VerdictVerifier:
    """Answers as a `Verifier` does where every verdict is cached. Never waits, and takes least; thread-safe.

    Args:
        context: the verifier's.
    """

    def __init__(self, context: VerifierContext) -> None:
        self._context = context

    def verify(self, images: Sequence[str], request: VerificationRequest) -> tuple[ImageVerdict, ...]:
        """Return the same as `Verifier.verify`.

        Raises:
            NotInMemoryError: a verdict is not cached.
        """
        cached = _cached_verdicts(self._context, images, request)
        if len(cached) < len(images):
            raise NotInMemoryError("a verdict is not cached")
        return cached

    def resolve(self, references: Iterable[Reference], request: VerificationRequest) -> NoReturn:
        """Refuse to resolve tags.

        Raises:
            NotInMemoryError: always.
        """
        del references, request
        raise NotInMemoryError("only verdicts are cached here")


class MemoryVerifier:
    """Answers as a `Verifier` does where that takes nothing but its caches. Never waits; thread-safe.

    Args:
        context: the verifier's.
    """

    def __init__(self, context: VerifierContext) -> None:
        self._context = context

    def verify(self, images: Sequence[str], request: VerificationRequest) -> tuple[ImageVerdict, ...]:
        """Return the same as `Verifier.verify`.

        Raises:
            NotInMemoryError: a verdict is not in memory, or more than `MAX_MADE` would have to be made of findings.
        """
        cached = _cached_verdicts(self._context, images, request)
        if len(cached) == len(images):
            return cached
        if len(images) - len(cached) > MAX_MADE:
            raise NotInMemoryError("too many verdicts would have to be made")
        tally = CacheTally()
        verdicts = _verify(replace(self._context, observer=tally), images, request, NoContinuations())
        tally.report(self._context.observer)
        return verdicts

    def resolve(self, references: Iterable[Reference], request: VerificationRequest) -> Mapping[Reference, Resolved]:
        """Return the same as `Verifier.resolve`.

        Raises:
            NotInMemoryError: a digest is not in memory.
        """
        tally = CacheTally()
        digests = _resolve(replace(self._context, observer=tally), references, request, NoContinuations())
        tally.report(self._context.observer)
        return digests


class StepVerifier:
    """Verifies the images of one request for a caller in an event loop, which waits between two calls of `verify`.

    The first call starts the calls for what is not in memory; the second one returns the verdicts. Between them the
    caller awaits `wait`. It always calls `cancel` at the end.

    Args:
        context: the verifier's.
    """

    def __init__(self, context: VerifierContext) -> None:
        self._context = context
        self._batch: _Batch | None = None
        self._continuations: Continuations | None = None

    @property
    def waiting(self) -> bool:
        """Whether a result is missing, so that `wait` and another call of `verify` should follow."""
        return self._continuations is not None and self._continuations.waiting

    def verify(self, images: Sequence[str], request: VerificationRequest) -> tuple[ImageVerdict, ...]:
        """Return the same as `Verifier.verify`, without waiting.

        Raises:
            NotInMemoryError: a result is missing, if `waiting`; otherwise these images, or work of this extent, need a
                caller that may wait in a thread.
        """
        if self._batch is None:
            if len(images) > MAX_MADE or self._context.workers.busy:
                raise NotInMemoryError("too much work for an event loop")
            self._batch = _Batch(self._context, images, request)
            self._continuations = Continuations(self._context.wait_slots, request.namespace.name)
            self._batch.start(self._continuations)
            if self.waiting:
                raise NotInMemoryError("results are missing")
        first = self._batch.request
        same = request.policies is first.policies and request.namespace == first.namespace
        if not same or tuple(images) != self._batch.images:
            raise NotInMemoryError("the policies or the namespace have changed meanwhile")
        return self._batch.verdicts()

    def resolve(self, references: Iterable[Reference], request: VerificationRequest) -> NoReturn:
        """Refuse to resolve tags without verifying their images.

        Raises:
            NotInMemoryError: always.
        """
        del references, request
        raise NotInMemoryError("tags are resolved in a thread")

    async def wait(self, deadline: Deadline) -> None:
        """Wait for the results until the deadline; those that are missing then count as *unavailable*."""
        if self._continuations is not None:
            await self._continuations.run_in_loop(deadline)
            self._continuations.cancel()

    def cancel(self) -> None:
        """Stop waiting. Work under way goes on, and its results still go into the caches."""
        if self._continuations is not None:
            self._continuations.cancel()


def _cached_verdicts(
    context: VerifierContext, images: Sequence[str], request: VerificationRequest
) -> tuple[ImageVerdict, ...]:
    """Return the cached verdicts, in order; they count as hits if none is missing."""
    cache = context.verdicts.of(request)
    cached = tuple(verdict for image in images if (verdict := cache.get(image)) is not None)
    if len(cached) == len(images):
        for _ in dict.fromkeys(images):
            context.observer.cache_hit("verdict")
    return cached


def _verify(
    context: VerifierContext, images: Sequence[str], request: VerificationRequest, continuations: Waiting
) -> tuple[ImageVerdict, ...]:
    batch = _Batch(context, images, request)
    try:
        batch.start(continuations)
        continuations.run(request.deadline)
    finally:
        continuations.cancel()
    return batch.verdicts()


class _Batch:
    """The images of one request: what is cached, and a task for each of the others. For one thread.

    Args:
        context: the verifier's.
        images: references as written; equal ones are verified once.
        request: whose images they are.
    """

    def __init__(self, context: VerifierContext, images: Sequence[str], request: VerificationRequest) -> None:
        self._context = context
        self.images = tuple(images)
        self.request = request
        self._cache = context.verdicts.of(request)
        self._verdicts: dict[str, ImageVerdict] = {}
        self._tasks: list[ImageTask] = []

    def start(self, continuations: Waiting) -> None:
        """Use what is cached, and start the tasks of the other images."""
        observer = self._context.observer
        for image in dict.fromkeys(self.images):
            cached = self._cache.get(image)
            if cached is None:
                observer.cache_miss("verdict")
                task = ImageTask(self._context, self.request, continuations, image)
                self._tasks.append(task)
                task.start()
            else:
                observer.cache_hit("verdict")
                self._verdicts[image] = cached

    def verdicts(self) -> tuple[ImageVerdict, ...]:
        """Return a verdict for each image, in order; results that are missing count as *unavailable*."""
        for task in self._tasks:
            verdict = self._verdicts[task.image] = task.verdict()
            self._cache.put(verdict, task.dependencies.expires_at, task.dependencies.access)
        return tuple(self._verdicts[image] for image in self.images)


def _resolve(
    context: VerifierContext, references: Iterable[Reference], request: VerificationRequest, continuations: Waiting
) -> Mapping[Reference, Resolved]:
    digests: dict[Reference, Resolved] = {}
    try:
        for reference in dict.fromkeys(references):
            resolution = TagResolution(context, request, reference)
            cached = resolution.cached()
            if cached is not None:
                digests[reference] = Resolved(cached.value)
                continue
            stale = resolution.stale()
            if stale is not None:
                digests[reference] = stale
                continue
            on_result = partial(digests.__setitem__, reference)
            on_error = partial(_unresolved, context.observer)
            continuations.add(reference.repository.registry, resolution.start, on_result, on_error)
        continuations.run(request.deadline)
    finally:
        continuations.cancel()
    for reference, resolved in digests.items():
        if resolved.stale_since is not None:
            context.observer.stale("tag", reference.repository.registry)
    return digests


def _unresolved(observer: VerifierObserver, error: BaseException) -> None:
    """Report an exception that is not about the registry; the reference stays unresolved either way."""
    if not isinstance(error, SealgateError):
        observer.internal_error(error)
