"""Tokens of Microsoft Entra ID for applications: with a client secret, or with a token of a federated workload."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sealgate.cloud.responses import Call, ask_object, bearer
from sealgate.service_secrets import credentials_error, optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.http.interface import Services

_ID = re.compile(r"[0-9A-Za-z][-.0-9A-Za-z]{0,127}")
_ENTRA = "Microsoft Entra ID"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class AzureApplication:
    """An application, or a managed identity that a workload is federated with.

    Attributes:
        tenant_id: its tenant.
        client_id: its ID.
        secret: the client secret, or the token of the workload.
        federated: whether it is the token of a workload.
        authority: address that issues tokens; None for that of the cloud that the resource is in.
    """

    tenant_id: str
    client_id: str
    secret: str = field(repr=False)
    federated: bool
    authority: str | None

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, bytes]) -> AzureApplication:
        """Read the members tenantId, clientId and clientSecret, or federatedToken in its place; and authority.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        federated = "federatedToken" in data
        tenant, client = (text_member(name, data, member) for member in ("tenantId", "clientId"))
        if not (_ID.fullmatch(tenant) and _ID.fullmatch(client)):
            raise credentials_error(name, "its tenantId and clientId must be IDs; copy them again")
        secret = text_member(name, data, "federatedToken" if federated else "clientSecret")
        return cls(tenant, client, secret, federated, optional_text_member(name, data, "authority"))

    def token_url(self, authority: str) -> str:
        """Return the URL that issues tokens.

        Args:
            authority: address of the cloud that the resource is in ("https://login.microsoftonline.com").
        """
        return f"{(self.authority or authority).rstrip('/')}/{self.tenant_id}/oauth2/v2.0/token"

    def request_body(self, scope: str) -> bytes:
        """Return the body of the request for a token: client credentials (RFC 6749, 4.4; RFC 7523).

        Args:
            scope: the resource ("https://vault.azure.net/.default").
        """
        proof = {"client_secret": self.secret}
        if self.federated:
            proof = {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": self.secret}
        form = {"client_id": self.client_id, "scope": scope, "grant_type": "client_credentials", **proof}
        return urlencode(form).encode()


def log_in(
    application: AzureApplication, authority: str, scope: str, source: str, services: Services
) -> tuple[str, float]:
    """Return a token of an application for a resource, and its lifetime in seconds.

    Args:
        application: the application.
        authority: address of the cloud that the resource is in ("https://login.microsoftonline.com").
        scope: the resource ("https://vault.azure.net/.default").
        source: what messages call the application's credentials; see `describe_secret`.
        services: sends the request.

    Raises:
        UnauthorizedError: Entra ID does not accept the application.
        UnavailableError: it does not answer, or not with a token.
    """
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    call = Call("POST", application.token_url(authority), headers, application.request_body(scope), None, source)
    return bearer(ask_object(services, call, _ENTRA), _ENTRA)
