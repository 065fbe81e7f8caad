"""Watches whether the API server asks the webhook as the chart wants, and says so on every policy.

Every two seconds each replica compares the webhook configurations with what the chart wants (`tampering`), asks
whether the webhook has an endpoint and whether the policies' kinds are still there. The metrics say so at once, in
every replica; the leader writes an Event about the configuration for each new problem, and the condition `Enforced`
on every policy. Nothing is repaired here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.endpoint_slices import slices_of
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.status.verification_policies import ENFORCED
from sealgate_operator.webhooks.configurations import API_VERSION, read_configuration, read_release, webhook_of
from sealgate_operator.webhooks.settling import SettlingCondition
from sealgate_operator.webhooks.tampering import Problem, find_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.config import OperatorConfig
    from sealgate_operator.events import Events
    from sealgate_operator.metrics import Metrics
    from sealgate_operator.webhooks.configurations import ReleaseWebhooks, WebhookConfiguration

#: Seconds between two observations.
PERIOD: Final = 2.0
#: Seconds after the start within which a problem is no Event unless all was well before: an installation begins so.
GRACE_SECONDS: Final = 60.0
#: The most problems that the condition spells out.
_MAX_PROBLEMS: Final = 5
_IN_PLACE: Final = ConditionUpdate(
    ENFORCED, True, "WebhookInPlace", "the API server asks the webhook about every object that the chart's rules name"
)
_KINDS: Final = ("authenticators", "verificationpolicies")


class Guard:
    """Observes enforcement; thread-safe.

    Args:
        api: the API server.
        config: name of the ConfigMap that lists the configurations.
        namespace: sealgate's own.
        leads: returns whether this replica writes Events.
        events: gets an Event for each new problem.
        on_change: called when the condition has changed.
        metrics: shows what is wrong.
        clock: measures how long something is so.
        log: gets a line for every change.
    """

    def __init__(  # noqa: PLR0913 - what it observes, and where it says so
        self,
        api: KubernetesAPI,
        config: OperatorConfig,
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
        self._config_map = config.webhooks
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
        self._quiet_until = clock.monotonic() + GRACE_SECONDS

    def condition(self) -> ConditionUpdate | None:
        """Return what the condition should say; None until that is known."""
        with self._lock:
            return self._condition.current

    def run(self, stop: threading.Event) -> None:
        """Observe periodically until `stop` is set."""
        while not stop.is_set():
            self.observe()
            stop.wait(PERIOD)

    def observe(self) -> None:
        """Observe once, and report what has changed."""
        try:
            problems = self._find()
        except UnavailableError as error:
            self._metrics.failed("guard")
            self._settle(ConditionUpdate(ENFORCED, None, "NotKnown", f"cannot be found out: {error.message}"))
            return
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

    # What is wrong ------------------------------------------------------------------------------------------------

    def _find(self) -> list[tuple[Problem, dict[str, Any]]]:
        """Return every problem, with the object that an Event about it names.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        release = read_release(self._api, self._namespace, self._config_map)
        return [*self._kinds_missing(release), *self._configurations(release), *self._without_endpoint(release)]

    def _configurations(self, release: ReleaseWebhooks) -> Iterator[tuple[Problem, dict[str, Any]]]:
        tested = read_configuration(self._api, release.self_test)
        bundle = "" if tested is None else webhook_of(release.self_test, tested)["clientConfig"].get("caBundle") or ""
        for one in (release.self_test, *release.configurations):
            found = tested if one is release.self_test else read_configuration(self._api, one)
            for problem in find_problems(one, found, bundle):
                yield problem, found or _stub(one)

    def _kinds_missing(self, release: ReleaseWebhooks) -> Iterator[tuple[Problem, dict[str, Any]]]:
        for plural in _KINDS:
            try:
                self._api.get(f"/apis/sealgate.dev/v1alpha1/{plural}", {"limit": 1})
            except NotFoundError:
                message = (
                    f"the CustomResourceDefinition {plural}.sealgate.dev was removed, and with it every object: apply "
                    "the chart's crds, then your policies"
                )
                yield Problem("CRDMissing", "", message), _stub(release.configurations[0])

    def _without_endpoint(self, release: ReleaseWebhooks) -> Iterator[tuple[Problem, dict[str, Any]]]:
        one = release.configurations[0]
        service = ((one.expected or {}).get("clientConfig") or {}).get("service")
        if service and not any(map(_is_ready, slices_of(self._api, self._namespace, service["name"]))):
            message = (
                f"the Service {service['name']} has no endpoint: see the webhook's pods, "
                f"kubectl -n {self._namespace} get pods"
            )
            yield Problem("NoEndpoint", "", message, repaired=True), _stub(one)

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


def _stub(one: WebhookConfiguration) -> dict[str, Any]:
    """Return what an Event needs of a configuration that is not there, or that was not read."""
    return {"apiVersion": API_VERSION, "kind": one.kind, "metadata": {"name": one.name}}


def _is_ready(endpoint_slice: Mapping[str, Any]) -> bool:
    endpoints = endpoint_slice.get("endpoints") or ()
    # A condition that is not there means ready.
    return any(one.get("addresses") and (one.get("conditions") or {}).get("ready") is not False for one in endpoints)
