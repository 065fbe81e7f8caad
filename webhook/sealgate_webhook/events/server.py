"""The endpoint's process: settings, certificates, background tasks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealgate.clocks import SystemClock
from sealgate.http.services import ServiceClient
from sealgate.process.logs import configure_logs
from sealgate_webhook.events.app import EventsApp
from sealgate_webhook.events.authentication import SourceSecrets
from sealgate_webhook.events.confirmations import Confirmations
from sealgate_webhook.events.intake import Intake
from sealgate_webhook.events.metrics import EventMetrics
from sealgate_webhook.events.policies import SigningPolicies
from sealgate_webhook.events.requests import SigningRequests
from sealgate_webhook.transport.addresses import Address
from sealgate_webhook.transport.client_certificates import ClientTrustFiles
from sealgate_webhook.transport.process import ProcessSettings, ServerProcess
from sealgate_webhook.transport.request_pool import RequestPool
from sealgate_webhook.transport.tls import CertificateFiles
from sealgate_webhook.transport.wsgi_bridge import WSGIBridge

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.process.serving.asgi import ASGIApplication
    from sealgate.process.serving.limits import Crowding
    from sealgate_webhook.events.config import EventsConfig

#: Requests in progress at once: those of the sources (`app.MAX_AT_ONCE`), and others that are refused or probes.
THREADS: Final = 64
CONNECTIONS: Final = 2000
KEEP_ALIVE_SECONDS: Final = 120
#: The most seconds that requests in flight have after SIGTERM; none takes longer than reading its body.
DRAIN_SECONDS: Final = 10


def run_endpoint(config: EventsConfig, api: KubernetesAPI, namespace: str) -> None:
    """Serve until SIGTERM or SIGINT. Does not return: it raises `SystemExit`, with 0 after such a signal.

    Args:
        config: the settings file.
        api: the API server.
        namespace: the release's own, where requests are stored.

    Raises:
        ConfigError: a Secret, a certificate or an address cannot be used.
    """
    log = configure_logs("json", level=logging.getLevelNamesMapping()[config.log_level.upper()])
    _EventsServer(config, api, namespace, log).run()


class _EventsServer(ServerProcess):
    """The endpoint's process."""

    def __init__(self, config: EventsConfig, api: KubernetesAPI, namespace: str, log: FilteringBoundLogger) -> None:
        self._config = config
        self._clock = SystemClock()
        self._metrics = EventMetrics()
        self._secrets = SourceSecrets(config.sources, log)
        self._policies = SigningPolicies(api, self._clock, self._metrics, log)
        self._requests = SigningRequests(api, namespace, config.max_waiting, self._clock, log)
        self._metrics.count_waiting(self._requests.waiting)
        process = ProcessSettings(
            Address.parse(config.listen),
            Address.parse(config.metrics_listen),
            CONNECTIONS,
            KEEP_ALIVE_SECONDS,
            DRAIN_SECONDS,
            "events served",
        )
        super().__init__(process, self._open_certificates(log), self._metrics.registry, log)

    def application(self) -> ASGIApplication:
        """Assemble the application; called in the worker."""
        confirmations = Confirmations(ServiceClient(clock=self._clock).http, self._clock)
        intake = Intake(self._policies, self._requests, confirmations, self._clock, self._metrics, self._log)
        needs_certificate = bool(self._config.client_ca)
        app = EventsApp(
            self._secrets, intake, self._clock, self._metrics, self._log, needs_certificate=needs_certificate
        )
        return WSGIBridge(app.flask(), RequestPool(THREADS))

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return what follows policies, requests and Secrets."""
        return (self._policies.run, self._requests.run, self._secrets.keep_current)

    def task_failed(self) -> None:
        """Count it as an internal error."""
        self._metrics.internal_error()

    def crowded(self, of: Crowding) -> None:
        """Count it by what had run out."""
        self._metrics.connection_closed(of)

    def _open_certificates(self, log: FilteringBoundLogger) -> CertificateFiles | None:
        tls = self._config.tls
        if tls is None:
            return None

        def refused(problem: str) -> None:
            self._metrics.certificate_refused()
            log.error("certificate invalid; keeping the last valid one", error=problem)

        folder, client_ca = Path(tls.directory), self._config.client_ca
        clients = ClientTrustFiles(Path(client_ca), None, refused) if client_ca else None
        return CertificateFiles(folder / "tls.crt", folder / "tls.key", refused, clients)
