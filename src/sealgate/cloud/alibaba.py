"""Requests to Alibaba Cloud, signed with an access key: ACS3-HMAC-SHA256; and access keys for OIDC tokens (STS)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sealgate.clocks import timestamp
from sealgate.cloud.responses import Call, ask_object, member, text
from sealgate.http.urls import parse_url
from sealgate.service_secrets import optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.http.interface import Services

_ALGORITHM = "ACS3-HMAC-SHA256"
_STS, _STS_VERSION = "Alibaba Cloud STS", "2015-04-01"
#: Seconds that the access key for a token lives: the least that every role allows.
SESSION_SECONDS = 3600
_SESSION_NAME = "sealgate"


@dataclass(frozen=True, slots=True)
class AlibabaCredentials:
    """An access key, of a user or temporary.

    Attributes:
        access_key_id: ID of the access key.
        access_key_secret: secret of the access key; signs requests.
        security_token: token of a temporary access key; None for a permanent one.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, bytes]) -> AlibabaCredentials:
        """Read the keys accessKeyId, accessKeySecret and, for temporary ones, securityToken.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        return cls(
            text_member(name, data, "accessKeyId"),
            text_member(name, data, "accessKeySecret"),
            optional_text_member(name, data, "securityToken"),
        )


@dataclass(frozen=True, slots=True)
class RPCCall:
    """A call of an API in the RPC style: an action with parameters, POSTed without a body.

    Attributes:
        endpoint: `https://host`, without a path.
        action: "GetPublicKey".
        version: of the API: "2016-01-20".
        parameters: what goes into the query.
    """

    endpoint: str
    action: str
    version: str
    parameters: Mapping[str, str]

    @property
    def query(self) -> str:
        """The parameters, sorted and encoded, as they are sent and signed."""
        return "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(self.parameters.items()))

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.endpoint}/?{self.query}"


def sign_call(
    call: RPCCall, credentials: AlibabaCredentials, now: datetime, nonce: str | None = None
) -> dict[str, str]:
    """Return the headers with which a call is to be POSTed.

    Args:
        call: what is called.
        credentials: who calls.
        now: the time; Alibaba takes 15 minutes of difference.
        nonce: used once; a random one by default.

    Raises:
        ForbiddenAddressError: the endpoint is none.
    """
    content = hashlib.sha256(b"").hexdigest()
    signed = {
        "accept": "application/json",
        "host": parse_url(call.url).origin.authority,
        "x-acs-action": call.action,
        "x-acs-content-sha256": content,
        "x-acs-date": timestamp(now),
        "x-acs-signature-nonce": nonce or secrets.token_hex(16),
        "x-acs-version": call.version,
    }
    if credentials.security_token is not None:
        signed["x-acs-security-token"] = credentials.security_token
    names = sorted(signed)
    lines = "".join(f"{name}:{signed[name]}\n" for name in names)
    canonical = f"POST\n/\n{call.query}\n{lines}\n{';'.join(names)}\n{content}"
    text = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(credentials.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return signed


@dataclass(frozen=True, slots=True)
class OIDCIdentity:
    """A RAM role that a token of another issuer may assume, such as a token of a Kubernetes ServiceAccount.

    Attributes:
        role_arn: ARN of the role ("acs:ram::1111222233334444:role/sealgate").
        provider_arn: ARN of the identity provider in RAM that trusts the issuer.
        token: the token.
    """

    role_arn: str
    provider_arn: str
    token: str = field(repr=False)

    @classmethod
    def from_members(cls, source: str, data: Mapping[str, bytes]) -> OIDCIdentity:
        """Read the members roleArn, providerArn and oidcToken.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        return cls(
            text_member(source, data, "roleArn"),
            text_member(source, data, "providerArn"),
            text_member(source, data, "oidcToken"),
        )

    def request_body(self) -> bytes:
        """Return the body of the request to STS; the token is not a part of the URL, which servers write into logs."""
        return urlencode(
            {
                "RoleArn": self.role_arn,
                "OIDCProviderArn": self.provider_arn,
                "OIDCToken": self.token,
                "RoleSessionName": _SESSION_NAME,
                "DurationSeconds": SESSION_SECONDS,
            }
        ).encode()


def assume_role(
    identity: OIDCIdentity, endpoint: str, source: str, services: Services, now: datetime
) -> AlibabaCredentials:
    """Return an access key for a token, which is valid for `SESSION_SECONDS` (AssumeRoleWithOIDC, not signed).

    Args:
        identity: role and token.
        endpoint: address of STS ("https://sts.cn-hangzhou.aliyuncs.com"), without a path.
        source: what messages call the identity; see `describe_secret`.
        services: sends the request.
        now: the time.

    Raises:
        UnauthorizedError: STS does not accept the token for the role.
        UnavailableError: STS does not answer, or not with an access key.
    """
    asked = {
        "Action": "AssumeRoleWithOIDC",
        "Format": "JSON",
        "Timestamp": timestamp(now),
        "Version": _STS_VERSION,
    }
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    call = Call("POST", f"{endpoint}/?{urlencode(asked)}", headers, identity.request_body(), None, source)
    found = member(ask_object(services, call, _STS), "Credentials", _STS)
    names = {"accessKeyId": "AccessKeyId", "accessKeySecret": "AccessKeySecret", "securityToken": "SecurityToken"}
    data = {key: text(found, name, _STS).encode() for key, name in names.items()}
    return AlibabaCredentials.from_secret(f"the response of {_STS}", data)
