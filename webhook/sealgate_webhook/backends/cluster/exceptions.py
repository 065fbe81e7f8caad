"""The exceptions of a cluster, as the webhook reads them.

A cluster without the CRD, such as one during an upgrade, has none. An exception that cannot be read, or was deleted and
is kept by finalizers, lifts nothing. When one is read again, for instance because the connection to the API server was
lost, its end does not move: what was reckoned when it was read first stays (`sealgate.policies.exceptions`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.verification_exception import VerificationException
from sealgate.kubernetes.watch import Informer
from sealgate.policies.exceptions import CompiledException, ExceptionIndex, compile_exception
from sealgate.policies.limits import check_size
from sealgate.policies.unreadable import explain_unreadable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI

EXCEPTIONS = f"/apis/{API_VERSION}/verificationexceptions"


@dataclass(frozen=True, slots=True)
class ReadException:
    """An exception as it was read.

    Attributes:
        name: its name.
        uid: its UID: one that was made anew is another one.
        object: the object; None if it cannot be read or was deleted.
        compiled: the compiled exception; None if it cannot be read or was deleted.
        problem: why it cannot be read; empty if it can.
    """

    name: str
    uid: str
    object: VerificationException | None
    compiled: CompiledException | None
    problem: str = ""


class ClusterExceptions:
    """The exceptions of a cluster, kept by a listing.

    Args:
        api: the API server.
        longest: how long an exception may last.
        changed: called after every change.
        clock: says when exceptions end.
        log: gets a line for every failure.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        longest: timedelta,
        changed: Callable[[], None],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._longest = longest
        self._clock = clock
        self._informer = Informer(api, EXCEPTIONS, self._read, changed, clock, log, optional=True)

    def run(self, stop: threading.Event) -> None:
        """List and watch the exceptions until `stop` is set."""
        self._informer.run(stop)

    def read(self) -> tuple[ReadException, ...]:
        """Return all exceptions; none until they were listed."""
        return tuple((self._informer.snapshot() or {}).values())

    def count_open(self) -> int:
        """Return how many are in force now."""
        return sum(read.compiled is not None and read.compiled.in_force(self._clock) for read in self.read())

    def _read(self, item: dict[str, Any], before: ReadException | None) -> ReadException:
        return read_exception(item, before, self._longest, self._clock)


def index_of(exceptions: Iterable[ReadException], clock: Clock) -> ExceptionIndex:
    """Return the exceptions that can be read, by namespace.

    Those that have ended are left out: they are kept in the cluster until they are deleted, and would cost each review
    more and more.
    """
    return ExceptionIndex(
        read.compiled for read in exceptions if read.compiled is not None and not read.compiled.has_ended(clock)
    )


def read_exception(
    item: dict[str, Any], before: ReadException | None, longest: timedelta, clock: Clock
) -> ReadException:
    """Return an exception, compiled.

    Args:
        item: the object as the API server sent it.
        before: the exception before a change; returned again if nothing has changed that counts. None if there was
            none.
        longest: how long an exception may last.
        clock: the time.
    """
    metadata = item["metadata"]
    name, uid = metadata["name"], metadata.get("uid") or ""
    if metadata.get("deletionTimestamp") is not None:
        # A finalizer, which its author may write, must not keep in force what was deleted.
        return ReadException(name, uid, None, None)
    before = before if before is not None and before.uid == uid else None
    try:
        check_size(item)
        exception = VerificationException.model_validate(item)
        if before is not None and before.object == exception:
            return before
        created = datetime.fromisoformat(metadata["creationTimestamp"]).astimezone(UTC)
        compiled = compile_exception(exception, created, longest, clock)
    except Exception as error:  # noqa: BLE001 - after any error, the exception must lift nothing
        return ReadException(name, uid, None, None, explain_unreadable(error))
    if before is not None and before.compiled is not None:
        compiled = replace(compiled, ends=min(compiled.ends, before.compiled.ends))
    return ReadException(name, uid, exception, compiled)
