"""Exceptions: which images they cover, and whether they are in force. Pure.

An exception covers exactly its images in its namespaces:

- a tag without a digest counts as written, also if the registry cannot be asked;
- beside a digest a tag counts only if the registry says that it names that digest (`sealgate.verification`);
- a digest counts only where it is written in the reference: what a tag names now may be another image at the pull.

An exception is in force until the first of these: its end by the wall clock; its end by the monotonic clock, reckoned
from when it was read, so that a wall clock that stops or is put back prolongs nothing; the most hours that an exception
may last, from when the API server stored it, so that one that no webhook has checked lasts no longer. By a wall clock
that is clearly before its creation it is not in force at all.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealgate.errors import PolicyError
from sealgate.policies.limits import PatternCompiler
from sealgate.policies.matching import CompiledSelector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sealgate.api.v1alpha1.verification_exception import VerificationException
    from sealgate.clocks import Clock
    from sealgate.references import Reference

#: How much the webhook's clock may be behind the API server's.
MAX_SKEW: Final = timedelta(minutes=5)
#: The most exceptions that count in one namespace. One with the most and largest patterns costs an image a millisecond.
MAX_IN_NAMESPACE: Final = 50


@dataclass(frozen=True, slots=True)
class CompiledException:
    """An exception with compiled patterns.

    Attributes:
        name: its name.
        images: the images that it covers by repository.
        digests: the digests that it covers.
        namespaces: names of the namespaces that it holds in.
        requested_by: the user who made it.
        reason: why, as its author wrote it.
        begins_at: the wall clock must show this time at least.
        ends_at: when it ends, by the wall clock.
        ends: when it ends, in seconds of `Clock.monotonic`.
    """

    name: str
    images: tuple[CompiledSelector, ...]
    digests: frozenset[str]
    namespaces: frozenset[str]
    requested_by: str
    reason: str
    begins_at: datetime
    ends_at: datetime
    ends: float

    def in_force(self, clock: Clock) -> bool:
        """Return whether it is in force now."""
        return self.begins_at <= clock.now() < self.ends_at and not self.has_ended(clock)

    def has_ended(self, clock: Clock) -> bool:
        """Return whether it has ended for good: whatever the wall clock will show, it is not in force again."""
        return clock.monotonic() >= self.ends

    def covers(self, reference: Reference, tag: str | None) -> bool:
        """Return whether it covers an image.

        Args:
            reference: the image.
            tag: its tag; None if that is not known. Patterns over tags then do not cover it.
        """
        if reference.digest is not None and reference.digest in self.digests:
            return True
        return any(image.surely_covers(tag) and image.repository.matches(reference.name) for image in self.images)

    def asks_for_tag(self, reference: Reference) -> bool:
        """Return whether it depends on the tag of an image whether it covers that."""
        return not self.covers(reference, None) and any(
            image.tags is not None and image.repository.matches(reference.name) for image in self.images
        )


def end_of(exception: VerificationException, created: datetime, longest: timedelta) -> datetime:
    """Return when an exception ends by the wall clock, in UTC.

    Args:
        exception: the object.
        created: when the API server stored it, timezone-aware.
        longest: how long an exception may last.
    """
    return min(exception.spec.end, created + longest).astimezone(UTC)


def compile_exception(
    exception: VerificationException, created: datetime, longest: timedelta, clock: Clock
) -> CompiledException:
    """Compile an exception as it is read now.

    Args:
        exception: the object.
        created: when the API server stored it, timezone-aware.
        longest: how long an exception may last.
        clock: the time.

    Raises:
        PolicyError: it does not say who made it.
        InvalidPatternError: a pattern does not compile, or they are too large together.
    """
    spec = exception.spec
    if spec.requested_by is None:
        raise PolicyError(
            "it does not say who made it, since sealgate was not asked; delete it and make it again once the policies' "
            "condition Enforced is True"
        )
    patterns = PatternCompiler()
    ends_at = end_of(exception, created, longest)
    return CompiledException(
        name=exception.metadata.name,
        images=tuple(
            CompiledSelector(
                patterns.repository(image.repository),
                None if image.tags is None else tuple(map(patterns.tag, image.tags)),
            )
            for image in spec.images
            if image.repository is not None
        ),
        digests=frozenset(image.digest for image in spec.images if image.digest is not None),
        namespaces=frozenset(spec.namespaces),
        requested_by=spec.requested_by,
        reason=spec.reason,
        begins_at=created - MAX_SKEW,
        ends_at=ends_at,
        ends=clock.monotonic() + (ends_at - clock.now()).total_seconds(),
    )


def names_that_count(made: Iterable[tuple[datetime, str, Collection[str]]]) -> Mapping[str, frozenset[str]]:
    """Return, by namespace, the names of the exceptions that count there: those that were made first.

    Args:
        made: when each exception that has not ended was made, its name, and its namespaces.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for _, name, namespaces in sorted(made, key=lambda exception: exception[:2]):
        for namespace in namespaces:
            if len(found[namespace]) < MAX_IN_NAMESPACE:
                found[namespace].append(name)
    return {namespace: frozenset(names) for namespace, names in found.items()}


class ExceptionIndex:
    """Exceptions by namespace. Never changes once made; may be asked by many threads.

    Of one namespace at most `MAX_IN_NAMESPACE` count, those that were made first: each costs every image there.

    Args:
        exceptions: the exceptions, each name at most once; some may have ended.
    """

    def __init__(self, exceptions: Iterable[CompiledException] = ()) -> None:
        self.exceptions = tuple(sorted(exceptions, key=lambda exception: exception.name))
        counting = names_that_count(
            (exception.begins_at, exception.name, exception.namespaces) for exception in self.exceptions
        )
        by_name = {exception.name: exception for exception in self.exceptions}
        self._by_namespace = {
            namespace: [by_name[name] for name in sorted(names)] for namespace, names in counting.items()
        }

    def is_full(self, namespace: str, clock: Clock) -> bool:
        """Return whether a further exception would not count in a namespace.

        Args:
            namespace: name of the namespace.
            clock: says which exceptions have ended and count no more.
        """
        return sum(not found.has_ended(clock) for found in self._in(namespace)) >= MAX_IN_NAMESPACE

    def match(self, reference: Reference, tag: str | None, namespace: str) -> tuple[CompiledException, ...]:
        """Return the exceptions that cover an image in a namespace, sorted by name, whether they are in force or not.

        Args:
            reference: the image.
            tag: its tag; None if that is not known.
            namespace: name of the namespace; empty for one whose name is not known.
        """
        return tuple(found for found in self._in(namespace) if found.covers(reference, tag))

    def asks_for_tag(self, reference: Reference, namespace: str, clock: Clock) -> bool:
        """Return whether an exception in force depends on what the tag of an image names; see `match`."""
        return any(found.asks_for_tag(reference) and found.in_force(clock) for found in self._in(namespace))

    def _in(self, namespace: str) -> Sequence[CompiledException]:
        return self._by_namespace.get(namespace, ())


NO_EXCEPTIONS: Final = ExceptionIndex()
