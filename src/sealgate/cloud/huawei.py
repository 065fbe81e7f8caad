"""Requests to Huawei Cloud, signed with an access key: SDK-HMAC-SHA256; and access keys for OIDC tokens (IAM)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from sealgate.cloud.responses import Call, ask_object, member, send, text, unexpected
from sealgate.http.urls import parse_url
from sealgate.service_secrets import optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.http.interface import Services

_ALGORITHM = "SDK-HMAC-SHA256"
_IAM = "Huawei Cloud IAM"
_JSON = {"content-type": "application/json;charset=UTF-8"}
#: Seconds that the access key for a token lives.
SESSION_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class HuaweiCredentials:
    """An access key, of a user or temporary.

    Attributes:
        access_key: ID of the access key.
        secret_key: secret of the access key; signs requests.
        security_token: token of a temporary access key; None for a permanent one.
    """

    access_key: str
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, bytes]) -> HuaweiCredentials:
        """Read the keys accessKey, secretKey and, for temporary ones, securityToken.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        return cls(
            text_member(name, data, "accessKey"),
            text_member(name, data, "secretKey"),
            optional_text_member(name, data, "securityToken"),
        )


def federate(provider: str, token: str, endpoint: str, source: str, services: Services) -> HuaweiCredentials:
    """Return an access key for a token of another issuer, which is valid for `SESSION_SECONDS`.

    IAM issues a token of its own for it (API v3.0, OS-AUTH/id-token/tokens), and an access key for that
    (OS-CREDENTIAL/securitytokens). Neither request is signed.

    Args:
        provider: ID of the identity provider in IAM that trusts the issuer.
        token: the token, such as one of a Kubernetes ServiceAccount.
        endpoint: address of IAM ("https://iam.cn-north-4.myhuaweicloud.com"), without a path.
        source: what messages call the identity; see `describe_secret`.
        services: sends the requests.

    Raises:
        UnauthorizedError: IAM does not accept the token.
        UnavailableError: IAM does not answer, or not with an access key.
    """
    body = json.dumps({"auth": {"id_token": {"id": token}}}).encode()
    headers = {**_JSON, "x-idp-id": provider}
    call = Call("POST", f"{endpoint}/v3.0/OS-AUTH/id-token/tokens", headers, body, None, source)
    issued = send(services, call, _IAM).headers.get("x-subject-token", "")
    if not issued:
        raise unexpected(_IAM, "there is no X-Subject-Token")
    identity = {"methods": ["token"], "token": {"id": issued, "duration_seconds": SESSION_SECONDS}}
    body = json.dumps({"auth": {"identity": identity}}).encode()
    call = Call("POST", f"{endpoint}/v3.0/OS-CREDENTIAL/securitytokens", _JSON, body, None, source)
    found = member(ask_object(services, call, _IAM), "credential", _IAM)
    names = {"accessKey": "access", "secretKey": "secret", "securityToken": "securitytoken"}
    data = {key: text(found, name, _IAM).encode() for key, name in names.items()}
    return HuaweiCredentials.from_secret(f"the response of {_IAM}", data)


def sign_request(  # noqa: PLR0913, PLR0917 - the parts of a request, who signs it and when
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    credentials: HuaweiCredentials,
    now: datetime,
) -> dict[str, str]:
    """Return the headers with which a request is to be sent: the given ones, and those that sign it.

    Args:
        method: "POST".
        url: the whole URL, exactly as it will be asked for.
        headers: further ones; all of them are signed.
        body: what will be sent.
        credentials: who asks.
        now: the time; Huawei takes 15 minutes of difference.

    Raises:
        ForbiddenAddressError: the URL is none.
    """
    date = now.strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): value.strip() for name, value in headers.items()}
    signed |= {"host": parse_url(url).origin.authority, "x-sdk-date": date}
    if credentials.security_token is not None:
        signed["x-security-token"] = credentials.security_token
    names = sorted(signed)
    parts = urlsplit(url)
    canonical = "\n".join(
        [
            method.upper(),
            _path(parts.path),
            _query(parts.query),
            *(f"{name}:{signed[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body or b"").hexdigest(),
        ]
    )
    text = f"{_ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(credentials.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    signed["authorization"] = (
        f"{_ALGORITHM} Access={credentials.access_key}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return signed


def _path(path: str) -> str:
    quoted = "/".join(quote(part, safe="~") for part in unquote(path or "/").split("/"))
    return quoted if quoted.endswith("/") else f"{quoted}/"


def _query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
