"""Asks the servers that policies and authenticators name.

The authors of these objects choose the servers, and the checks run with the rights and from the network of the user, so
less is allowed here than in the webhook. A server is asked for one fixed path, nothing of a response but its status and
`Date` is used, and private addresses are asked only if the settings name the host, not because a policy does. The
user's registry credentials go only to hosts that are reached by the user's own settings and the defaults: a CA, a
mirror or plain HTTP that only the cluster's settings say could lead them to another server. A Secret is read only if
the user named it.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.diagnosis.clocks import Dated
from sealgate.errors import (
    ForbiddenAddressError,
    PrivateAddressError,
    RateLimitedError,
    SealgateError,
    UnauthorizedError,
    UnavailableError,
    VerificationError,
)
from sealgate.http.client import Follow, Request, RequestPolicy
from sealgate.http.settings import fold
from sealgate.http.urls import URL
from sealgate.kms.key_source import KMSKeySource
from sealgate.messages import quote
from sealgate.references import Repository
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.ping import ping

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealgate.clocks import Clock
    from sealgate.diagnosis.endpoints import Endpoint
    from sealgate.http.interface import Response
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.service_secrets import ServiceSecrets

_MAX_BYTES: Final = 64 << 10
_NETWORK: Final = (
    "check DNS, firewalls, NetworkPolicies and the address; from a workstation, run it in the cluster too, where the "
    "webhook's way is another"
)


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of asking one server.

    Attributes:
        check: the result.
        dated: its response, to compare clocks; None if there is none.
    """

    check: Check
    dated: Dated | None = None


