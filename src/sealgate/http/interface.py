"""Responses of HTTP services, and the protocol by which they are requested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Deadline

#: Default maximum of bytes in a response: the size of manifests that registries must support (OCI distribution
#: specification, "Pushing Manifests").
MAX_RESPONSE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response of a service.

    Attributes:
        status: the HTTP status.
        headers: values by name in lower case.
        body: the bytes; a transfer encoding is removed, a content encoding is not.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Services(Protocol):
    """Requests to services that an authenticator or key entry names, under one deadline and the one HTTP policy."""

    def request(  # noqa: PLR0913 - the parts of an HTTP request are these
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
        seconds: float | None = None,
    ) -> Response:
        """Send one request and return the complete response, of any status.

        Redirects to another host are not followed.

        Args:
            method: the HTTP method, in upper case.
            url: absolute URL.
            headers: headers besides those of every request.
            body: bytes to send; None for no body.
            limit: maximum bytes of the response's body.
            ca: PEM bundle of CA certificates to trust for this request instead of the system's.
            seconds: how long it may take, where that is less than until the deadline; greater than 0.

        Raises:
            VerificationError: the body is larger than `limit`.
            UnavailableError: there is no valid response (and its subclasses).
        """


class ServiceSource(Protocol):
    """Opens requests to services. Thread-safe."""

    def services(self, deadline: Deadline) -> Services:
        """Return requests to services, all of which must be over by one deadline."""
