"""Alibaba Cloud Container Registry, Enterprise Edition: the RAM role of the ServiceAccount (RRSA), for a login.

The token of the ServiceAccount goes to STS of the registry's region (AssumeRoleWithOIDC), and the signed request for
the login to the region's API. For a host of the VPC these are the addresses in the VPC. The registry's tokens are
issued at another host of the region, which therefore gets the login as well.
Source: Container Registry API 2018-12-01, GetAuthorizationToken; STS API 2015-04-01, AssumeRoleWithOIDC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealgate.cloud.alibaba import OIDCIdentity, RPCCall, assume_role, sign_call
from sealgate.cloud.identities import alibaba_identity
from sealgate.cloud.responses import Call, ask_object, text, unexpected, whole_number
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

#: An instance's own host, on the internet or in the VPC (Container Registry, "Configure access over a VPC").
HOST: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?-registry(?P<network>-vpc)?"
    r"\.(?P<region>[a-z]{2,4}(?:-[a-z0-9]{1,16}){1,4})\.cr\.aliyuncs\.com"
)
_INSTANCE: Final = re.compile(r"cri-[a-z0-9]{1,32}")
_WHAT = "Alibaba Cloud Container Registry"
_ACTION, _VERSION = "GetAuthorizationToken", "2018-12-01"
#: The one region whose public token service has another form of name.
_ZHANGJIAKOU = "cn-zhangjiakou"


def open_login(entry: PlatformCredentials, host: str, environ: Mapping[str, str]) -> ACREELogin:
    """Return what logs in to an instance; see `OpenLogin`. Parameter: instanceId."""
    entry.permit(("instanceId",))
    matched = HOST.fullmatch(host)
    if matched is None:
        raise invalid(entry.provider, f"{quote(host)} is not NAME-registry.REGION.cr.aliyuncs.com")
    instance = entry.require("instanceId", _INSTANCE)
    return ACREELogin(host, matched["region"], matched["network"] or "", instance, alibaba_identity(environ))


@dataclass(frozen=True, slots=True)
class ACREELogin:
    """See `RegistryLogin`.

    Attributes:
        host: the registry.
        region: its region.
        network: what the names of services end with in its network: "-vpc", or empty for the internet.
        instance: ID of the instance.
        role: role, identity provider and token; None if the environment names none.
    """

    host: str
    region: str
    network: str
    instance: str
    role: PlatformIdentity | None

    @property
    def identity(self) -> tuple[str, ...]:
        """The role and the instance."""
        return ("role", self._arn, self.instance)

    @property
    def token_services(self) -> frozenset[str]:
        """The token services of the region."""
        names = {f"dockerauth{kind}{self.network}.{self.region}.aliyuncs.com" for kind in ("", "-ee")}
        if self.region == _ZHANGJIAKOU and not self.network:
            names.add(f"dockerauth-{self.region}.aliyuncs.com")
        return frozenset(names)

    @property
    def who(self) -> str:
        """The role."""
        return f"the RAM role {quote(self._arn)}"

    @property
    def remedy(self) -> str:
        """The rights that it needs."""
        return "let the role trust the ServiceAccount, and permit it cr:GetAuthorizationToken and cr:PullRepository"

    def log_in(self, services: CloudServices, clock: Clock) -> Issued:
        """Ask for a temporary login; see `RegistryLogin.log_in`."""
        where = "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and ALIBABA_CLOUD_OIDC_TOKEN_FILE"
        given = require_identity(self.role, where).read()
        identity = OIDCIdentity.from_members(given.source, given.data)
        key = assume_role(identity, self._endpoint("sts"), given.source, services, clock.now())
        call = RPCCall(self._endpoint("cr"), _ACTION, _VERSION, {"InstanceId": self.instance})
        headers = sign_call(call, key, clock.now())
        answer = ask_object(services, Call("POST", call.url, headers, None, None, self.who), _WHAT)
        if answer.get("IsSuccess") is not True:
            raise unexpected(_WHAT, "IsSuccess is not true")
        end = whole_number(answer, "ExpireTime", _WHAT)
        login = Login(text(answer, "TempUsername", _WHAT), text(answer, "AuthorizationToken", _WHAT))
        return Issued(login, end / 1000 - clock.now().timestamp())

    def _endpoint(self, service: str) -> str:
        return f"https://{service}{self.network}.{self.region}.aliyuncs.com"

    @property
    def _arn(self) -> str:
        return "of the ServiceAccount" if self.role is None else self.role.data["roleArn"].decode("ascii", "replace")
