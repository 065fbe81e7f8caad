"""Identities from the metadata service of the node: the requests to each service, and what it answers.

A caller decides whether a metadata service is asked at all, which only the settings of an installation permit; see
`sealgate.http.metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealgate.cloud.identities import Credentials, PlatformIdentity
from sealgate.cloud.responses import bearer, member, object_of, text, unexpected
from sealgate.errors import UnavailableError
from sealgate.http.interface import Response
from sealgate.http.metadata import MetadataEndpoint
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from sealgate.clocks import Clock

#: Asks a service with headers and parameters; see `MetadataClient.get`.
Ask = Callable[[MetadataEndpoint, Mapping[str, str], Mapping[str, str]], Response]

_SERVICE, _AGENT = "the metadata service", "the agent of EKS Pod Identity"
_AGENTS: Final = (MetadataEndpoint.EKS_POD_IDENTITY, MetadataEndpoint.EKS_POD_IDENTITY_IPV6)
_FLAVOR: Final = "Google"
_AZURE_API: Final = "2018-02-01"
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Given:
    """What a metadata service gave.

    Attributes:
        credentials: as members of a Secret would be.
        seconds: how long they are valid from now, in seconds.
    """

    credentials: Credentials
    seconds: float


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The role that EKS Pod Identity associates with the ServiceAccount.

    Attributes:
        address: where the environment says that the agent is; only the fixed addresses are asked.
        token: file of the token for the agent; None if the environment names none.
    """

    address: str
    token: PlatformIdentity | None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> PodIdentity:
        """Read the variables that EKS sets."""
        file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        token = PlatformIdentity(_AGENT, Path(file), "token", {}) if file else None
        return cls(environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", ""), token)

    def access_key(self, ask: Ask, clock: Clock) -> Given:
        """Return an access key of the role, as `AWSCredentials` reads it.

        Raises:
            UnavailableError: the environment names no token or another address, or the agent gives no access key.
        """
        if self.token is None:
            msg = (
                "the platform has given this process no identity (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE); associate a "
                "role with its ServiceAccount, and start its pods anew"
            )
            raise UnavailableError(msg)
        endpoint = next((each for each in _AGENTS if each.url == self.address), None)
        if endpoint is None:
            msg = f"AWS_CONTAINER_CREDENTIALS_FULL_URI is not {' or '.join(each.url for each in _AGENTS)}"
            raise UnavailableError(msg)
        given = self.token.read()
        headers = {"accept": "application/json", "authorization": text_member(given.source, given.data, "token")}
        answer = object_of(ask(endpoint, headers, {}), _AGENT)
        names = {"accessKeyId": "AccessKeyId", "secretAccessKey": "SecretAccessKey", "sessionToken": "Token"}
        seconds = _until(answer, "Expiration", _AGENT, clock)
        return Given(Credentials("the role of EKS Pod Identity", _members(answer, names, _AGENT)), seconds)


def huawei_access_key(ask: Ask, clock: Clock) -> Given:
    """Return an access key of the agency of the node, as `HuaweiCredentials` reads it.

    Raises:
        UnavailableError: the metadata service gives none.
    """
    found = member(object_of(ask(MetadataEndpoint.HUAWEI, {}, {}), _SERVICE), "credential", _SERVICE)
    names = {"accessKey": "access", "secretKey": "secret", "securityToken": "securitytoken"}
    seconds = _until(found, "expires_at", _SERVICE, clock)
    return Given(Credentials("the agency of the node", _members(found, names, _SERVICE)), seconds)


def google_token(ask: Ask) -> Given:
    """Return an access token of the ServiceAccount's workload identity, or the node's service account: `accessToken`.

    Raises:
        UnavailableError: the metadata service is not Google's, or gives none.
    """
    response = ask(MetadataEndpoint.GOOGLE, {"Metadata-Flavor": _FLAVOR}, {})
    answer = object_of(response, _SERVICE)
    if response.headers.get("metadata-flavor") != _FLAVOR:
        raise unexpected(_SERVICE, "it is not that of Google")
    token, seconds = bearer(answer, _SERVICE)
    return Given(Credentials("the identity of Google's metadata service", {"accessToken": token.encode()}), seconds)


def azure_token(client: str, resource: str, ask: Ask) -> Given:
    """Return a token of a managed identity of the node (API 2018-02-01): `accessToken`.

    Args:
        client: client ID of the identity; empty where the node has one.
        resource: what the token is for ("https://vault.azure.net").
        ask: asks the service.

    Raises:
        UnavailableError: the metadata service gives none.
    """
    query = {"api-version": _AZURE_API, "resource": resource} | ({"client_id": client} if client else {})
    answer = object_of(ask(MetadataEndpoint.AZURE, {"Metadata": "true"}, query), _SERVICE)
    seconds = text(answer, "expires_in", _SERVICE)
    if _SECONDS.fullmatch(seconds) is None:
        raise unexpected(_SERVICE, "expires_in is not a number of seconds")
    data = _members(answer, {"accessToken": "access_token"}, _SERVICE)
    return Given(Credentials("the managed identity of the node", data), float(seconds))


def _members(answer: Mapping[str, object], names: Mapping[str, str], what: str) -> Mapping[str, bytes]:
    """Return members of a response, each of which must be one word, by other names."""
    data = {ours: text(answer, theirs, what).encode() for ours, theirs in names.items()}
    for ours in names:
        text_member(f"the response of {what}", data, ours)
    return data


def _until(answer: Mapping[str, object], name: str, what: str, clock: Clock) -> float:
    """Return the seconds until a moment in a response."""
    try:
        return (datetime.fromisoformat(text(answer, name, what)) - clock.now()).total_seconds()
    except (ValueError, TypeError):
        raise unexpected(what, f"{name} is not a time with a time zone") from None
