"""Identities of the metadata service of the node, for keys in key management services.

Only the settings of an installation turn one on (`metadata_identities`); an object can only leave its credentials out,
as for an identity in a token file. One request at a time is under way for each provider. What the service gave is
cached for most of its time and at most `MAX_SECONDS`, a failure for `FAILURE_SECONDS`, so that many keys cost a service
on the node few requests, and a service that does not answer delays few of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.cloud.metadata import Ask, Given, PodIdentity, azure_token, google_token, huawei_access_key
from sealgate.errors import UnavailableError
from sealgate.http.metadata import SECONDS, MetadataClient
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealgate.clocks import Clock
    from sealgate.cloud.identities import Credentials
    from sealgate.http.interface import Response
    from sealgate.http.metadata import MetadataEndpoint

#: The most seconds for which credentials are used. The services cache them on the node, and an identity that gets other
#: rights must not wait longer for them than with a token file (`sealgate.kms.credentials`).
MAX_SECONDS: Final = 300.0
#: Seconds for which a failure is cached.
FAILURE_SECONDS: Final = 15.0
_USED_PART = 0.75

#: Asks a metadata service for credentials, for a resource ("https://vault.azure.net"; empty where there is one).
Give = Callable[[str, Ask], Given]


@dataclass(frozen=True, slots=True)
class _Known:
    """The last result for a resource: credentials, or why there are none; and its end in monotonic seconds."""

    credentials: Credentials | None
    problem: str
    until: float


class MetadataIdentity:
    """The identity that a metadata service gives to this process, for one provider. Thread-safe.

    Args:
        give: asks the service.
        client: sends the requests.
        clock: measures lifetimes.
    """

    def __init__(self, give: Give, client: MetadataClient, clock: Clock) -> None:
        self._give = give
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def read(self, resource: str) -> Credentials:
        """Return the credentials; may wait for the service, `sealgate.http.metadata.SECONDS` at most for each caller.

        Args:
            resource: what they are for; one of a provider's fixed resources.

        Raises:
            UnavailableError: the service gave none.
        """
        with self._lock:
            known = self._known.get(resource)
            if known is None or self._clock.monotonic() >= known.until:
                known = self._known[resource] = self._request(resource)
        if known.credentials is None:
            raise UnavailableError(known.problem, reason=Reason.AUTHENTICATOR_NOT_READY)
        return known.credentials

    def _request(self, resource: str) -> _Known:
        deadline = Deadline.after(self._clock, SECONDS)

        def ask(endpoint: MetadataEndpoint, headers: Mapping[str, str], query: Mapping[str, str]) -> Response:
            return self._client.get(endpoint, deadline, headers, query)

        try:
            given = self._give(resource, ask)
        except UnavailableError as error:
            return self._failed(error.message)
        if not given.seconds > 0:
            return self._failed(f"{given.credentials.source} has expired; check the clock of the node")
        seconds = min(_USED_PART * given.seconds, MAX_SECONDS)
        return _Known(given.credentials, "", self._clock.monotonic() + seconds)

    def _failed(self, problem: str) -> _Known:
        return _Known(None, problem, self._clock.monotonic() + FAILURE_SECONDS)


def metadata_identities(
    providers: Iterable[str],
    environ: Mapping[str, str],
    clock: Clock,
    *,
    azure_client: str = "",
    client: MetadataClient | None = None,
) -> dict[str, MetadataIdentity]:
    """Return an identity for each provider that the settings list; nothing is read or sent yet.

    Args:
        providers: "aws", "azure", "google" or "huawei".
        environ: the environment, which names the agent of EKS Pod Identity.
        clock: the time.
        azure_client: client ID of the managed identity, where a node of Azure has several; empty for its only one.
        client: sends the requests.
    """
    pod = PodIdentity.of(environ)
    known: dict[str, Give] = {
        "aws": lambda _, ask: pod.access_key(ask, clock),
        "azure": lambda resource, ask: azure_token(azure_client, resource, ask),
        "google": lambda _, ask: google_token(ask),
        "huawei": lambda _, ask: huawei_access_key(ask, clock),
    }
    client = client or MetadataClient()
    return {provider: MetadataIdentity(known[provider], client, clock) for provider in providers}
