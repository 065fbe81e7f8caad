"""Asks the servers that policies and authenticators name.

The authors of these objects choose the servers, and the checks run with the rights and from the network of the user, so
less is allowed here than in the webhook. A server is asked for one fixed path, nothing of a response but its status and
`Date` is used, and private addresses are asked only if the settings name the host, not because a policy does. The
user's registry credentials go only to hosts that are reached by the user's own settings and the defaults: a CA, a
mirror or plain HTTP that only the cluster's settings say could lead them to another server. The credentials of stores
and KMSs are tried by `Trials`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.diagnosis.checks import Area, Outcome
from sealgate.diagnosis.clocks import Dated
from sealgate.errors import (
    ForbiddenAddressError,
    NotFoundError,
    PrivateAddressError,
    RateLimitedError,
    SealgateError,
    UnauthorizedError,
    VerificationError,
)
from sealgate.http.client import Follow, Request, RequestPolicy
from sealgate.http.settings import fold
from sealgate.http.urls import URL
from sealgate.references import Repository
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.ping import ping

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealgate.clocks import Clock
    from sealgate.diagnosis.checks import Check
    from sealgate.diagnosis.endpoints import Endpoint
    from sealgate.diagnosis.trials import Trials
    from sealgate.http.interface import Response
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider

_MAX_BYTES: Final = 64 << 10
_NETWORK: Final = (
    "check DNS, firewalls, NetworkPolicies and the address; from a workstation, run it in the cluster too, where the "
    "webhook's way is another"
)
_LOG_IN: Final = "log in again (docker login), or pass --docker-config; pull secrets of the cluster are others"


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
        release: those of the release, for the images of all namespaces.
        changed_hosts: hosts, as references spell them, whose settings are the cluster's only.
        trials: tries the credentials of stores and KMSs.
        clock: the time.
        seconds: for each server; greater than 0.
    """

    def __init__(  # noqa: PLR0913 - what servers are asked with
        self,
        client: RegistryClient,
        credentials: CredentialProvider,
        release: CredentialProvider,
        changed_hosts: Collection[str],
        trials: Trials,
        *,
        clock: Clock,
        seconds: float,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._release = release
        self._changed_hosts = frozenset(changed_hosts)
        self._trials = trials
        self._clock = clock
        self._seconds = seconds

    def ask(self, endpoint: Endpoint) -> Reached:
        """Ask a server. Never raises for what the server does."""
        sent = self._clock.now()
        try:
            if endpoint.area is Area.REGISTRIES:
                response, check = self._registry(endpoint)
                if check.outcome is Outcome.OK:
                    check = self._as_release(endpoint, check)
            else:
                response, check = self._service(endpoint)
        except VerificationError:  # a large response is one
            return Reached(endpoint.check(Outcome.OK, "it responds"))
        except SealgateError as error:
            return Reached(_failed(endpoint, error))
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
                return None, endpoint.check(Outcome.WARNING, f"it responds, and {error.message}", _LOG_IN)
            return None, endpoint.check(Outcome.OK, f"it responds and asks for credentials{withheld}")
        if response.status == HTTPStatus.OK:
            how = ", and accepts your credentials or anonymous callers" if tried else withheld
            return response, endpoint.check(Outcome.OK, f"it responds{how}")
        if response.status == HTTPStatus.NOT_FOUND:
            message = "it responds with status 404 to /v2/, which registries have"
            return response, endpoint.check(Outcome.WARNING, message, "check the registry's name in the policy")
        return response, _status(endpoint, response)

    def _as_release(self, endpoint: Endpoint, check: Check) -> Check:
        """Return the check of a registry that responds, tried with the release's credentials if it has some for it."""
        host = fold(endpoint.url.origin.authority)
        if not self._release.candidates(Repository(host, "")):
            return check
        try:
            ping(self._client.state, self._release, self._policy(), host)
        except UnauthorizedError as error:
            remedy = "log in again, and update the Secret that registries.dockerConfigSecret names"
            return endpoint.check(Outcome.PROBLEM, f"it refuses the release's credentials: {error.message}", remedy)
        return endpoint.check(Outcome.OK, "it responds, and accepts the release's credentials or anonymous callers")

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
        if endpoint.secret is not None:
            return response, self._trials.run(endpoint, endpoint.secret)
        notary = endpoint.store.notary if endpoint.store is not None else None
        if notary is not None and notary.server is not None:
            return self._notary(endpoint, notary.server, response)
        if endpoint.area is Area.STORES and response.status == HTTPStatus.UNAUTHORIZED:
            message = "it asks for credentials, and none are sent to this store when signatures are read"
            return response, endpoint.check(Outcome.WARNING, message, "let the server be read without credentials")
        return response, endpoint.check(Outcome.OK, "it responds")

    def _notary(self, endpoint: Endpoint, server: str, response: Response) -> tuple[Response, Check]:
        """Ask a notary server for what registries have too, with the user's credentials, as they are in docker."""
        if not self._credentials.candidates(Repository(fold(endpoint.url.origin.authority), "")):
            return response, endpoint.check(Outcome.OK, "it responds")
        provider, withheld = self._own_credentials(fold(endpoint.url.origin.authority))
        if endpoint.ca is not None:
            provider = None
            withheld = "; your credentials were not sent, because only the Authenticator says by which CA to reach it"
        if provider is None:
            return response, endpoint.check(Outcome.OK, f"it responds{withheld}")
        session = self._client.session(provider, Deadline.after(self._clock, self._seconds))
        try:
            session.document(f"{server.rstrip('/')}/v2/", "", limit=_MAX_BYTES, named=True)
        except NotFoundError:
            return response, endpoint.check(Outcome.OK, "it responds")
        except UnauthorizedError as error:
            return response, endpoint.check(Outcome.WARNING, f"it responds, and {error.message}", _LOG_IN)
        return response, endpoint.check(Outcome.OK, "it responds, and accepts your credentials or anonymous callers")

    def _policy(self) -> RequestPolicy:
        return RequestPolicy(Deadline.after(self._clock, self._seconds), frozenset())


def _status(endpoint: Endpoint, response: Response) -> Check:
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        remedy = "see the server's own log, or the status page of its operator"
        return endpoint.check(Outcome.PROBLEM, f"it responds with status {response.status}", remedy)
    return endpoint.check(Outcome.OK, f"it responds with status {response.status}")


def _failed(endpoint: Endpoint, error: SealgateError) -> Check:
    if isinstance(error, PrivateAddressError):
        message = "it has a private address, which is not asked from here because a policy says so"
        remedy = f"if it is yours, name it: --private-registry {endpoint.name}"
        return endpoint.check(Outcome.NOT_CHECKED, message, remedy)
    if isinstance(error, RateLimitedError):
        return endpoint.check(Outcome.WARNING, f"it responds, and {error.message}", "try again later")
    remedy = "correct the address, or the registry settings" if isinstance(error, ForbiddenAddressError) else _NETWORK
    return endpoint.check(Outcome.PROBLEM, error.message, remedy)
