"""Watches whether the API server asks the webhook as the chart wants, and says so on every policy.

Each replica compares each observation of the webhook configurations (`observer`) with what the chart wants
(`tampering`), asks whether the webhook has an endpoint and whether the policies' kinds are still there, and that of
exceptions once it has been there. The metrics say so at once, in every replica; the leader writes an Event about the
configuration for each new problem, and the condition `Enforced` on every policy. Nothing is repaired here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from sealgate.release.enforcement import EXCEPTIONS, KINDS, find_enforcement_problems, has_kind
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.status.verification_policies import ENFORCED
from sealgate_operator.webhooks.settling import SettlingCondition

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.errors import UnavailableError
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.release.tampering import Problem
    from sealgate.release.webhooks import Observation
    from sealgate_operator.events import Events
    from sealgate_operator.metrics import Metrics

#: Seconds after the start within which a problem is no Event unless all was well before: an installation begins so.
GRACE_SECONDS: Final = 60.0
#: The most problems that the condition spells out.
_MAX_PROBLEMS: Final = 5
_IN_PLACE: Final = ConditionUpdate(
    ENFORCED, True, "WebhookInPlace", "the API server asks the webhook about every object that the chart's rules name"
)


class Guard:
    """Says whether the API server asks the webhook, in one thread; `condition` may be called in any.

    Args:
        api: the API server.
        namespace: sealgate's own.
        leads: returns whether this replica writes Events.
        events: gets an Event for each new problem.
        on_change: called when the condition has changed.
        metrics: shows what is wrong.
        clock: measures how long something is so.
        log: gets a line for every change.
    """

    def __init__(  # noqa: PLR0913 - what it asks, and where it says so
        self,
        api: KubernetesAPI,
        namespace: str,
        *,
        leads: Callable[[], bool],
        events: Events,
        on_change: Callable[[], None],
        metrics: Metrics,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._leads = leads
        self._events = events
        self._on_change = on_change
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._condition = SettlingCondition()
        self._before: frozenset[tuple[str, str]] = frozenset()
        self._reported: frozenset[tuple[str, str]] = frozenset()
        self._had_exceptions = False
        self._quiet_until = clock.monotonic() + GRACE_SECONDS

    def condition(self) -> ConditionUpdate | None:
        """Return what the condition should say; None until that is known."""
        with self._lock:
            return self._condition.current

    def failed(self, error: UnavailableError) -> None:
        """Report that the API server could not be asked; say so in the condition only if that lasts.

        Args:
            error: says why.
        """
        self._metrics.failed("guard")
        self._settle(ConditionUpdate(ENFORCED, None, "NotKnown", f"cannot be found out: {error.message}"))

    def take(self, observation: Observation) -> None:
        """Report what has changed since the last observation.

        Args:
            observation: of now.

        Raises:
            UnavailableError: the API server could not be asked for the rest.
        """
        # An older chart's CRDs lack the kind of exceptions, which is no tampering; its removal is.
        self._had_exceptions = self._had_exceptions or has_kind(self._api, EXCEPTIONS)
        kinds = (*KINDS, EXCEPTIONS) if self._had_exceptions else KINDS
        problems = list(find_enforcement_problems(self._api, self._namespace, observation, kinds))
        self._metrics.enforcement({problem.kind for problem, _ in problems})
        self._report(problems)
        self._settle(_condition_of([problem for problem, _ in problems]))

    def _settle(self, update: ConditionUpdate) -> None:
        with self._lock:
            changed = self._condition.observe(update, self._clock.monotonic())
        if changed:
            if update.holds is True:
                self._log.info("enforcement in place")
            else:
                self._log.warning("enforcement not in place", reason=update.reason, message=update.message)
            self._on_change()

    # Events -------------------------------------------------------------------------------------------------------

    def _report(self, problems: list[tuple[Problem, dict[str, Any]]]) -> None:
        """Write an Event for each new problem, in the leader; for one that is repaired, if it is there twice."""
        now = frozenset((problem.kind, problem.configuration) for problem, _ in problems)
        if not now:
            self._quiet_until = float("-inf")
        quiet = self._clock.monotonic() < self._quiet_until
        for problem, obj in problems:
            identity = (problem.kind, problem.configuration)
            if quiet or identity in self._reported or (problem.repaired and identity not in self._before):
                continue
            self._reported |= {identity}
            if self._leads():
                self._log.warning("guard altered", problem=problem.kind, message=problem.message)
                self._events.warn(obj, ConditionUpdate(ENFORCED, False, problem.kind, problem.message))
        self._before = now
        self._reported &= now


def _condition_of(problems: list[Problem]) -> ConditionUpdate:
    if not problems:
        return _IN_PLACE
    messages = [problem.message for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        messages.append(f"and {len(problems) - _MAX_PROBLEMS} more")
    waits = all(problem.repaired for problem in problems)
    return ConditionUpdate(ENFORCED, False, problems[0].kind, "; ".join(messages), stalled=not waits)
