"""Keeps the webhook's certificates: reads what there is, writes the next step, looks again.

Every step is one write, and every write says which version it was made for, so that neither a crash between two of
them nor a second writer leaves anything that the next look does not put right. A `caBundle` that somebody emptied
(`helm upgrade --force-replace`, a GitOps tool) is back after the next look.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from sealgate.errors import NotFoundError, UnavailableError
from sealgate_operator.certificates import (
    CURRENT,
    LEAF,
    Publish,
    Rules,
    WriteAuthorities,
    expiry,
    next_step,
    service_names,
)
from sealgate_operator.secret_data import decode, secret_data

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.services.kubernetes_api import KubernetesAPI
    from sealgate_operator.certificates import Step
    from sealgate_operator.config import OperatorConfig
    from sealgate_operator.leadership import Fence
    from sealgate_operator.metrics import Metrics

#: Seconds between two looks, at most.
LOOK_SECONDS = 3.0
#: More steps than this at one look are none that lead anywhere.
_MAX_STEPS = 16


class CertificateKeeper:
    """Keeps one webhook's certificates.

    Args:
        api: the API server.
        config: names of Secrets and configurations, lifetimes.
        namespace: sealgate's own.
        clock: what time it is.
        fence: whether this replica may still write.
        metrics: told when certificates end, and of failures.
        log: told of every step.
    """

    def __init__(
        self,
        api: KubernetesAPI,
        config: OperatorConfig,
        namespace: str,
        clock: Clock,
        fence: Fence,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._clock = clock
        self._fence = fence
        self._metrics = metrics
        self._log = log
        secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self._ca_secret = f"{secrets}/{config.ca_secret}"
        self._tls_secret = f"{secrets}/{config.tls_secret}"
        self._configurations = _configuration_paths(config)
        self._rules = Rules(
            service_names(config.webhook_service.name, namespace),
            config.certificates.ca_lifetime,
            config.certificates.leaf_lifetime,
        )

    @property
    def pause(self) -> float:
        """Seconds between two looks."""
        return min(LOOK_SECONDS, self._rules.settling.total_seconds() / 5)

    def run(self, stop: threading.Event) -> None:
        """Look again and again until told to stop."""
        while not stop.is_set():
            try:
                self.look()
            except UnavailableError as error:
                self._metrics.failed("certificates")
                self._log.warning("the certificates are looked at again", error=error.message)
            stop.wait(self.pause)

    def look(self) -> None:
        """Take all steps that can be taken now.

        Raises:
            UnavailableError: something could not be read or written; the next look goes on from there.
        """
        for _ in range(_MAX_STEPS):
            authorities, leaf = self._api.get(self._ca_secret), self._api.get(self._tls_secret)
            configurations = self._read_configurations()
            published = [_bundle_of(hook) for found in configurations.values() for hook in found["webhooks"]]
            data, served = secret_data(authorities), secret_data(leaf)
            self._metrics.certificates(expiry(data, CURRENT), expiry(served, LEAF))
            step = next_step(data, served, published, self._rules, self._clock.now())
            if step is None:
                self._metrics.worked("certificates")
                return
            self._fence.check()
            self._take(step, authorities, leaf, configurations)
            self._log.info("certificates", step=step.why)
        raise UnavailableError("the certificates do not come to rest; somebody else changes them")

    def _take(
        self,
        step: Step,
        authorities: Mapping[str, Any],
        leaf: Mapping[str, Any],
        configurations: Mapping[str, Mapping[str, Any]],
    ) -> None:
        if isinstance(step, Publish):
            for path, found in configurations.items():
                operations = _operations(found, step.bundle)
                if operations:
                    self._api.patch(path, operations)
        elif isinstance(step, WriteAuthorities):
            self._write(self._ca_secret, authorities, step.data)
        else:
            self._write(self._tls_secret, leaf, step.data)

    def _write(self, path: str, found: Mapping[str, Any], data: Mapping[str, bytes | None]) -> None:
        encoded = {name: None if value is None else base64.b64encode(value).decode() for name, value in data.items()}
        version = found["metadata"]["resourceVersion"]
        self._api.merge(path, {"metadata": {"resourceVersion": version}, "data": encoded})

    def _read_configurations(self) -> dict[str, Any]:
        found = {}
        for path in self._configurations:
            try:
                configuration = self._api.get(path)
            except NotFoundError:
                # Between the deletion and the creation of `--force-replace`, or while sealgate is uninstalled.
                self._log.warning("a webhook configuration is not there", configuration=path)
                continue
            found[path] = {**configuration, "webhooks": configuration.get("webhooks") or []}
        return found


def _configuration_paths(config: OperatorConfig) -> tuple[str, ...]:
    group = "/apis/admissionregistration.k8s.io/v1"
    names = config.webhook_configurations
    validating = f"{group}/validatingwebhookconfigurations/{names.validating}"
    mutating = f"{group}/mutatingwebhookconfigurations/{names.mutating}"
    return (validating, mutating) if names.mutating else (validating,)


def _operations(configuration: Mapping[str, Any], bundle: bytes) -> list[dict[str, Any]]:
    """Return a JSON patch that sets the bundle of every webhook, and fails if they are no longer the same ones."""
    encoded = base64.b64encode(bundle).decode()
    operations: list[dict[str, Any]] = []
    for number, hook in enumerate(configuration["webhooks"]):
        if _bundle_of(hook) != bundle:
            place = f"/webhooks/{number}"
            operations.append({"op": "test", "path": f"{place}/name", "value": hook["name"]})
            operations.append({"op": "add", "path": f"{place}/clientConfig/caBundle", "value": encoded})
    return operations


def _bundle_of(hook: Mapping[str, Any]) -> bytes:
    return decode(hook["clientConfig"].get("caBundle") or "")
