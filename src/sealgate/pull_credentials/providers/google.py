"""Google Artifact Registry and gcr.io: a token of the ServiceAccount, exchanged for an access token.

The token of the ServiceAccount goes to `sts.googleapis.com` (workload identity federation). Where the parameters name a
service account, `iamcredentials.googleapis.com` issues a token of that (generateAccessToken). Source: Google Cloud,
"Workload Identity Federation", and "Configure authentication to Artifact Registry for Docker" for the user name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealgate.cloud.google import STS_URL, WorkloadIdentity, exchange, impersonate
from sealgate.cloud.identities import PlatformIdentity
from sealgate.messages import quote
from sealgate.pull_credentials.interface import Issued
from sealgate.pull_credentials.settings import invalid
from sealgate.registry.credentials import Login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
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
    entry.permit(("audience", "serviceAccount"))
    if HOST.fullmatch(host) is None:
        raise invalid(entry.provider, f"{quote(host)} is not LOCATION-docker.pkg.dev or gcr.io")
    audience = entry.require("audience", _AUDIENCE)
    account = entry.require("serviceAccount", _EMAIL) if "serviceAccount" in entry.parameters else ""
    if not entry.token_file:
        raise invalid(entry.provider, "there is no tokenFile: set tokenAudience")
    data = {"audience": audience.encode()}
    source = "the ServiceAccount's token for Google"
    return GoogleLogin(PlatformIdentity(source, Path(entry.token_file), "subjectToken", data), audience, account)


@dataclass(frozen=True, slots=True)
class GoogleLogin:
    """See `RegistryLogin`.

    Attributes:
        token: the token of the ServiceAccount.
        audience: the provider of the workload identity pool.
        account: e-mail address of the service account that is impersonated; empty for none.
    """

    token: PlatformIdentity
    audience: str
    account: str

    @property
    def identity(self) -> tuple[str, ...]:
        """The provider of the pool, and the service account."""
        return ("federated", self.audience, self.account)

    @property
    def who(self) -> str:
        """The service account, or the principal of the pool."""
        return f"the service account {self.account}" if self.account else f"the workload identity of {self.audience}"

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        reader = "grant it Artifact Registry Reader on the repositories"
        if not self.account:
            return f"let the pool's provider trust the cluster's issuer, and {reader}"
        return f"let the pool's principal be Workload Identity User of the service account, and {reader}"

    def log_in(self, services: Services, clock: Clock) -> Issued:
        """Exchange the token; see `RegistryLogin.log_in`."""
        given = self.token.read()
        identity = WorkloadIdentity.from_members(given.source, given.data)
        scope = _SCOPE_OF_IAM if self.account else _SCOPE
        token, seconds = exchange(identity, scope, STS_URL, given.source, services)
        if self.account:
            token, seconds = impersonate(self.account, token, _SCOPE, services, clock)
        return Issued(Login(_USERNAME, token), seconds)
