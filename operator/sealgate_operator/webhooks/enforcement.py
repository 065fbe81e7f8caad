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

from sealgate.errors import UnavailableError
from sealgate.release.self_test import run_self_test
from sealgate.release.tampering import comparable_rules
from sealgate.release.webhooks import read_configuration, read_release, webhook_of
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.webhooks.configurations import apply_fields, was_taken_away

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Lease
    from sealgate.release.webhooks import ReleaseWebhooks, WebhookConfiguration
    from sealgate_operator.config import OperatorConfig
    from sealgate_operator.events import Events
    from sealgate_operator.metrics import Metrics

#: The field manager that owns the rules.
MANAGER = "sealgate-operator-rules"
#: Seconds between two reconciliations.
PERIOD = 2.0


class Enforcement:
    """Reconciles the rules of the webhook configurations.

    Args:
        api: the API server.
        config: name of the ConfigMap that lists the configurations.
        namespace: sealgate's own.
        lease: says whether this replica leads.
        events: gets an Event for rules that another client has changed.
        metrics: shows whether the rules are in place.
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

    def run(self, stop: threading.Event) -> None:
        """Reconcile periodically until `stop` is set."""
        while not stop.is_set():
            try:
                self.reconcile()
            except UnavailableError as error:
                self._metrics.failed("rules")
                self._note(error.message)
            stop.wait(PERIOD)

    def reconcile(self) -> None:
        """Compare the rules with what the release wants, and apply what differs.

        Raises:
            UnavailableError: the API server could not be asked, or cannot call the webhook.
        """
        release = read_release(self._api, self._namespace, self._config_map)
        differing = self._differing(release)
        # Before the self-test, which may fail.
        self._metrics.enforcing(enforcing=not differing)
        if differing and self._lease.leads():
            run_self_test(self._api, self._namespace, release.self_test.webhook)
            self._apply(release, differing)
            differing = self._differing(release)
            self._metrics.enforcing(enforcing=not differing)
        if differing:
            self._note(f"rules are not in place on {', '.join(one.name for one in differing)}")
            return
        self._metrics.worked("rules")
        self._problem = ""
        if not self._seen.is_set():
            self._log.info("the API server sends workloads to the webhook; images are verified")
            self._seen.set()

    def _differing(self, release: ReleaseWebhooks) -> list[WebhookConfiguration]:
        """Return the configurations that are not there, or have other rules."""
        differing = []
        for one in release.configurations:
            found = read_configuration(self._api, one)
            if found is None or comparable_rules(webhook_of(one, found).get("rules")) != comparable_rules(one.rules):
                differing.append(one)
        return differing

    def _apply(self, release: ReleaseWebhooks, differing: list[WebhookConfiguration]) -> None:
        tested = read_configuration(self._api, release.self_test)
        # Pods are admitted only with digests, so what writes them comes first: mutating before validating.
        for one in sorted(differing, key=lambda one: one.kind):
            found = read_configuration(self._api, one)
            if tested is None or found is None:
                continue
            webhook = webhook_of(one, found)
            # The self-test says nothing about another address or CA bundle.
            if _connection(webhook) != _connection(webhook_of(release.self_test, tested)):
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


def _connection(webhook: Mapping[str, Any]) -> tuple[object, ...]:
    """Return how the API server reaches a webhook, without the path."""
    client = webhook["clientConfig"]
    service = client.get("service") or {}
    host = (client.get("url") or "").rpartition("/")[0]
    return host, service.get("namespace"), service.get("name"), service.get("port"), client.get("caBundle") or ""
