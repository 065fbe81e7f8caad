"""Ports for servers that must know theirs before they start, or that others must know."""

from __future__ import annotations

import socket


def reserve_port(address: str = "127.0.0.1") -> socket.socket:
    """Return a socket that is bound to a free port of an address.

    Until it is closed, the kernel gives the port to no other process. A server that sets `SO_REUSEADDR`, as servers do,
    can listen there, also again after it has ended.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((address, 0))
    return reservation


def port_of(reservation: socket.socket) -> int:
    """Return the port of a reservation."""
    port: int = reservation.getsockname()[1]
    return port