class Reach:
    """Asks servers, each under its own deadline. Thread-safe.

    Args:
        client: how servers are reached, by the settings of the cluster and of the user.
        credentials: the user's own credentials for registries.
        changed_hosts: hosts, as references spell them, whose settings are the cluster's only.
        secrets: the Secrets that the user named.
        named_secrets: their names.
        clock: the time.
        seconds: for each server; greater than 0.
    """

    def __init__(  # noqa: PLR0913 - what servers are asked with
        self,
        client: RegistryClient,
        credentials: CredentialProvider,
        changed_hosts: Collection[str],
        secrets: ServiceSecrets,
        named_secrets: Collection[str],
        *,
        clock: Clock,
        seconds: float,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._changed_hosts = frozenset(changed_hosts)
        self._named_secrets = frozenset(named_secrets)
        self._keys = KMSKeySource(client, secrets, clock)
        self._clock = clock
        self._seconds = seconds

    def ask(self, endpoint: Endpoint) -> Reached:
        """Ask a server. Never raises for what the server does."""
        sent = self._clock.now()
        try:
            reached = self._registry(endpoint) if endpoint.area is Area.REGISTRIES else self._service(endpoint)
        except VerificationError:  # a large response is one
            return Reached(_check(endpoint, Outcome.OK, "it responds"))
        except SealgateError as error:
            return Reached(_failed(endpoint, error))
        response, check = reached
        if response is None:
            return Reached(check)
        return Reached(check, Dated(endpoint.name, response.headers.get("date", ""), sent, self._clock.now()))

    # Registries ---------------------------------------------------------------------------------------------------

    def _registry(self, endpoint: Endpoint) -> tuple[Response | None, Check]:
        host = fold(endpoint.url.origin.authority)
        provider, withheld = self._own_credentials(host)
        tried = provider is not None
        try:
            response = ping(self._client.state, provider or NoCredentials(), self._policy(), host)
        except UnauthorizedError as error:
            if tried:
                remedy = "log in again (docker login), or pass --docker-config; pull secrets of the cluster are others"
                return None, _check(endpoint, Outcome.WARNING, f"it responds, and {error.message}", remedy)
            return None, _check(endpoint, Outcome.OK, f"it responds and asks for credentials{withheld}")
        if response.status == HTTPStatus.OK:
            how = ", and accepts your credentials or anonymous callers" if tried else withheld
            return response, _check(endpoint, Outcome.OK, f"it responds{how}")
        if response.status == HTTPStatus.NOT_FOUND:
            message = "it responds with status 404 to /v2/, which registries have"
            return response, _check(endpoint, Outcome.WARNING, message, "check the registry's name in the policy")
        return response, _status(endpoint, response)

    def _own_credentials(self, host: str) -> tuple[CredentialProvider | None, str]:
        """Return the user's credentials for a registry if they may be sent; else None, and a clause that says why."""
        if not self._credentials.candidates(Repository(host, "")):
            return None, ""
        if host in self._changed_hosts:
            return None, (
                "; your credentials were not sent, because only the cluster's settings say how to reach it: name it "
                "with --registry-ca or --insecure-registry to have them tried"
            )
        return self._credentials, ""

    # Stores and KMSs ----------------------------------------------------------------------------------------------

    def _service(self, endpoint: Endpoint) -> tuple[Response, Check]:
        request = Request(URL(endpoint.url.origin, "/"), _MAX_BYTES, follow=Follow.NOWHERE, ca=endpoint.ca)
        response = self._client.http.send(request, self._policy()).response
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return response, _status(endpoint, response)
        if endpoint.secret is None:
            return response, _check(endpoint, Outcome.OK, "it responds")
        if endpoint.secret not in self._named_secrets:
            message = "it responds; its credentials were not tried"
            remedy = f"to try them: --service-secret NAMESPACE/{quote(endpoint.secret, 64)}"
            return response, _check(endpoint, Outcome.OK, message, remedy)
        return response, self._with_credentials(endpoint)

    def _with_credentials(self, endpoint: Endpoint) -> Check:
        if endpoint.key is None:
            message = "it responds; only verifying or signing an image tries its credentials"
            return _check(endpoint, Outcome.OK, message, "sealgate scan, or sealgate sign --policy")
        try:
            keys = self._keys.fetch(endpoint.key, self._seconds)
        except UnavailableError as error:
            remedy = "check the Secret, the rights of its credentials, and the address of the key"
            return _check(endpoint, Outcome.PROBLEM, error.message, remedy)
        refused = [key for key in keys if key.state != "Accepted"]
        if len(refused) == len(keys):
            message = f"no version of its key can be used: {quote(refused[0].reason or '', 64)}: {refused[0].message}"
            return _check(endpoint, Outcome.PROBLEM, message, "enable the key in the KMS, or name another one")
        accepted = len(keys) - len(refused)
        versions = f"{accepted} version{'' if accepted == 1 else 's'}"
        return _check(endpoint, Outcome.OK, f"it accepts the credentials; {versions} of its key can be used")

    def _policy(self) -> RequestPolicy:
        return RequestPolicy(Deadline.after(self._clock, self._seconds), frozenset())


def _check(endpoint: Endpoint, outcome: Outcome, message: str, remedy: str = "") -> Check:
    return Check(endpoint.area, endpoint.name, outcome, f"{message} ({endpoint.named_by})", remedy)


def _status(endpoint: Endpoint, response: Response) -> Check:
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        remedy = "see the server's own log, or the status page of its operator"
        return _check(endpoint, Outcome.PROBLEM, f"it responds with status {response.status}", remedy)
    return _check(endpoint, Outcome.OK, f"it responds with status {response.status}")


def _failed(endpoint: Endpoint, error: SealgateError) -> Check:
    if isinstance(error, PrivateAddressError):
        message = "it has a private address, which is not asked from here because a policy says so"
        remedy = f"if it is yours, name it: --private-registry {endpoint.name}"
        return _check(endpoint, Outcome.NOT_CHECKED, message, remedy)
    if isinstance(error, RateLimitedError):
        return _check(endpoint, Outcome.WARNING, f"it responds, and {error.message}", "try again later")
    remedy = "correct the address, or the registry settings" if isinstance(error, ForbiddenAddressError) else _NETWORK
    return _check(endpoint, Outcome.PROBLEM, error.message, remedy)
