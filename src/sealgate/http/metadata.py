"""Metadata services of clouds: the one exception to the rule that no request goes to their addresses.

A metadata service gives an identity to each process that reaches it, so that a request which is led there is an attack.
The HTTP client refuses their addresses, behind every name and redirect (`sealgate.http.addresses`), and keeps on doing
so. The client here is another one: it knows the endpoints of `MetadataEndpoint` and no others, connects to an address
without a name, follows no redirect, uses no proxy, and its callers choose an endpoint, headers and parameters, never an
address or a path.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from sealgate.errors import UnavailableError, VerificationError
from sealgate.http.client import Request, allowance, connect_error, converse, exchange_error
from sealgate.http.connections import Connection, Guard
from sealgate.http.responses import InvalidResponseError
from sealgate.http.urls import URL, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.clocks import Deadline
    from sealgate.http.interface import Response

#: The most bytes of a response; a token has up to 4,000.
MAX_BYTES: Final = 64 << 10
#: Seconds that a request may take: the service is on the node.
SECONDS: Final = 5.0
_PORT = 80


class MetadataEndpoint(Enum):
    """Address and path of each metadata service that is asked for an identity. Nothing else can be asked."""

    EKS_POD_IDENTITY = ("169.254.170.23", "/v1/credentials")
    EKS_POD_IDENTITY_IPV6 = ("fd00:ec2::23", "/v1/credentials")
    GOOGLE = ("169.254.169.254", "/computeMetadata/v1/instance/service-accounts/default/token")
    HUAWEI = ("169.254.169.254", "/openstack/latest/securitykey")
    AZURE = ("169.254.169.254", "/metadata/identity/oauth2/token")

    @property
    def url(self) -> str:
        """The URL, as the platforms spell it."""
        address, path = self.value
        return f"http://{Origin('http', address, _PORT).authority}{path}"


def _connect(origin: Origin, guard: Guard) -> Connection:
    connection = Connection(origin, (origin.host,), guard)
    connection.connect()
    return connection


class MetadataClient:
    """Asks metadata services. Thread-safe; keeps no connections.

    Args:
        connect: opens a connection to an address.
    """

    def __init__(self, connect: Callable[[Origin, Guard], Connection] = _connect) -> None:
        self._connect = connect

    def get(
        self,
        endpoint: MetadataEndpoint,
        deadline: Deadline,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the response of a service, of any status; a redirect is a response like others.

        Args:
            endpoint: the service.
            deadline: the end of the request, which takes `SECONDS` at most.
            headers: headers besides those of every request.
            query: parameters.

        Raises:
            UnavailableError: there is no valid response.
        """
        address, path = endpoint.value
        origin = Origin("http", address, _PORT)
        target = f"{path}?{urlencode(query)}" if query else path
        request = Request(URL(origin, target), MAX_BYTES, headers=headers)
        guard = Guard(deadline.within(SECONDS), f"asking the metadata service {address}", allowance(MAX_BYTES))
        guard.left()
        try:
            connection = self._connect(origin, guard)
        except OSError as error:
            raise connect_error(origin, error, guard) from error
        try:
            return converse(connection, request)[0]
        except VerificationError as error:  # too large: not evidence, but a service that gave no usable response
            raise UnavailableError(error.message) from error
        except (OSError, InvalidResponseError, ValueError) as error:
            raise exchange_error(origin, error, guard) from error
        finally:
            connection.close()
