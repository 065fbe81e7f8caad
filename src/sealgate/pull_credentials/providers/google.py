"""Google Artifact Registry and gcr.io: a token of the ServiceAccount, exchanged for an access token.

The token of the ServiceAccount goes to `sts.googleapis.com` (workload identity federation). Where the parameters name a
service account, `iamcredentials.googleapis.com` issues a token of that (generateAccessToken). With the metadata
service, the access token is from there (GKE's workload identity, or the node's service account). Source: Google Cloud,
"Workload Identity Federation", and "Configure authentication to Artifact Registry for Docker" for the user name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from sealgate.cloud.google import STS_URL, WorkloadIdentity, exchange, impersonate
from sealgate.cloud.identities import PlatformIdentity
from sealgate.cloud.metadata import google_token
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

HOST: Final = re.compile(r"[a-z]+(?:-[a-z]+[0-9]+)?-docker\.pkg\.dev|(?:(?:us|eu|asia)\.)?gcr\.io")
_AUDIENCE: Final = re.compile(
    r"//iam\.googleapis\.com/projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}"
    r"/providers/[a-z0-9-]{4,32}"
)
_EMAIL: Final = re.compile(r"[a-z0-9][-a-z0-9]{0,62}@[a-z0-9][-a-z0-9.]{0,253}\.gserviceaccount\.com")
_USERNAME = "oauth2accesstoken"
#: What a token may do is bounded by the roles of its principal; registries accept no narrower scope of all of them.
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
#: A token that is only exchanged for one of a service account may do nothing else.
_SCOPE_OF_IAM = "https://www.googleapis.com/auth/iam"


def open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> GoogleLogin:
    """Return what logs in to a registry of Google; see `OpenLogin`. Parameters: audience, serviceAccount (optional)."""
    del environ
    entry.permit(("serviceAccount",) if entry.metadata_service else ("audience", "serviceAccount"), metadata=True)
    if HOST.fullmatch(host) is None:
        raise invalid(entry.provider, f"{quote(host)} is not LOCATION-docker.pkg.dev or gcr.io")
    account = entry.require("serviceAccount", _EMAIL) if "serviceAccount" in entry.parameters else ""
    if entry.metadata_service:
        return GoogleLogin(None, "", account)
    audience = entry.require("audience", _AUDIENCE)
    if not entry.token_file:
        raise invalid(entry.provider, "there is no tokenFile: set tokenAudience")
    data = {"audience": audience.encode()}
    source = "the ServiceAccount's token for Google"
    return GoogleLogin(PlatformIdentity(source, Path(entry.token_file), "subjectToken", data), audience, account)


@dataclass(frozen=True, slots=True)
class GoogleLogin:
    """See `RegistryLogin`.

    Attributes:
        token: the token of the ServiceAccount; None to ask the metadata service.
        audience: the provider of the workload identity pool; empty without a token.
        account: e-mail address of the service account that is impersonated; empty for none.
    """

    token_services: ClassVar[frozenset[str]] = frozenset()

    token: PlatformIdentity | None
    audience: str
    account: str

    @property
    def identity(self) -> tuple[str, ...]:
        """The provider of the pool, and the service account."""
        return ("metadata" if self.token is None else "federated", self.audience, self.account)

    @property
    def who(self) -> str:
        """The service account, or the principal of the pool."""
        if self.account:
            return f"the service account {self.account}"
        return f"the workload identity of {self.audience}" if self.audience else "the identity of the metadata service"

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        reader = "grant it Artifact Registry Reader on the repositories"
        if self.token is None:
            return f"use GKE's workload identity for the ServiceAccount, and {reader}"
        if not self.account:
            return f"let the pool's provider trust the cluster's issuer, and {reader}"
        return f"let the pool's principal be Workload Identity User of the service account, and {reader}"

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Exchange the token; see `RegistryLogin.log_in`."""
        token, seconds = _ask_metadata(services) if self.token is None else self._exchange(self.token, services)
        if self.account:
            token, seconds = impersonate(self.account, token, _SCOPE, services, clock)
        return Issued(Login(_USERNAME, token), seconds)

    def _exchange(self, file: PlatformIdentity, services: CloudServices) -> tuple[str, float]:
        given = file.read()
        identity = WorkloadIdentity.from_members(given.source, given.data)
        return exchange(identity, _SCOPE_OF_IAM if self.account else _SCOPE, STS_URL, given.source, services)


def _ask_metadata(services: CloudServices) -> tuple[str, float]:
    given = google_token(services.metadata)
    return text_member(given.credentials.source, given.credentials.data, "accessToken"), given.seconds
