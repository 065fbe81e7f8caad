"""Requests to AWS, signed with an access key: Signature Version 4; and access keys for a web identity (STS)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sealgate.cloud.responses import Call, ask_object, member, text
from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.http.urls import parse_url
from sealgate.service_secrets import optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.http.interface import Services

_ALGORITHM = "AWS4-HMAC-SHA256"
_STS = "AWS STS"
#: AWS answers most errors with status 400, and says in the code what they are.
ERROR_CODES = {
    "NotFoundException": NotFoundError,
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidIdentityToken",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "UnrecognizedClientException",
        ),
        UnauthorizedError,
    ),
}
#: Seconds that the access key for a web identity lives: the least that every role allows.
SESSION_SECONDS = 3600
_SESSION_NAME = "sealgate"
_STS_VERSION = "2011-06-15"


@dataclass(frozen=True, slots=True)
class AWSCredentials:
    """An access key, of a user or temporary.

    Attributes:
        access_key_id: ID of the access key.
        secret_access_key: secret of the access key; signs requests.
        session_token: token of a temporary access key; None for a permanent one.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, bytes]) -> AWSCredentials:
        """Read the keys accessKeyId, secretAccessKey and, for temporary ones, sessionToken.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        return cls(
            text_member(name, data, "accessKeyId"),
            text_member(name, data, "secretAccessKey"),
            optional_text_member(name, data, "sessionToken"),
        )


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A role that a token of another issuer may assume, such as a token of a Kubernetes ServiceAccount.

    Attributes:
        role_arn: ARN of the role.
        token: the token.
        endpoint: address of STS; None for that of the region.
    """

    role_arn: str
    token: str = field(repr=False)
    endpoint: str | None = None

    @classmethod
    def from_members(cls, source: str, data: Mapping[str, bytes]) -> WebIdentity:
        """Read the members roleArn, webIdentityToken and, where it is not the region's own, stsEndpoint.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        return cls(
            text_member(source, data, "roleArn"),
            text_member(source, data, "webIdentityToken"),
            optional_text_member(source, data, "stsEndpoint"),
        )

    def request_body(self) -> bytes:
        """Return the body of the request to STS: AssumeRoleWithWebIdentity, which needs no signature."""
        return urlencode(
            {
                "Action": "AssumeRoleWithWebIdentity",
                "Version": _STS_VERSION,
                "RoleArn": self.role_arn,
                "RoleSessionName": _SESSION_NAME,
                "WebIdentityToken": self.token,
                "DurationSeconds": SESSION_SECONDS,
            }
        ).encode()


def assume_role(identity: WebIdentity, address: str, source: str, services: Services) -> AWSCredentials:
    """Return an access key for a web identity, which is valid for `SESSION_SECONDS`.

    Args:
        identity: role and token.
        address: that of STS in the region ("https://sts.eu-central-1.amazonaws.com"), unless the identity has another.
        source: what messages call the identity; see `describe_secret`.
        services: sends the request.

    Raises:
        UnauthorizedError: STS does not accept the token for the role.
        UnavailableError: STS does not answer, or not with an access key.
    """
    url = f"{(identity.endpoint or address).rstrip('/')}/"
    # STS answers in XML unless JSON is asked for.
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    call = Call("POST", url, headers, identity.request_body(), None, source, ERROR_CODES)
    result = member(ask_object(services, call, _STS), "AssumeRoleWithWebIdentityResponse", _STS)
    found = member(member(result, "AssumeRoleWithWebIdentityResult", _STS), "Credentials", _STS)
    names = {"accessKeyId": "AccessKeyId", "secretAccessKey": "SecretAccessKey", "sessionToken": "SessionToken"}
    data = {key: text(found, name, _STS).encode() for key, name in names.items()}
    return AWSCredentials.from_secret(f"the response of {_STS}", data)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature counts for.

    Attributes:
        region: "eu-central-1".
        service: "kms".
    """

    region: str
    service: str


def sign_post(  # noqa: PLR0913, PLR0917 - the parts of a request, who signs it and when
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    scope: Scope,
    credentials: AWSCredentials,
    now: datetime,
) -> dict[str, str]:
    """Return the headers with which a POST is to be sent: the given ones, and those that sign it.

    The URL must have no query and no path but `/`, as with all services of the JSON protocols.
    Source: AWS, "Create a signed AWS API request".

    Args:
        url: `https://host/`.
        headers: further headers; all of them are signed.
        body: what will be sent.
        scope: region and service.
        credentials: who calls.
        now: the time; AWS takes five minutes of difference.

    Raises:
        ForbiddenAddressError: the URL is not valid.
    """
    date = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): value for name, value in headers.items()}
    signed |= {"host": parse_url(url).origin.authority, "x-amz-date": date}
    if credentials.session_token is not None:
        signed["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    parts = (date[:8], scope.region, scope.service, "aws4_request")
    text = f"{_ALGORITHM}\n{date}\n{'/'.join(parts)}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in parts:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{'/'.join(parts)}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return signed
