"""Bounds of an HTTP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: Connections that may wait to be accepted.
BACKLOG: Final = 1024

#: What has run out when a connection is closed to make room for others: one of the limits below, or the process's
#: file descriptors.
Crowding = Literal["connections", "handshakes", "descriptors"]


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """What clients may take. Times are in seconds and count only while this process is awake.

    Attributes:
        connections: connections open at once; a further one closes the one that has been idle longest.
        handshakes: TLS handshakes in progress that wait for their client; a further one closes the oldest.
        io: the most time that a client may take for a handshake, for the head of a request, for its body, and to read a
            response. API servers, registries and kubelets need milliseconds.
        silence: how long a new connection may send nothing.
        keep_alive: how long a connection is kept between requests.
        head_bytes: size of the head of a request.
        fields: header fields of a request.
        check: time between two checks for clients that exceed these times.
    """

    connections: int = 2000
    handshakes: int = 256
    io: float = 5.0
    silence: float = 10.0
    keep_alive: float = 120.0
    head_bytes: int = 32 << 10
    fields: int = 100
    check: float = 1.0
