"""Azure Container Registry: the workload identity of the ServiceAccount, exchanged for a refresh token of the registry.

The token of the ServiceAccount goes to Microsoft Entra ID. The token that it issues goes to the listed registry alone,
which exchanges it (`POST /oauth2/exchange`) for a refresh token of its own. With the metadata service, the token of
Entra ID is from there (a managed identity of the node).
Source: Azure Container Registry, "AAD-OAuth", and API 2021-07-01.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlencode

from sealgate.cloud.azure import AzureApplication, log_in
from sealgate.cloud.identities import azure_identity
from sealgate.cloud.metadata import azure_token
from sealgate.cloud.responses import Call, ask_object, text, unexpected
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.pull_credentials.interface import Issued
from sealgate.pull_credentials.settings import invalid, require_identity
from sealgate.registry.credentials import Login
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.cloud.identities import PlatformIdentity
    from sealgate.pull_credentials.interface import CloudServices
    from sealgate.pull_credentials.settings import PlatformCredentials

#: A registry's name, with the hash of its domain name label where it has one.
HOST: Final = re.compile(r"[a-z0-9]{5,50}(?:-[a-z0-9]{1,20})?\.(?P<domain>azurecr\.(?:io|cn|us))")
#: Where tokens are issued, by the domain of the registry.
_AUTHORITIES: Final[Mapping[str, str]] = {
    "azurecr.io": "https://login.microsoftonline.com",
    "azurecr.cn": "https://login.chinacloudapi.cn",
    "azurecr.us": "https://login.microsoftonline.us",
}
_WHAT = "Azure Container Registry"
#: Registries of all clouds accept this audience (azure-containerregistry 1.2.0).
_RESOURCE = "https://containerregistry.azure.net"
_CLIENT: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_API_VERSION = "2021-07-01"


def open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> ACRLogin:
    """Return what logs in to a registry of Azure; see `OpenLogin`. Parameter: clientId, with metadataService."""
    entry.permit(("clientId",) if entry.metadata_service else (), metadata=True)
    matched = HOST.fullmatch(host)
    if matched is None:
        raise invalid(entry.provider, f"{quote(host)} is not NAME.azurecr.io")
    if entry.metadata_service:
        client = entry.require("clientId", _CLIENT) if entry.parameters else ""
        return ACRLogin(host, ManagedIdentity(client))
    return ACRLogin(host, Workload(_AUTHORITIES[matched["domain"]], azure_identity(environ)))


@dataclass(frozen=True, slots=True)
class Workload:
    """The workload identity of the ServiceAccount.

    Attributes:
        authority: issues tokens, unless the environment names another address.
        application: tenant, client and token; None if the environment names none.
    """

    authority: str
    application: PlatformIdentity | None

    @property
    def identity(self) -> tuple[str, ...]:
        """Tenant and client."""
        return ("workload", self._member("tenantId"), self._member("clientId"))

    @property
    def who(self) -> str:
        """The client."""
        return f"the workload identity {quote(self._member('clientId'))} for Azure"

    def token(self, services: CloudServices) -> str:
        """Return a token of Entra ID for registries."""
        where = "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE"
        given = require_identity(self.application, where).read()
        application = AzureApplication.from_secret(given.source, given.data)
        return log_in(application, self.authority, f"{_RESOURCE}/.default", given.source, services)[0]

    def _member(self, name: str) -> str:
        return "" if self.application is None else self.application.data[name].decode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """A managed identity of the node, by the metadata service (IMDS, API 2018-02-01).

    Attributes:
        client: its client ID; empty where the node has one identity.
    """

    client: str

    @property
    def identity(self) -> tuple[str, ...]:
        """The client."""
        return ("managed", self.client)

    @property
    def who(self) -> str:
        """The client."""
        return f"the managed identity {self.client} of the node" if self.client else "the managed identity of the node"

    def token(self, services: CloudServices) -> str:
        """Return a token of Entra ID for registries."""
        given = azure_token(self.client, _RESOURCE, services.metadata).credentials
        return text_member(given.source, given.data, "accessToken")


@dataclass(frozen=True, slots=True)
class ACRLogin:
    """See `RegistryLogin`.

    Attributes:
        host: the registry.
        source: gives tokens of Entra ID.
    """

    token_services: ClassVar[frozenset[str]] = frozenset()

    host: str
    source: Workload | ManagedIdentity

    @property
    def identity(self) -> tuple[str, ...]:
        """See `RegistryLogin.identity`."""
        return self.source.identity

    @property
    def who(self) -> str:
        """See `RegistryLogin.who`."""
        return self.source.who

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        trust = "let the identity trust the ServiceAccount, and " if isinstance(self.source, Workload) else ""
        return f"{trust}give the identity the role AcrPull on the registry"

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Exchange the token; see `RegistryLogin.log_in`."""
        form = {"grant_type": "access_token", "service": self.host, "access_token": self.source.token(services)}
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        url = f"https://{self.host}/oauth2/exchange?api-version={_API_VERSION}"
        call = Call("POST", url, headers, urlencode(form).encode(), None, self.who)
        refresh_token = text(ask_object(services, call, _WHAT), "refresh_token", _WHAT)
        return Issued(Login(identity_token=refresh_token), _end_of(refresh_token) - clock.now().timestamp())


def _end_of(token: str) -> int:
    """Return the end of a JWT, in seconds since 1970. Its signature is for the registry."""
    try:
        payload = token.split(".")[1]
        claims = strict_json.parse_object(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), "it")
    except (IndexError, ValueError):
        # Without the cause, which may quote the token.
        raise unexpected(_WHAT, "refresh_token is not a JWT") from None
    end = claims.get("exp")
    if isinstance(end, bool) or not isinstance(end, int):
        raise unexpected(_WHAT, "refresh_token has no end")
    return end
