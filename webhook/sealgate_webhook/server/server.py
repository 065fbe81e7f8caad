"""Server of the webhook.

One worker process holds the caches, single flights and budgets, so that there is one of each; several replicas are
several pods. The parent process reads the policies, so that an error in them is reported at once.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError
from sealgate.http.settings import HostSettings
from sealgate.messages import quote
from sealgate.process.logs import configure_logs
from sealgate.registry.client import RegistryClient
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier
from sealgate.workloads.kinds import BUILT_IN, WorkloadKinds
from sealgate_webhook.admission.workloads import DEFAULT_RULES
from sealgate_webhook.counters import PolicyCounters, with_policy_counts
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.server.app import create_endpoints
from sealgate_webhook.server.callers import PermittedCallers
from sealgate_webhook.server.front import Front
from sealgate_webhook.server.timeouts import MAX_SECONDS
from sealgate_webhook.transport.client_certificates import ClientTrustFiles
from sealgate_webhook.transport.process import ProcessSettings, ServerProcess
from sealgate_webhook.transport.tls import CertificateFiles, make_self_signed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from sealgate.process.logs import LogStyle
    from sealgate.process.serving.asgi import ASGIApplication
    from sealgate.process.serving.limits import Crowding
    from sealgate.shared_cache.settings import SharedCacheSettings
    from sealgate.verification.shared_level import SharedLevel
    from sealgate_webhook.admission.workloads import AdmissionRules
    from sealgate_webhook.backends.interface import BackendFactory
    from sealgate_webhook.transport.addresses import Address
    from sealgate_webhook.transport.tls import SelfSigned

#: Longer than the 90 s for which the API server keeps an idle connection.
KEEP_ALIVE_SECONDS: Final = 120
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of the server.

    Attributes:
        listen: address for admission reviews.
        tls_cert: PEM file with the certificate, the leaf first; read again when it changes.
        tls_key: PEM file with its key.
        tls_self_signed: whether to use a self-signed certificate instead.
        client_ca: PEM bundle of CAs that client certificates must lead to; read again when it changes. None answers
            the reviews of every caller.
        client_names: names of which a client certificate must carry one; given exactly where client_ca is.
        self_test_certificate: PEM file with the client certificate of the self-test; it may be absent.
        metrics: address for Prometheus metrics, over plain HTTP; None for no metrics.
        threads: reviews that may wait for registries in progress at once, at least 1; one namespace gets at most half.
        connections: connections open at once; a further one closes the one that has been idle longest.
        registry: how registries are reached.
        verifier: limits of verification.
        shared_cache: the cache that replicas share; None for none.
        kinds: the kinds whose images are verified.
        rules: admission settings of the installation.
        timeout: timeout of the webhook configuration, in seconds, at most `timeouts.MAX_SECONDS`; a longer one in a
            URL counts as this one.
        log_style: format of log lines.
        log_level: log level, as a number of `logging`.
    """

    listen: Address
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False
    client_ca: Path | None = None
    client_names: frozenset[str] = frozenset()
    self_test_certificate: Path | None = None
    metrics: Address | None = None
    threads: int = 64
    connections: int = 2000
    registry: HostSettings = field(default_factory=HostSettings)
    verifier: VerifierSettings = field(default_factory=VerifierSettings)
    shared_cache: SharedCacheSettings | None = None
    kinds: WorkloadKinds = BUILT_IN
    rules: AdmissionRules = DEFAULT_RULES
    timeout: float = MAX_SECONDS
    log_style: LogStyle = "auto"
    log_level: int = logging.INFO


def run_server(settings: ServerSettings, backend_factory: BackendFactory) -> None:
    """Serve until SIGTERM or SIGINT. Does not return: it raises `SystemExit`, with 0 after such a signal.

    Args:
        settings: settings of the server.
        backend_factory: creates the backend.

    Raises:
        ConfigError: the settings, a certificate or a port cannot be used.
        PolicyError: something is wrong with the policies; carries everything that is.
    """
    check_tls(settings)
    log = configure_logs(settings.log_style, level=settings.log_level)
    _Server(settings, backend_factory, log).run()


