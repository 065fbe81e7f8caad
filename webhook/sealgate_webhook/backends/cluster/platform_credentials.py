"""The platform's identity of this process, as credentials for the registries that the settings list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sealgate.http.services import ServiceClient

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.registry.credentials import CredentialProvider
    from sealgate_webhook.backends.cluster.config import Registries
    from sealgate_webhook.backends.cluster.pull_secrets import Warnings


class PullCredentialMetrics(Protocol):
    """Counts requests for pull credentials, and the HTTP requests that they consist of."""

    def pull_credentials(self, provider: str, result: str) -> None:
        """Count a request for pull credentials; the result is "issued" or "failed"."""

    def request(self, host: str, outcome: str) -> None:
        """Count an HTTP request; see `sealgate.http.client.RequestObserver`."""


class _Observer:
    """Counts requests for pull credentials, and logs those that fail; the pauses between these bound the lines."""

    def __init__(self, metrics: PullCredentialMetrics, log: Warnings) -> None:
        self._metrics = metrics
        self._log = log

    def pull_credentials(self, provider: str, problem: str | None) -> None:
        self._metrics.pull_credentials(provider, "issued" if problem is None else "failed")
        if problem is not None:
            self._log.warning("pull credentials could not be obtained; will retry", provider=provider, error=problem)


def platform_credentials(
    registries: Registries, clock: Clock, metrics: PullCredentialMetrics, log: Warnings
) -> CredentialProvider | None:
    """Return the platform's identity as credentials; None if the settings list no registries for it.

    Args:
        registries: how registries are reached.
        clock: the time.
        metrics: counts requests.
        log: gets a line for every request that fails.

    Raises:
        ConfigError: an entry of the settings cannot be used.
    """
    if not registries.platform_credentials:
        return None
    # Imported here, because it takes memory that an installation without these credentials does not need.
    from sealgate.pull_credentials.opening import open_provider

    services = ServiceClient(registries.settings(), clock=clock, observer=metrics)
    return open_provider(registries.platform_credentials, services, clock, _Observer(metrics, log))
