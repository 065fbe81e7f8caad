"""Server of the webhook: gunicorn with one threaded worker, rotating TLS, and metrics on a port of their own.

One worker process holds the caches, single flights and budgets, so that there is one of each; several replicas are
several pods. The parent process reads the policies and binds the ports, so that an error in either is reported at once
in one sentence; threads start in the worker, since threads do not survive a fork.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

from gunicorn.app.base import BaseApplication

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
from sealgate_webhook.metrics import Metrics, serve_metrics
from sealgate_webhook.server.app import create_app
from sealgate_webhook.server.callers import CALLER, PermittedCallers
from sealgate_webhook.server.client_certificates import ClientTrustFiles, identify
from sealgate_webhook.server.logs import GunicornLogger
from sealgate_webhook.server.timeouts import MAX_SECONDS
from sealgate_webhook.server.tls import CertificateFiles, make_self_signed
from sealgate_webhook.server.workers import CLOSE, SOCKET, WebhookWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from gunicorn._types import _WSGIAppType
    from gunicorn.arbiter import Arbiter
    from structlog.typing import FilteringBoundLogger

    from sealgate.process.logs import LogStyle
    from sealgate_webhook.admission.workloads import AdmissionRules
    from sealgate_webhook.backends.interface import BackendFactory
    from sealgate_webhook.server.tls import SelfSigned

#: Longer than the 90 s for which the API server keeps an idle connection.
KEEP_ALIVE_SECONDS: Final = 120
BACKLOG: Final = 1024
#: Seconds before a failed background task is restarted.
RESTART_SECONDS: Final = 1.0
MAX_PORT: Final = 65535
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Address:
    """Address to listen on.

    Attributes:
        host: a name or an IP address ("0.0.0.0" or "::" for every interface).
        port: 0 for any that is free.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse `HOST:PORT`; an IPv6 address must be in brackets, and an empty host means every interface.

        Raises:
            ConfigError: the text is not of that form.
        """
        host, separator, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            separator = ""
        if not separator or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
            raise ConfigError(f"{quote(text)} is not an address to listen on: write HOST:PORT, such as 127.0.0.1:8443")
        return cls(host or "0.0.0.0", int(port))  # noqa: S104 - asked for by leaving the host out

    def __str__(self) -> str:
        """Return `host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
        threads: reviews in progress at once, at least 1.
        connections: connections open at once; a further one closes the one that has been idle longest.
        registry: how registries are reached.
        verifier: limits of verification.
        kinds: the kinds whose images are verified.
        rules: admission settings of the installation.
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
    kinds: WorkloadKinds = BUILT_IN
    rules: AdmissionRules = DEFAULT_RULES
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


class _Server(BaseApplication):
    """gunicorn's application: its configuration, and the WSGI application, loaded in the worker."""

    def __init__(self, settings: ServerSettings, backend_factory: BackendFactory, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = log
        self._clock = SystemClock()
        self._metrics = Metrics(log)
        self._backend = backend_factory(self._clock, self._metrics, log)
        self._metrics.literal_hosts = self._backend.literal_hosts
        self._backend.prepare()
        # The worker creates its own client; this one reports invalid settings before the fork.
        RegistryClient(settings.registry, clock=self._clock).close()
        self._callers = PermittedCallers(settings.client_names, self._clock) if settings.client_ca else None
        self._metrics.port_open(self._callers is None)
        self._self_signed: SelfSigned | None = None
        self._certificates = self._open_certificates()
        self._metrics_listener = None if settings.metrics is None else _bind(settings.metrics)
        self._listener = _bind(settings.listen)
        _allow_descriptors(4 * settings.connections)
        super().__init__()

    def load_config(self) -> None:
        """Set the options that differ from gunicorn's defaults; command line and environment are ignored."""
        options: dict[str, object] = {
            "bind": f"fd://{self._listener.detach()}",
            "backlog": BACKLOG,
            "worker_class": WebhookWorker,
            "workers": 1,
            "threads": self._settings.threads,
            "worker_connections": self._settings.connections,
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": int(MAX_SECONDS),
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108 - memory, not a disk
            "control_socket_disable": True,
            # There is no proxy in front whose headers about scheme, path or client could be trusted.
            "forwarded_allow_ips": "",
            "logger_class": GunicornLogger,
            "proc_name": "sealgate",
            "post_worker_init": self._start_threads,
            "worker_exit": _leave,
        }
        if self._certificates is not None:
            certificates = self._certificates
            # gunicorn requires a file name to enable TLS; the certificate that it serves comes from the hook.
            options["certfile"] = str(self._settings.tls_cert or os.devnull)
            options["ssl_context"] = lambda _config, _default: certificates.context()
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> _WSGIAppType:
        """Assemble the application; called in the worker."""
        settings = self._settings
        # One host that does not answer may hold half of the threads, never all of them.
        verifier_settings = replace(
            settings.verifier, max_waiters=min(settings.verifier.max_waiters, max(settings.threads // 2, 1))
        )
        network = RegistryClient(settings.registry, clock=self._clock, observer=self._metrics)
        verifier = Verifier(network, self._clock, verifier_settings, self._metrics, self._backend.state)
        app = create_app(
            verifier,
            self._backend,
            settings.kinds,
            self._clock,
            self._metrics,
            self._log,
            callers=self._callers,
            rules=settings.rules,
        )
        if self._certificates is None:
            return cast("_WSGIAppType", app)
        return cast("_WSGIAppType", _Identified(app, self._certificates))

    def _start_threads(self, worker: WebhookWorker) -> None:
        stop = threading.Event()
        for task in self._backend.tasks():
            threading.Thread(target=self._keep_running, args=(task, stop), name="backend", daemon=True).start()
        if self._metrics_listener is not None:
            serve_metrics(self._metrics_listener, self._metrics.registry)
            self._log.info("metrics served", address=_address_of(self._metrics_listener))
        scheme = "http" if self._certificates is None else "https"
        for listener in worker.sockets:
            self._log.info("reviews served", scheme=scheme, address=_address_of(listener))

    def _keep_running(self, task: Callable[[threading.Event], None], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                task(stop)
            except Exception as error:  # noqa: BLE001 - without the task, reviews would go on with outdated state
                self._metrics.internal_errors.inc()
                self._log.error("background task failed; restarting", exc_info=error)
            stop.wait(RESTART_SECONDS)

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


class _Identified:
    """Middleware that puts the `Caller` of a request's connection into its WSGI environment.

    Args:
        app: the application behind it.
        certificates: what client certificates must lead to.
    """

    def __init__(self, app: WSGIApplication, certificates: CertificateFiles) -> None:
        self._app = app
        self._certificates = certificates

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        trust = self._certificates.clients()
        if trust is not None:
            environ[CALLER], current = identify(environ[SOCKET], trust)
            if not current:
                # The next request needs a new handshake, under the current trust.
                environ[CLOSE]()
        return self._app(environ, start_response)


def _bind(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {quote(address)}: {quote(error.strerror or error)}") from error


def _address_of(listener: socket.socket) -> str:
    return str(Address(*listener.getsockname()[:2]))


def _allow_descriptors(wanted: int) -> None:
    """Raise the limit of open files of this process as far as permitted; every connection needs a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _leave(_arbiter: Arbiter, worker: WebhookWorker) -> None:
    """Exit the worker process as soon as every review is answered.

    Verifications may still be in progress, for example at a registry that hangs. No request waits for them any more,
    but Python would wait for their threads.
    """
    if worker.booted:
        sys.stderr.flush()
        os._exit(int(worker.alive))
