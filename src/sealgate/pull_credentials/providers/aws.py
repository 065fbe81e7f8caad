"""Amazon ECR: the IAM role of the ServiceAccount (IRSA), exchanged for an authorization token.

The token of the ServiceAccount goes to STS of the registry's region (AssumeRoleWithWebIdentity), or to the address of
STS that the environment names (`AWS_ENDPOINT_URL_STS`), and the signed request for the authorization token to
`api.ecr.REGION.amazonaws.com`. Source: Amazon ECR API 2015-09-21, GetAuthorizationToken.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealgate.cloud.aws import ERROR_CODES, Scope, WebIdentity, assume_role, sign_post
from sealgate.cloud.identities import aws_identity
from sealgate.cloud.responses import Call, ask_object, base64_text, objects, same, text, unexpected
from sealgate.messages import quote
from sealgate.pull_credentials.interface import Issued
from sealgate.pull_credentials.settings import invalid, require_identity
from sealgate.registry.credentials import Login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.cloud.aws import AWSCredentials
    from sealgate.cloud.identities import PlatformIdentity
    from sealgate.http.interface import Services
    from sealgate.pull_credentials.settings import PlatformCredentials

#: A private registry of an account, in the partitions that have this form of host (Amazon ECR, "Private registry").
HOST: Final = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z]{2,4}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2})"
    r"\.(?P<domain>amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu)"
)
_WHAT = "Amazon ECR"
_TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
_USERNAME = "AWS"


def open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> ECRLogin:
    """Return what logs in to a registry of Amazon ECR; see `OpenLogin`. There are no parameters."""
    entry.permit(())
    matched = HOST.fullmatch(host)
    if matched is None:
        raise invalid(entry.provider, f"{quote(host)} is not ACCOUNT.dkr.ecr.REGION.amazonaws.com")
    return ECRLogin(host, matched["account"], matched["region"], matched["domain"], aws_identity(environ))


@dataclass(frozen=True, slots=True)
class ECRLogin:
    """See `RegistryLogin`.

    Attributes:
        host: the registry.
        account: the account that it belongs to.
        region: its region.
        domain: the domain of the services of its partition.
        role: the role of the ServiceAccount; None if the environment names none.
    """

    host: str
    account: str
    region: str
    domain: str
    role: PlatformIdentity | None

    @property
    def identity(self) -> tuple[str, ...]:
        """The role."""
        return ("role", self._arn)

    @property
    def who(self) -> str:
        """The role."""
        return f"the IAM role {quote(self._arn)}"

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        return (
            "let the role trust the ServiceAccount, and permit it ecr:GetAuthorizationToken, ecr:BatchGetImage and "
            "ecr:GetDownloadUrlForLayer"
        )

    def log_in(self, services: Services, clock: Clock) -> Issued:
        """Ask for an authorization token; see `RegistryLogin.log_in`."""
        answer = self._ask(self._assume_role(services), services, clock)
        found = objects(answer.get("authorizationData"), _WHAT)
        if len(found) != 1:
            raise unexpected(_WHAT, "it does not have one authorization token")
        same(text(found[0], "proxyEndpoint", _WHAT), f"https://{self.host}", _WHAT)
        token = base64_text(found[0], "authorizationToken", _WHAT).decode("ascii", "replace")
        username, _, password = token.partition(":")
        same(username, _USERNAME, _WHAT)
        if not password:
            raise unexpected(_WHAT, "its authorization token has no password")
        end = found[0].get("expiresAt")
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise unexpected(_WHAT, "expiresAt is missing or not a number")
        return Issued(Login(username, password), end - clock.now().timestamp())

    def _assume_role(self, services: Services) -> AWSCredentials:
        given = require_identity(self.role, "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE").read()
        address = f"https://sts.{self.region}.{self.domain}"
        return assume_role(WebIdentity.from_members(given.source, given.data), address, given.source, services)

    def _ask(self, credentials: AWSCredentials, services: Services, clock: Clock) -> Mapping[str, object]:
        url = f"https://api.ecr.{self.region}.{self.domain}/"
        body = json.dumps({"registryIds": [self.account]}).encode()
        given = {"content-type": "application/x-amz-json-1.1", "x-amz-target": _TARGET}
        headers = sign_post(url, given, body, Scope(self.region, "ecr"), credentials, clock.now())
        return ask_object(services, Call("POST", url, headers, body, None, self.who, ERROR_CODES), _WHAT)

    @property
    def _arn(self) -> str:
        return "of the ServiceAccount" if self.role is None else self.role.data["roleArn"].decode("ascii", "replace")
