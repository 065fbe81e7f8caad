"""Requests to Alibaba Cloud, signed with an access key: ACS3-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from sealgate.clocks import timestamp
from sealgate.http.urls import parse_url
from sealgate.service_secrets import optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ALGORITHM = "ACS3-HMAC-SHA256"


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
