"""What connections need of their server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sealgate.process.serving.asgi import Scope
    from sealgate.process.serving.exchange import Exchange
    from sealgate.process.serving.limits import ServingLimits
    from sealgate.process.serving.waits import Waits

ConnectionT = TypeVar("ConnectionT")


class Host(Protocol[ConnectionT]):
    """The server, as its connections see it; see `server.Server`."""

    limits: ServingLimits
    waits: Waits[ConnectionT]
    buffer: memoryview
    address: tuple[str, int]
    draining: bool
    context: Callable[[], ssl.SSLContext] | None
    describe: Callable[[ssl.SSLObject], tuple[dict[str, Any], bool]]

    def run(self, scope: Scope, exchange: Exchange, connection: ConnectionT) -> None:
        """Have the application respond to a request."""
        ...

    def queue_handshake(self, connection: ConnectionT, *, first: bool) -> None:
        """Have the TLS handshake of a connection continued when it is its turn."""
        ...

    def expire(self, connection: ConnectionT) -> None:
        """Close a connection at once."""
        ...

    def closed(self, connection: ConnectionT) -> None:
        """Forget a connection."""
        ...

    def malformed(self, peer: tuple[str, int]) -> None:
        """Log a request that cannot be parsed."""
        ...