def check_tls(settings: ServerSettings) -> None:
    """Check that the settings name exactly one way to do TLS, or that reviews never leave this machine.

    Raises:
        ConfigError: they do not.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise ConfigError("a certificate needs its key, and a key its certificate: give both files")
    if settings.tls_self_signed and settings.tls_cert is not None:
        raise ConfigError("the certificate is either given or made on the spot, not both")
    if not settings.tls_self_signed and settings.tls_cert is None and settings.listen.host not in LOOPBACK:
        raise ConfigError(
            f"without a certificate the webhook listens on loopback only, not on {quote(settings.listen.host)}: "
            "give a certificate and its key, or have one made (self-signed)"
        )
    if (settings.client_ca is None) != (not settings.client_names):
        raise ConfigError(
            "the client CA and the client names belong together: give both, or neither. "
            "A CA without names would permit every holder of a certificate that it has issued"
        )
    if settings.client_ca is not None and not settings.tls_self_signed and settings.tls_cert is None:
        raise ConfigError("client certificates need TLS: give the webhook a certificate and its key")


class _Server(ServerProcess):
    """The webhook's process."""

    def __init__(self, settings: ServerSettings, backend_factory: BackendFactory, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = log
        self._clock = SystemClock()
        self._metrics = Metrics(log)
        self._backend = backend_factory(self._clock, self._metrics, log)
        self._metrics.literal_hosts = self._backend.literal_hosts
        self._metrics.policy_results.is_namespace = self._is_namespace
        self._backend.prepare()
        # The worker creates its own client; this one reports invalid settings before the fork.
        RegistryClient(settings.registry, clock=self._clock).close()
        self._callers = PermittedCallers(settings.client_names, self._clock) if settings.client_ca else None
        self._metrics.port_open(self._callers is None)
        self._self_signed: SelfSigned | None = None
        process = ProcessSettings(
            settings.listen,
            settings.metrics,
            settings.connections,
            KEEP_ALIVE_SECONDS,
            int(MAX_SECONDS),
            "reviews served",
        )
        super().__init__(process, self._open_certificates(), self._metrics.registry, log)

    def application(self) -> ASGIApplication:
        """Assemble the application; called in the worker."""
        settings = self._settings
        # Hosts that do not answer may hold half of the threads, never all of them.
        verifier_settings = replace(
            settings.verifier,
            max_waiters=min(settings.verifier.max_waiters, max(settings.threads // 2, 1)),
            max_waiting=settings.threads,
        )
        network = RegistryClient(settings.registry, clock=self._clock, observer=self._metrics)
        shared = self._share(verifier_settings)
        verifier = Verifier(network, self._clock, verifier_settings, self._metrics, self._backend.state, shared)
        self._metrics.caches.usage = verifier.cache_usage
        # In the worker: a worker that is started again is another replica to those who read it.
        self._counters = PolicyCounters(self._clock, self._policies_in_force)
        endpoints = create_endpoints(
            verifier,
            self._backend,
            settings.kinds,
            self._clock,
            self._metrics,
            self._log,
            callers=self._callers,
            rules=settings.rules,
            timeout=settings.timeout,
            counters=self._counters,
        )
        return Front(endpoints, self._backend.policies, self._clock, settings.threads)

    def metrics_application(self) -> ASGIApplication:
        """Return the metrics, with the counts by policy on a path of their own."""
        return with_policy_counts(super().metrics_application(), self._counters)

    def _policies_in_force(self) -> Collection[str]:
        policies = self._backend.policies.current()
        return () if policies is None else [policy.name for policy in policies.index.policies]

    def _share(self, limits: VerifierSettings) -> SharedLevel | None:
        if self._settings.shared_cache is None:
            return None
        # Imported here, because the client takes memory that a webhook without a shared cache does not need.
        from sealgate.shared_cache.opening import OpenSharedCache

        opened = OpenSharedCache(self._settings.shared_cache, limits, self._clock, self._metrics)
        opened.connections.start()
        self._metrics.watch_shared_cache(lambda: opened.connections.connected)
        return opened.cache

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return the backend's tasks."""
        return self._backend.tasks()

    def _is_namespace(self, name: str) -> bool:
        """Return whether a namespace and its labels are known."""
        known = self._backend.namespaces.cached(name)
        return known is not None and known.complete

    def task_failed(self) -> None:
        """Count it as an internal error."""
        self._metrics.internal_errors.inc()

    def crowded(self, of: Crowding) -> None:
        """Count it by what had run out."""
        self._metrics.connection_closed(of)

    def _open_certificates(self) -> CertificateFiles | None:
        settings = self._settings
        clients = None
        if settings.client_ca is not None:
            clients = ClientTrustFiles(settings.client_ca, settings.self_test_certificate, self._client_ca_refused)
        if settings.tls_cert is not None and settings.tls_key is not None:
            return CertificateFiles(settings.tls_cert, settings.tls_key, self._certificate_refused, clients)
        if not settings.tls_self_signed:
            return None
        names = {settings.listen.host, "localhost", "127.0.0.1", "::1", socket.gethostname()}
        made = make_self_signed(sorted(names - {"0.0.0.0", "::"}), self._clock.now())  # noqa: S104 - compared, not bound
        self._log.info("self-signed certificate created", sha256_fingerprint=made.fingerprint)
        self._self_signed = made
        return CertificateFiles(made.pair, made.pair, self._certificate_refused, clients)

    def _client_ca_refused(self, problem: str) -> None:
        self._metrics.certificate_refused()
        self._log.error("client CA invalid; keeping the last valid one", error=problem)

    def _certificate_refused(self, problem: str) -> None:
        self._metrics.certificate_refused()
        self._log.error("serving certificate invalid; keeping the last valid one", error=problem)
