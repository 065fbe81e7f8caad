"""The webhook's replicas, and what each of them has counted.

The replicas are the endpoints of the webhook's Service; each serves its counts on the port of its metrics. What they
send is foreign: bounded in bytes, time and number, and it can change nothing but the numbers that a status shows.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from sealgate.clocks import Deadline
from sealgate.errors import UnavailableError
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate.kubernetes.endpoint_slices import slices_of
from sealgate.policies.policy_counts import MAX_BYTES, PATH, ReplicaCounts, decode_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI

#: The most replicas that are read.
MAX_ADDRESSES: Final = 32
#: Seconds within which a replica must have responded.
RESPONSE_SECONDS: Final = 2.0
_PORT: Final = "metrics"
_OK: Final = 200


class Replicas:
    """The replicas of the webhook.

    Args:
        api: the API server.
        namespace: sealgate's own.
        service: name of the webhook's Service.
        clock: measures deadlines.
    """

    def __init__(self, api: KubernetesAPI, namespace: str, service: str, clock: Clock) -> None:
        self._api = api
        self._namespace = namespace
        self._service = service
        self._clock = clock

    def addresses(self) -> list[str]:
        """Return `host:port` of every replica, those that are not ready included; at most `MAX_ADDRESSES`.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        slices = slices_of(self._api, self._namespace, self._service)
        addresses = dict.fromkeys(address for item in slices for address in _addresses_of(item))
        return list(addresses)[:MAX_ADDRESSES]

    def counts(self, address: str) -> ReplicaCounts:
        """Return what a replica has counted.

        Args:
            address: `host:port` of its metrics.

        Raises:
            UnavailableError: it does not respond in time, or not with its counts.
            VerificationError: its response is larger than `MAX_BYTES`.
        """
        deadline = Deadline.after(self._clock, RESPONSE_SECONDS)
        # The port of the metrics has no TLS.
        with ServiceClient(HostSettings(insecure=frozenset({address})), clock=self._clock) as client:
            response = client.services(deadline).request("GET", f"http://{address}{PATH}", limit=MAX_BYTES)
        if response.status != _OK:
            raise UnavailableError(f"{address} answers {response.status}")
        return decode_counts(response.body)


def _addresses_of(item: Mapping[str, Any]) -> Iterator[str]:
    ports = [port["port"] for port in item.get("ports") or () if port.get("name") == _PORT and port.get("port")]
    for endpoint in item.get("endpoints") or ():
        for text in endpoint.get("addresses") or ():
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                # A name, which the webhook's Service does not have.
                continue
            host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - of IP
            yield from (f"{host}:{port}" for port in ports)
