"""Pull credentials under test: fixed addresses that lead to simulators, and a login that a test controls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from sealgate.errors import UnreachableError
from sealgate.pull_credentials.interface import Issued
from sealgate.registry.credentials import Login
from tests.support.environments.registry_clients import client_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.interface import Response, Services
    from tests.support.simulators.http import HTTPSimulator


class RoutedServices:
    """A `ServiceSource` whose requests go to simulators, as if these were at the fixed addresses of a cloud.

    Args:
        routes: simulator by origin ("https://sts.eu-central-1.amazonaws.com"); other origins cannot be reached.
        clock: of the client.

    Attributes:
        asked: every origin that was asked, in order.
    """

    def __init__(self, routes: Mapping[str, HTTPSimulator], clock: Clock) -> None:
        self._routes = routes
        self._client = client_for(*routes.values(), clock=clock)
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def services(self, deadline: Deadline) -> Services:
        return _Routed(self, self._client.services(deadline))

    def route(self, url: str) -> tuple[str, str]:
        """Return where a request goes instead, and the host that it was for."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        self.asked.append(origin)
        if origin not in self._routes:
            raise UnreachableError(f"{parts.netloc} cannot be reached")
        return url.replace(origin, self._routes[origin].url, 1), parts.netloc


class _Routed:
    def __init__(self, source: RoutedServices, services: Services) -> None:
        self._source = source
        self._services = services

    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
        target, host = self._source.route(url)
        return self._services.request(method, target, headers={**(headers or {}), "x-test-host": host}, **more)


class ControlledLogin:
    """A `RegistryLogin` whose answers a test chooses.

    Attributes:
        logins: how often it was asked.
        answer: what it answers: a secret, or an error that it raises.
        seconds: how long its secrets are valid.
        gate: it answers once this is set, as it is at first.
        entered: set when it is asked.
    """

    identity = ("controlled",)
    token_services: ClassVar[frozenset[str]] = frozenset()
    who = "the test's identity"
    remedy = "do what the test says"

    def __init__(self, answer: Login | Exception | None = None, seconds: float = 3600) -> None:
        self.answer = answer or Login("robot", "s3cr3t")
        self.seconds = seconds
        self.logins = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def log_in(self, services: Services, clock: Clock) -> Issued:
        del services, clock
        self.logins += 1
        self.entered.set()
        assert self.gate.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Issued(self.answer, self.seconds)


class Results:
    """Observes leases; a test can wait for the end of a request.

    Attributes:
        problems: what each request ended with, by provider; None for a secret.
    """

    def __init__(self) -> None:
        self.problems: list[tuple[str, str | None]] = []
        self._changed = threading.Condition()

    def pull_credentials(self, provider: str, problem: str | None) -> None:
        with self._changed:
            self.problems.append((provider, problem))
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.problems) >= count, 60)
