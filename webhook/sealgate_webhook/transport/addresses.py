"""Addresses to listen on."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate.process.serving.limits import BACKLOG

MAX_PORT: Final = 65535


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

    def bind(self) -> socket.socket:
        """Return a listening socket.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        try:
            family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError(f"cannot listen on {quote(self)}: {quote(error.strerror or error)}") from error


def address_of(listener: socket.socket) -> str:
    """Return the `host:port` that a listening socket is bound to."""
    return str(Address(*listener.getsockname()[:2]))
