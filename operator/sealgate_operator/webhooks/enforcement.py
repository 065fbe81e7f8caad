"""Applies `rules` to the release's webhook configurations, once the API server has got an answer from the webhook.

A webhook without rules matches nothing, so until then no pod is refused: an install that fails leaves a cluster that
admits pods. The proof is the self-test (`sealgate.self_test`), through the API server itself and the same connection
(address and CA bundle) that the configurations use.

Applied rules stay when the webhook or the operator fails; they are never removed here. Rules that
another client removes or changes are applied again after another self-test, and that is reported. Only the replica that
leads writes; every replica observes, and is ready once it has seen the rules on every configuration.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sealgate.release.self_test import run_self_test
from sealgate.release.tampering import comparable_rules
from sealgate.release.webhooks import observe, webhook_of
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.webhooks.configurations import apply_fields, was_taken_away

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.errors import UnavailableError
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Lease
    from sealgate.release.webhooks import Observation, WebhookConfiguration
    from sealgate_operator.config import OperatorConfig
    from sealgate_operator.events import Events
    from sealgate_operator.metrics import Metrics

#: The field manager that owns the rules.
MANAGER = "sealgate-operator-rules"


class Enforcement:
    """Reconciles the rules of the webhook configurations, in one thread; `problem` may be called in any.

    Args:
        api: the API server.
        config: name of the ConfigMap that lists the configurations.
        namespace: sealgate's own.
        lease: says whether this replica leads.
        events: gets an Event for rules that another client has changed.
        metrics: counts reconciliations, and rules that another client has changed.
        log: gets a line for every change.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        config: OperatorConfig,
        namespace: str,
        lease: Lease,
        events: Events,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._config_map = config.webhooks
        self._namespace = namespace
        self._lease = lease
        self._events = events
        self._metrics = metrics
        self._log = log
        self._seen = threading.Event()
        self._problem = "the webhook configurations were not read yet"

    def problem(self) -> str:
        """Return why this replica is not ready; empty once it has seen the rules on every configuration."""
        return "" if self._seen.is_set() else self._problem

    def failed(self, error: UnavailableError) -> None:
        """Report that there was no observation, or that it could not be reconciled.

        Args:
            error: says why.
        """
        self._metrics.failed("rules")
        self._note(error.message)

    def take(self, observation: Observation) -> None:
        """Compare the rules with what the release wants, and apply what differs.

        Args:
            observation: of now.

        Raises:
            UnavailableError: the API server could not be asked, or cannot call the webhook.
        """
        differing = _differing(observation)
        if differing and self._lease.leads():
            run_self_test(self._api, self._namespace, observation.release.self_test.webhook)
            # The self-test takes time, in which another client may have changed them.
            observation = observe(self._api, self._namespace, self._config_map)
            self._apply(observation, _differing(observation))
            differing = _differing(observe(self._api, self._namespace, self._config_map))
        if differing:
            self._note(f"rules are not in place on {', '.join(one.name for one in differing)}")
            return
        self._metrics.worked("rules")
        self._problem = ""
        if not self._seen.is_set():
            self._log.info("the API server sends workloads to the webhook; images are verified")
            self._seen.set()

    def _apply(self, observation: Observation, differing: list[WebhookConfiguration]) -> None:
        tested = observation.webhook_of(observation.release.self_test)
        # Pods are admitted only with digests, so what writes them comes first: mutating before validating.
        for one in sorted(differing, key=lambda one: one.kind):
            found = observation.object_of(one)
            if tested is None or found is None:
                continue
            # The self-test says nothing about another address or CA bundle.
            if _connection(webhook_of(one, found)) != _connection(tested):
                continue
            self._lease.check()
            apply_fields(self._api, one, found, {"rules": one.rules}, MANAGER)
            if was_taken_away(one, found, MANAGER, "rules"):
                self._report(one, found)
            else:
                self._log.info("rules applied", configuration=one.name)

    def _report(self, one: WebhookConfiguration, found: Mapping[str, Any]) -> None:
        """Report rules that another client has removed or changed."""
        self._metrics.rules_restored()
        self._log.warning("rules were changed by another client; applied again", configuration=one.name)
        message = (
            "The rules of this webhook were changed by another client and are applied again. In between images may not "
            "have been verified: the API server's audit log says who it was. Do not use kubectl replace on this object."
        )
        self._events.warn(found, ConditionUpdate("Enforcing", holds=False, reason="RulesChanged", message=message))

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            self._log.warning("webhook rules not in place; will retry", problem=problem)
        self._problem = problem


def _differing(observation: Observation) -> list[WebhookConfiguration]:
    """Return the configurations that are not there, or have other rules."""
    return [
        one
        for one in observation.release.configurations
        if (webhook := observation.webhook_of(one)) is None
        or comparable_rules(webhook.get("rules")) != comparable_rules(one.rules)
    ]


def _connection(webhook: Mapping[str, Any]) -> tuple[object, ...]:
    """Return how the API server reaches a webhook, without the path."""
    client = webhook["clientConfig"]
    service = client.get("service") or {}
    host = (client.get("url") or "").rpartition("/")[0]
    return host, service.get("namespace"), service.get("name"), service.get("port"), client.get("caBundle") or ""
