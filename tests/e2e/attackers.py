"""What holds up a server: silent connections, registries and name servers, and requests without end."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import threading
from typing import TYPE_CHECKING, Self

from tests.e2e.kube import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

Address = tuple[str, int]

#: Seconds between two looks for connections that the server has closed.
SWEEP_SECONDS = 0.5
#: The most connections that are opened again at a time: without a bound this would be an attack on the processors.
MOST_REOPENED = 100
JOIN_SECONDS = 60.0


class Attack:
    """Something that goes on in threads of its own while the context is open."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(JOIN_SECONDS)


class SilentClients(Attack):
    """Connections that stay open and silent. What the server closes is opened again.

    Args:
        servers: addresses of the servers.
        count: connections to each of them.
        sent: what each connection sends at first.
    """

    def __init__(self, servers: Sequence[Address], count: int, sent: bytes = b"") -> None:
        super().__init__()
        _allow_descriptors(len(servers) * count + 1024)
        self._sent = sent
        self._open: dict[int, tuple[Address, socket.socket]] = {}
        self._poll = select.poll()
        for _ in range(count):
            for server in servers:
                self._connect(server)
        self.threads = [threading.Thread(target=self._keep_open, daemon=True)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        for _, client in self._open.values():
            client.close()

    def _connect(self, server: Address) -> None:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(server)
        self._open[client.fileno()] = (server, client)
        # The first bytes are sent once the connection is there.
        self._poll.register(client, select.POLLOUT if self._sent else select.POLLIN)

    def _keep_open(self) -> None:
        while not self.stopped.wait(SWEEP_SECONDS):
            reopened = 0
            for descriptor, events in self._poll.poll(0):
                server, client = self._open[descriptor]
                if events == select.POLLOUT:
                    with contextlib.suppress(OSError):
                        client.send(self._sent)
                    self._poll.modify(client, select.POLLIN)
                elif reopened < MOST_REOPENED and self._ended(client):
                    reopened += 1
                    self._poll.unregister(client)
                    del self._open[descriptor]
                    client.close()
                    self._connect(server)

    @staticmethod
    def _ended(client: socket.socket) -> bool:
        try:
            return not client.recv(65536)
        except OSError:
            return True


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class SilentHosts:
    """Servers that take connections and never say anything.

    Args:
        address: where they listen.
        count: number of servers.

    Attributes:
        hosts: `address:port` of each.
    """

    def __init__(self, address: str, count: int) -> None:
        # The kernel takes connections that are never accepted.
        self._listeners = [socket.create_server((address, 0), backlog=1024) for _ in range(count)]
        self.hosts = [f"{address}:{listener.getsockname()[1]}" for listener in self._listeners]

    def wait_for_clients(self) -> None:
        """Wait until each of them has been connected to."""
        eventually(
            lambda: len(select.select(self._listeners, (), (), 0)[0]) == len(self._listeners),
            "each silent host has been asked",
        )

    def close(self) -> None:
        """End all of them."""
        for listener in self._listeners:
            listener.close()


class Flood(Attack):
    """Calls made over and over, by several threads at once.

    Args:
        threads: number of threads.
        call: gets the number of the call.
        pause: seconds between two calls of a thread.
    """

    def __init__(self, threads: int, call: Callable[[int], object], pause: float = 0.05) -> None:
        super().__init__()
        self._call = call
        self._pause = pause
        self._lock = threading.Lock()
        self.begun = 0
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        super().__enter__()
        eventually(lambda: self.begun >= len(self.threads), "every thread has called")
        return self

    def _run(self) -> None:
        while not self.stopped.wait(self._pause):
            with self._lock:
                number = self.begun
                self.begun += 1
            self._call(number)
