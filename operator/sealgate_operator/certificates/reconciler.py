"""Reconciles the webhook's certificates: reads Secrets and configurations and writes the next step until none is left.

Every step is one write with the version of the object that it was computed from, so that neither a crash between two
steps nor a second writer leaves a state that the next reconciliation does not repair. A `caBundle` that another client
emptied (`helm upgrade --force-replace`, a GitOps tool) is restored by the next reconciliation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.errors import UnavailableError
from sealgate.kubernetes.secrets import decode, encode, secret_data, write_secret_data
from sealgate.release.webhooks import read_configuration, read_release, webhook_of
from sealgate_operator.certificates.rotation import (
    CURRENT,
    LEAF,
    ApplyCABundle,
    Rules,
    WriteCASecret,
    expiry,
    next_step,
    service_names,
)
from sealgate_operator.status.conditions import ConditionUpdate
from sealgate_operator.webhooks.configurations import apply_fields, was_taken_away

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate.release.webhooks import WebhookConfiguration
    from sealgate_operator.certificates.rotation import Step
    from sealgate_operator.config import OperatorConfig
    from sealgate_operator.events import Events
    from sealgate_operator.metrics import Metrics

#: The field manager that owns `caBundle`.
MANAGER = "sealgate-operator-certificates"
#: Seconds between two reconciliations, at most.
RESYNC_SECONDS = 3.0
#: Steps of one reconciliation after which it counts as not converging.
_MAX_STEPS = 16


class CertificateReconciler:
    """Reconciles the certificates of one webhook.

    Args:
        api: the API server.
        config: names of Secrets and configurations, lifetimes.
        namespace: the operator's namespace.
        clock: source of the time.
        fence: whether this replica may still write.
        events: gets an Event for a `caBundle` that another client has changed.
        metrics: gets the expiry of certificates, and counts reconciliations.
        log: gets a line for every step and failure.
    """

    def __init__(  # noqa: PLR0913 - what it is assembled from
        self,
        api: KubernetesAPI,
        config: OperatorConfig,
        namespace: str,
        *,
        clock: Clock,
        fence: Fence,
        events: Events,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._clock = clock
        self._fence = fence
        self._events = events
        self._metrics = metrics
        self._log = log
        secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self._ca_secret = f"{secrets}/{config.ca_secret}"
        self._tls_secret = f"{secrets}/{config.tls_secret}"
        self._namespace = namespace
        self._config_map = config.webhooks
        self._rules = Rules(
            service_names(config.webhook_service.name, namespace),
            config.certificates.ca_lifetime,
            config.certificates.leaf_lifetime,
        )

    @property
    def pause(self) -> float:
        """Seconds between two reconciliations."""
        return min(RESYNC_SECONDS, self._rules.settling.total_seconds() / 5)

    def run(self, stop: threading.Event) -> None:
        """Reconcile periodically until `stop` is set."""
        while not stop.is_set():
            try:
                self.reconcile()
            except UnavailableError as error:
                self._metrics.failed("certificates")
                self._log.warning("certificate reconcile failed; will retry", error=error.message)
            stop.wait(self.pause)

    def reconcile(self) -> None:
        """Take all steps that are due now.

        Raises:
            UnavailableError: an object could not be read or written; the next reconciliation continues.
        """
        for _ in range(_MAX_STEPS):
            ca_data, leaf = self._api.get(self._ca_secret), self._api.get(self._tls_secret)
            configurations = self._read_configurations()
            if configurations is None:
                return
            published = [_bundle_of(one, found) for one, found in configurations]
            data, served = secret_data(ca_data), secret_data(leaf)
            self._metrics.certificates(expiry(data, CURRENT), expiry(served, LEAF))
            step = next_step(data, served, published, self._rules, self._clock.now())
            if step is None:
                self._metrics.worked("certificates")
                return
            self._fence.check()
            self._take(step, ca_data, leaf, configurations)
            self._log.info("certificates updated", step=step.why)
        raise UnavailableError(
            "certificate reconciliation does not converge; another writer keeps changing the Secrets or caBundle"
        )

    def _take(
        self,
        step: Step,
        ca_data: Mapping[str, Any],
        leaf: Mapping[str, Any],
        configurations: list[tuple[WebhookConfiguration, dict[str, Any]]],
    ) -> None:
        if isinstance(step, ApplyCABundle):
            fields = {"clientConfig": {"caBundle": encode(step.bundle)}}
            for one, found in configurations:
                if _bundle_of(one, found) != step.bundle:
                    apply_fields(self._api, one, found, fields, MANAGER)
                    if was_taken_away(one, found, MANAGER, "clientConfig"):
                        self._report(one, found)
        elif isinstance(step, WriteCASecret):
            write_secret_data(self._api, self._ca_secret, ca_data, step.data)
        else:
            write_secret_data(self._api, self._tls_secret, leaf, step.data)

    def _report(self, one: WebhookConfiguration, found: Mapping[str, Any]) -> None:
        """Report a bundle that another client has removed or changed."""
        self._metrics.ca_bundle_restored()
        self._log.warning("caBundle was changed by another client; applied again", configuration=one.name)
        message = (
            "The caBundle of this webhook was changed by another client and is applied again. In between the API "
            "server could not call the webhook, or called one with another certificate: its audit log has the client."
        )
        self._events.warn(found, ConditionUpdate("Enforced", holds=False, reason="CABundleChanged", message=message))

    def _read_configurations(self) -> list[tuple[WebhookConfiguration, dict[str, Any]]] | None:
        """Return the configurations that exist; None if the release does not have the operator issue certificates."""
        release = read_release(self._api, self._namespace, self._config_map)
        if not release.managed_certificates:
            return None
        configurations = []
        for one in (release.self_test, *release.configurations):
            found = read_configuration(self._api, one)
            if found is None:
                # Between the deletion and the creation of `--force-replace`, or while sealgate is uninstalled.
                self._log.warning("webhook configuration not found", configuration=one.name)
                continue
            configurations.append((one, found))
        return configurations


def _bundle_of(configuration: WebhookConfiguration, found: Mapping[str, Any]) -> bytes:
    return decode(webhook_of(configuration, found)["clientConfig"].get("caBundle") or "")
