"""Clients under test, set up for simulators, with host names that resolve as a test defines."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnavailableError
from sealgate.http.settings import HostSettings
from sealgate.references import Repository
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import DockerConfigCredentials, NoCredentials
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence

    from sealgate.clocks import Clock
    from sealgate.registry.credentials import CredentialProvider, Credentials
    from sealgate.registry.session import Session
    from sealgate.registry.writer import Writer
    from tests.support.simulators.http import HTTPSimulator


class Names:
    """A resolver with fixed answers; a name with several answers returns one after the other, lookup by lookup.

    Attributes:
        asked: every name that was looked up, in order.
    """

    def __init__(self, answers: Mapping[str, str | Sequence[str]]) -> None:
        self._answers = {name: [given] if isinstance(given, str) else list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    def resolve(self, host: str, deadline: Deadline) -> tuple[str, ...]:
        """Return the next answer for the name: one or more addresses, separated by spaces."""
        deadline.check(f"looking up {host}")
        self.asked.append(host)
        answers = self._answers.get(host)
        if not answers:
            raise UnavailableError(f"the name {host} does not resolve")
        return tuple((answers.pop(0) if len(answers) > 1 else answers[0]).split())


def settings_for(*simulators: HTTPSimulator, **more: Any) -> HostSettings:
    """Return settings that list the simulators as insecure, and trust the CAs of those with TLS."""
    insecure = frozenset(simulator.host for simulator in simulators) | more.pop("insecure", frozenset())
    ca = {simulator.host: simulator.ca_pem for simulator in simulators if simulator.ca_pem}
    return HostSettings(insecure=insecure, ca={**ca, **more.pop("ca", {})}, **more)


def client_for(
    *simulators: HTTPSimulator, clock: Clock | None = None, resolver: Any = None, observer: Any = None, **more: Any
) -> RegistryClient:
    """Return a client whose settings are `settings_for(...)`."""
    return RegistryClient(settings_for(*simulators, **more), clock=clock, resolver=resolver, observer=observer)


def session_of(
    client: RegistryClient,
    credentials: CredentialProvider | None = None,
    *,
    clock: Clock | None = None,
    seconds: float = 100,
    literal: frozenset[str] = frozenset(),
) -> Session:
    """Return a session with a deadline; the real clock's unless another is given."""
    deadline = Deadline.after(clock or SystemClock(), seconds)
    return client.session(credentials or NoCredentials(), deadline, literal)


def writer_of(client: RegistryClient, credentials: CredentialProvider | None = None, *, seconds: float = 100) -> Writer:
    """Return a writer with a deadline."""
    return client.writer(credentials or NoCredentials(), Deadline.after(SystemClock(), seconds))


def repository_of(simulator: HTTPSimulator, path: str = "team/app") -> Repository:
    """Return a repository of the simulator, as references have it."""
    return Repository(simulator.host, path)


def docker_config(auths: Mapping[str, Mapping[str, str]]) -> DockerConfigCredentials:
    """Return the credentials of a docker config with these entries."""
    return DockerConfigCredentials.from_bytes(encode({"auths": auths}), "a config of a test")


def credentials_for(provider: CredentialProvider, repository: Repository) -> Credentials | None:
    """Return the credentials that are tried first for a repository; None if there are none."""
    return next((candidate.credentials for candidate in provider.candidates(repository)), None)


def login(simulator: HTTPSimulator, username: str = "robot", password: str = "s3cret") -> DockerConfigCredentials:
    """Return credentials for one simulator, as a docker config has them."""
    return docker_config({simulator.host: {"username": username, "password": password}})


@contextlib.contextmanager
def silent_server(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Accept connections on 127.0.0.1 and never send a byte (with TLS: after the handshake); yield `host:port`."""
    closing = threading.Event()
    accepted: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not closing.is_set():
                connection = listener.accept()[0]
                accepted.append(connection if tls is None else tls.wrap_socket(connection, server_side=True))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            closing.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(100)
            for connection in accepted:
                connection.close()
