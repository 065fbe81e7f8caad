"""What a client of any HTTP service gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The most bytes of one manifest (the size the OCI distribution specification asks registries to support).
MAX_RESPONSE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of a service, whole and bounded.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: the bytes, after no decoding but the transfer's.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Services(Protocol):
    """Requests to signature stores that an authenticator names, under one deadline and the one HTTP policy."""

    def request(  # noqa: PLR0913 - the parts of an HTTP request are these
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
    ) -> Response:
        """Send one request and return the whole answer, whatever its status.

        Redirects are not followed to another host. `ca` is a PEM bundle that replaces the system's for this
        request.

        Raises:
            VerificationError: more than `limit` bytes came back.
            UnavailableError: no answer (and its subclasses).
        """
