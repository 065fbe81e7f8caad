"""Settings of the shared cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: Default time limit of one exchange.
EXCHANGE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server is reached.

    Attributes:
        host: name or address.
        port: TCP port.
        tls: whether TLS is used. Without it, others on the network path read and forge responses.
        folder: directory with the files `username`, `password`, and `ca.crt` (a PEM bundle of CAs that the server's
            certificate must lead to), read at each connection. Each may be absent: no login, the system's CAs. None
            for none of them.
        exchange_seconds: time limit of one exchange, from waiting for a connection to the last byte of the response.
    """

    host: str
    port: int = 6379
    tls: bool = True
    folder: Path | None = None
    exchange_seconds: float = EXCHANGE_SECONDS


@dataclass(frozen=True, slots=True)
class SharedCacheSettings:
    """Settings of the shared cache.

    Attributes:
        server: how the server is reached.
        keys: directory with the keys; see `KeyFiles`.
        binding: see `SealingKey`.
    """

    server: ServerSettings
    keys: Path
    binding: str
