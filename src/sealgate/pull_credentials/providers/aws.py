"""Amazon ECR: the IAM role of the ServiceAccount (IRSA or EKS Pod Identity), exchanged for an authorization token.

The token of the ServiceAccount goes to STS of the registry's region (AssumeRoleWithWebIdentity), or to the address of
STS that the environment names (`AWS_ENDPOINT_URL_STS`), and the signed request for the authorization token to
`api.ecr.REGION.amazonaws.com`. With EKS Pod Identity the access key is from the agent on the node, whose address must
be the fixed one, in place of STS. Source: Amazon ECR API 2015-09-21, GetAuthorizationToken.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from sealgate.cloud.aws import ERROR_CODES, AWSCredentials, Scope, WebIdentity, assume_role, sign_post
from sealgate.cloud.identities import aws_identity
from sealgate.cloud.metadata import PodIdentity
from sealgate.cloud.responses import Call, ask_object, base64_text, objects, same, text, unexpected
from sealgate.messages import quote
from sealgate.pull_credentials.interface import Issued
from sealgate.pull_credentials.settings import invalid, require_identity
from sealgate.registry.credentials import Login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from sealgate.cloud.identities import PlatformIdentity
    from sealgate.pull_credentials.interface import CloudServices
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
    entry.permit((), metadata=True)
    matched = HOST.fullmatch(host)
    if matched is None:
        raise invalid(entry.provider, f"{quote(host)} is not ACCOUNT.dkr.ecr.REGION.amazonaws.com")
    role: Role | PodRole = PodRole(PodIdentity.of(environ)) if entry.metadata_service else Role(aws_identity(environ))
    return ECRLogin(host, matched["account"], matched["region"], matched["domain"], role)


@dataclass(frozen=True, slots=True)
class Role:
    """The role of the ServiceAccount, by a token that STS exchanges (IRSA).

    Attributes:
        token: role and token; None if the environment names none.
    """

    token: PlatformIdentity | None

    @property
    def identity(self) -> tuple[str, ...]:
        """The role."""
        return ("role", self._arn)

    @property
    def who(self) -> str:
        """The role."""
        return f"the IAM role {quote(self._arn)}"

    def access_key(self, sts: str, services: CloudServices, clock: Clock) -> AWSCredentials:
        """Return an access key; the token goes to STS."""
        del clock
        given = require_identity(self.token, "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE").read()
        return assume_role(WebIdentity.from_members(given.source, given.data), sts, given.source, services)

    @property
    def _arn(self) -> str:
        return "of the ServiceAccount" if self.token is None else self.token.data["roleArn"].decode("ascii", "replace")


@dataclass(frozen=True, slots=True)
class PodRole:
    """The role of the ServiceAccount, by the agent of EKS Pod Identity on the node.

    Attributes:
        agent: where the agent is.
    """

    agent: PodIdentity
    who: ClassVar[str] = "the role of EKS Pod Identity"

    @property
    def identity(self) -> tuple[str, ...]:
        """The agent: there is one role for each ServiceAccount."""
        return ("pod identity", self.agent.address)

    def access_key(self, sts: str, services: CloudServices, clock: Clock) -> AWSCredentials:
        """Return an access key; the token goes to the agent."""
        del sts
        given = self.agent.access_key(services.metadata, clock).credentials
        return AWSCredentials.from_secret(given.source, given.data)


@dataclass(frozen=True, slots=True)
class ECRLogin:
    """See `RegistryLogin`.

    Attributes:
        host: the registry.
        account: the account that it belongs to.
        region: its region.
        domain: the domain of the services of its partition.
        role: gives access keys.
    """

    token_services: ClassVar[frozenset[str]] = frozenset()

    host: str
    account: str
    region: str
    domain: str
    role: Role | PodRole

    @property
    def identity(self) -> tuple[str, ...]:
        """The role."""
        return self.role.identity

    @property
    def who(self) -> str:
        """The role."""
        return self.role.who

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        return (
            "let the role trust the ServiceAccount, and permit it ecr:GetAuthorizationToken, ecr:BatchGetImage and "
            "ecr:GetDownloadUrlForLayer"
        )

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Ask for an authorization token; see `RegistryLogin.log_in`."""
        key = self.role.access_key(f"https://sts.{self.region}.{self.domain}", services, clock)
        answer = self._ask(key, services, clock)
        found = objects(answer.get("authorizationData"), _WHAT)
        if len(found) != 1:
            raise unexpected(_WHAT, "it does not have one authorization token")
        same(text(found[0], "proxyEndpoint", _WHAT), f"https://{self.host}", _WHAT)
        token = base64_text(found[0], "authorizationToken", _WHAT).decode("ascii", "replace")
        username, _, password = token.partition(":")
        if username != _USERNAME:
            # Without the name: of a token of another form it is the secret.
            raise unexpected(_WHAT, f"its authorization token is not for the user {_USERNAME}")
        if not password:
            raise unexpected(_WHAT, "its authorization token has no password")
        end = found[0].get("expiresAt")
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise unexpected(_WHAT, "expiresAt is missing or not a number")
        return Issued(Login(username, password), end - clock.now().timestamp())

    def _ask(self, credentials: AWSCredentials, services: CloudServices, clock: Clock) -> Mapping[str, object]:
        url = f"https://api.ecr.{self.region}.{self.domain}/"
        body = json.dumps({"registryIds": [self.account]}).encode()
        given = {"content-type": "application/x-amz-json-1.1", "x-amz-target": _TARGET}
        headers = sign_post(url, given, body, Scope(self.region, "ecr"), credentials, clock.now())
        return ask_object(services, Call("POST", url, headers, body, None, self.who, ERROR_CODES), _WHAT)
