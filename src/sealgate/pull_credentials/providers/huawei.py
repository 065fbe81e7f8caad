"""Huawei Cloud SWR, basic edition: a token of the ServiceAccount, exchanged for a temporary login of a registry.

The token goes to IAM of the registry's region, which issues an access key, and the signed request for the login to
`swr-api.REGION`. With the metadata service, the access key is from there (the agency of the node).
Source: SWR API Reference (basic edition), CreateSecret; IAM API v3.0; CCE, "Workload Identities".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from sealgate.cloud.huawei import SESSION_SECONDS, HuaweiCredentials, federate, sign_request
from sealgate.cloud.identities import PlatformIdentity
from sealgate.cloud.metadata import huawei_access_key
from sealgate.cloud.responses import Call, base64_text, member, object_of, send, unexpected
from sealgate.messages import quote
from sealgate.pull_credentials.interface import Issued
from sealgate.pull_credentials.settings import invalid
from sealgate.registry.credentials import Login
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.pull_credentials.interface import CloudServices
    from sealgate.pull_credentials.settings import PlatformCredentials

HOST: Final = re.compile(
    r"swr\.(?P<region>[a-z]{2}(?:-[a-z]{2,16}){1,2}-[0-9]{1,3})\.(?P<domain>myhuaweicloud\.(?:com|eu))"
)
_PROJECT: Final = re.compile(r"[0-9a-f]{32}")
_PROVIDER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WHAT = "Huawei Cloud SWR"
_MEMBER = "idToken"


def open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> SWRLogin:
    """Return what logs in to a registry of SWR; see `OpenLogin`. Parameters: projectId, and identityProvider."""
    del environ
    entry.permit(("projectId",) if entry.metadata_service else ("projectId", "identityProvider"), metadata=True)
    matched = HOST.fullmatch(host)
    if matched is None:
        raise invalid(entry.provider, f"{quote(host)} is not swr.REGION.myhuaweicloud.com")
    project = entry.require("projectId", _PROJECT)
    source: Federation | Agency = Agency()
    if not entry.metadata_service:
        provider = entry.require("identityProvider", _PROVIDER)
        if not entry.token_file:
            raise invalid(entry.provider, "there is no tokenFile: set tokenAudience")
        token = PlatformIdentity("the ServiceAccount's token for Huawei Cloud", Path(entry.token_file), _MEMBER, {})
        source = Federation(provider, token)
    return SWRLogin(host, matched["region"], matched["domain"], project, source)


@dataclass(frozen=True, slots=True)
class Federation:
    """An identity provider of IAM that trusts the tokens of the ServiceAccount.

    Attributes:
        provider: its ID.
        token: the token.
    """

    provider: str
    token: PlatformIdentity
    remedy: ClassVar[str] = "let the identity provider trust the cluster's issuer and its rules name the ServiceAccount"

    @property
    def identity(self) -> tuple[str, ...]:
        """The identity provider: there is one ServiceAccount."""
        return ("federated", self.provider)

    @property
    def who(self) -> str:
        """The identity provider."""
        return f"the ServiceAccount at the identity provider {self.provider}"

    def access_key(self, endpoint: str, services: CloudServices, clock: Clock) -> HuaweiCredentials:
        """Return an access key; the token goes to IAM."""
        del clock
        given = self.token.read()
        token = text_member(given.source, given.data, _MEMBER)
        return federate(self.provider, token, endpoint, given.source, services)


@dataclass(frozen=True, slots=True)
class Agency:
    """The agency of the node, by the metadata service."""

    identity: ClassVar[tuple[str, ...]] = ("agency",)
    who: ClassVar[str] = "the agency of the node"
    remedy: ClassVar[str] = "give the node an agency for ECS"

    def access_key(self, endpoint: str, services: CloudServices, clock: Clock) -> HuaweiCredentials:
        """Return an access key of the agency."""
        del endpoint
        given = huawei_access_key(services.metadata, clock).credentials
        return HuaweiCredentials.from_secret(given.source, given.data)


@dataclass(frozen=True, slots=True)
class SWRLogin:
    """See `RegistryLogin`.

    Attributes:
        host: the registry.
        region: its region.
        domain: the domain of the services of the region.
        project: ID of the project in the region, for which the request is signed.
        source: gives access keys.
    """

    host: str
    region: str
    domain: str
    project: str
    source: Federation | Agency

    token_services: ClassVar[frozenset[str]] = frozenset()

    @property
    def identity(self) -> tuple[str, ...]:
        """What the access key is from, and the project."""
        return (*self.source.identity, self.project)

    @property
    def who(self) -> str:
        """See `RegistryLogin.who`."""
        return self.source.who

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        return f"{self.source.remedy}, and permit it swr::createLoginSecret and to read the repositories (SWR ReadOnly)"

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Ask for a temporary login; see `RegistryLogin.log_in`."""
        key = self.source.access_key(f"https://iam.{self.region}.{self.domain}", services, clock)
        url = f"https://swr-api.{self.region}.{self.domain}/v2/manage/utils/secret?projectname={self.region}"
        given = {"content-type": "application/json", "x-project-id": self.project}
        headers = sign_request("POST", url, given, None, key, clock.now())
        response = send(services, Call("POST", url, headers, None, None, self.who), _WHAT)
        found = member(member(object_of(response, _WHAT), "auths", _WHAT), self.host, _WHAT)
        username, _, password = base64_text(found, "auth", _WHAT).decode("ascii", "replace").partition(":")
        if not username or not password:
            raise unexpected(_WHAT, "its login has no user name or no password")
        seconds = _seconds(response.headers.get("x-swr-expireat"), clock)
        # That a login outlives the access key it was made with is not documented.
        return Issued(Login(username, password), min(seconds, SESSION_SECONDS))


def _seconds(end: str | None, clock: Clock) -> float:
    """Return how long a login is valid; services of some regions do not say it, and then it is six hours."""
    if end is None:
        return 6 * 3600
    try:
        return (datetime.fromisoformat(end) - clock.now()).total_seconds()
    except (ValueError, TypeError):
        raise unexpected(_WHAT, "X-Swr-Expireat is not a time with a time zone") from None
