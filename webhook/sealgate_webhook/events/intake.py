"""What becomes of a body of events: pushes that a policy covers are stored as SigningRequests, others are counted.

A registry sends events one at a time, in order, and sends one that was not accepted until it is. So an event of a
repository that has its share of the waiting requests already is accepted and left to the next resync, which finds what
was pushed; refused, it would hold back the events of all other repositories of its registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.errors import DeadlineError, RateLimitedError, UnavailableError
from sealgate.messages import quote
from sealgate.parsing.strict_json import MalformedError, TooLargeError
from sealgate_webhook.events.answers import AnsweredError
from sealgate_webhook.events.bodies.reading import read_body
from sealgate_webhook.events.confirmations import RefusedConfirmationError, is_confirmation
from sealgate_webhook.events.pushes import Ignored
from sealgate_webhook.events.requests import ShareExceededError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger
    from werkzeug.datastructures import Headers

    from sealgate.clocks import Clock
    from sealgate_webhook.events.bodies.reading import ReadBody
    from sealgate_webhook.events.config import SourceSettings
    from sealgate_webhook.events.confirmations import Confirmations
    from sealgate_webhook.events.metrics import EventMetrics
    from sealgate_webhook.events.policies import SigningPolicies
    from sealgate_webhook.events.pushes import Push
    from sealgate_webhook.events.requests import SigningRequests

#: Default of the seconds that the API server has for all pushes of a body. Registries give up after half a second.
STORE_SECONDS: Final = 0.4
#: The most dropped events of one body that are in the log, each in a line.
MAX_LOGGED: Final = 5
#: Seconds after which an event that could not be stored may be sent again.
_RETRY_SECONDS: Final = 1.0


class Intake:
    """Takes bodies of events from authenticated sources. Thread-safe.

    Args:
        policies: the signing policies.
        requests: the SigningRequests.
        confirmations: confirms subscriptions of Oracle Notifications.
        clock: measures deadlines.
        metrics: counts pushes and dropped events.
        log: gets a line for every accepted push, and for what is wrong with dropped events.
        store_seconds: what the API server has for all pushes of a body.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what events are handed to
        self,
        policies: SigningPolicies,
        requests: SigningRequests,
        confirmations: Confirmations,
        clock: Clock,
        metrics: EventMetrics,
        log: FilteringBoundLogger,
        *,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._store_seconds = store_seconds
        self._policies = policies
        self._requests = requests
        self._confirmations = confirmations
        self._clock = clock
        self._metrics = metrics
        self._log = log

    def problem(self) -> str:
        """Return why no events can be taken; empty if they can."""
        if not self._policies.complete:
            return "the signing policies have not been read from the API server yet"
        if not self._requests.complete:
            return "the signing requests have not been read from the API server yet"
        return ""

    def take(self, source: SourceSettings, headers: Headers, body: bytes) -> str:
        """Take a body, and return what became of it, for the source.

        Args:
            source: where it comes from.
            headers: of the request, by case-insensitive name.
            body: as received.

        Raises:
            AnsweredError: it cannot be read (400, 413), or must be sent again (503).
        """
        if source.kind == "oci" and is_confirmation(headers):
            return self._confirm(source, headers, body)
        read = _read(source, body)
        try:
            covering = self._store(source, read)
        except RateLimitedError as error:
            raise AnsweredError(503, error.message, retry_after=error.retry_after) from error
        except DeadlineError as error:
            message = "the API server did not store every request in time; send the event again"
            raise AnsweredError(503, message, retry_after=_RETRY_SECONDS) from error
        except UnavailableError as error:
            raise AnsweredError(503, error.message, retry_after=_RETRY_SECONDS) from error
        # Only now: what is sent again is not counted twice.
        for _ in range(covering.count(0)):
            self._metrics.ignored(source.name, Ignored.NOT_COVERED)
        self._report_left(source, covering.count(None))
        self._report_ignored(source, read)
        counts = [count for count in covering if count is not None]
        ignored = len(read.ignored) + counts.count(0)
        left = len(covering) - len(counts)
        return f"accepted {sum(counts)}, ignored {ignored}" + (f", left to the next resync {left}" if left else "")

    def _store(self, source: SourceSettings, read: ReadBody) -> list[int | None]:
        """Store the requests for all pushes of a body.

        Returns:
            For each push, how many policies cover it; None if it is left to the next resync.
        """
        deadline = Deadline.after(self._clock, self._store_seconds)
        problem = self.problem()
        if problem:
            raise UnavailableError(problem)
        return [self._store_push(source, push, deadline) for push in read.pushes]

    def _store_push(self, source: SourceSettings, push: Push, deadline: Deadline) -> int | None:
        """Store the requests for a push; see `_store`."""
        policies = self._policies.covering(push)
        for policy in policies:
            try:
                new = self._requests.accept(push, policy, source.name, deadline)
            except ShareExceededError:
                return None
            self._metrics.accepted(source.name, new=new)
            if new:
                self._log.info(
                    "push accepted",
                    policy=policy.name,
                    repository=quote(push.repository),
                    tag=quote(push.tag),
                    digest=push.digest,
                    source=source.name,
                )
        return len(policies)

    def _report_left(self, source: SourceSettings, count: int) -> None:
        for _ in range(count):
            self._metrics.ignored(source.name, Ignored.LEFT_TO_RESYNC)
        if count:
            self._log.warning(
                "pushes left to the next resync; their repository has its share of the waiting requests",
                source=source.name,
                events=count,
            )

    def _report_ignored(self, source: SourceSettings, read: ReadBody) -> None:
        for event in read.ignored:
            self._metrics.ignored(source.name, event.reason)
        wrong = [event for event in read.ignored if event.problem]
        for event in wrong[:MAX_LOGGED]:
            self._log.warning("event dropped", source=source.name, reason=event.reason.value, problem=event.problem)
        if len(wrong) > MAX_LOGGED:
            self._log.warning("further events of the same body dropped", source=source.name, events=len(wrong))

    def _confirm(self, source: SourceSettings, headers: Headers, body: bytes) -> str:
        try:
            self._confirmations.confirm(source.topic, headers, body)
        except RefusedConfirmationError as error:
            raise AnsweredError(400, error.message) from error
        except UnavailableError as error:
            raise AnsweredError(503, error.message, retry_after=_RETRY_SECONDS) from error
        self._log.info("subscription confirmed", source=source.name, topic=source.topic)
        return "confirmed"


def _read(source: SourceSettings, body: bytes) -> ReadBody:
    try:
        return read_body(source.kind, body, source.registry)
    except TooLargeError as error:
        raise AnsweredError(413, str(error)) from error
    except MalformedError as error:
        raise AnsweredError(400, str(error)) from error
