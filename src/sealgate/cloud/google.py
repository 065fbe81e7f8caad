"""Bearers for Google Cloud: JWTs that a service account signs itself, and workload identity federation (STS)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sealgate.cloud.responses import Call, ask_object, bearer, text, unexpected
from sealgate.errors import InvalidKeyError
from sealgate.keys.encrypted_keys import load_pem
from sealgate.parsing import strict_json
from sealgate.service_secrets import bytes_member, credentials_error, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from sealgate.clocks import Clock
    from sealgate.http.interface import Services

#: Where the token of a workload is exchanged.
STS_URL = "https://sts.googleapis.com/v1/token"
#: Seconds that an access token of a service account lives.
TOKEN_SECONDS = 3600
_IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
_STS, _CREDENTIALS = "Google STS", "Google IAM Credentials"
#: Seconds that a JWT counts; Google takes an hour at most.
JWT_SECONDS = 600
_MIN_BITS = 2048
_MAX_KEY_BYTES = 4096
_MAX_WORD = 512


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """A key of a service account, as Google's console writes it to a file.

    Attributes:
        email: the service account.
        key_id: ID of the key.
        private_key: signs JWTs.
    """

    email: str
    key_id: str
    private_key: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, bytes]) -> ServiceAccountKey:
        """Read the member key.json.

        Raises:
            UnavailableError: it is missing or not what it should be; nothing of its content is in the message.
        """
        content = bytes_member(name, data, "key.json")
        try:
            document = strict_json.parse_object(content, "it")
            kind, email, key_id, pem = (
                strict_json.text_member(document, member, "it")
                for member in ("type", "client_email", "private_key_id", "private_key")
            )
        except strict_json.MalformedError:
            # The error may quote the content.
            raise credentials_error(name, "its key.json is not the JSON of a service account key") from None
        if kind != "service_account" or max(len(email), len(key_id)) > _MAX_WORD:
            raise credentials_error(name, "its key.json is not a key of a service account (type service_account)")
        return cls(email, key_id, _load(name, pem.encode()))

    def bearer(self, audience: str, now: datetime) -> str:
        """Return a JWT for a service: RS256 (Google AIP-4111).

        Args:
            audience: the service ("https://cloudkms.googleapis.com/").
            now: the time.
        """
        issued = int(now.timestamp())
        header = {"typ": "JWT", "alg": "RS256", "kid": self.key_id}
        claims = {"iss": self.email, "sub": self.email, "iat": issued, "exp": issued + JWT_SECONDS, "aud": audience}
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self.private_key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return b".".join((signed, _base64url(signature))).decode()


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """A token of another issuer, such as a token of a Kubernetes ServiceAccount, that Google exchanges for its own.

    Attributes:
        audience: the provider of the workload identity pool ("//iam.googleapis.com/projects/...").
        token: the token.
    """

    audience: str
    token: str = field(repr=False)

    @classmethod
    def from_members(cls, source: str, data: Mapping[str, bytes]) -> WorkloadIdentity:
        """Read the members audience and subjectToken; a member stsUrl names another address of STS.

        Raises:
            UnavailableError: something is missing or not what it should be.
        """
        return cls(text_member(source, data, "audience"), text_member(source, data, "subjectToken"))

    def request_body(self, scope: str) -> bytes:
        """Return the body of the request to STS: a token exchange (RFC 8693).

        Args:
            scope: what the token that is asked for may do.
        """
        return urlencode(
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "audience": self.audience,
                "scope": scope,
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "subject_token": self.token,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            }
        ).encode()


def exchange(identity: WorkloadIdentity, scope: str, url: str, source: str, services: Services) -> tuple[str, float]:
    """Return an access token for a workload identity, and its lifetime in seconds.

    Args:
        identity: the workload's token.
        scope: what the access token may do.
        url: address of the exchange (`STS_URL`).
        source: what messages call the identity; see `describe_secret`.
        services: sends the request.

    Raises:
        UnauthorizedError: Google does not accept the token.
        UnavailableError: it does not answer, or not with an access token.
    """
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    call = Call("POST", url, headers, identity.request_body(scope), None, source)
    return bearer(ask_object(services, call, _STS), _STS)


def impersonate(account: str, token: str, scope: str, services: Services, clock: Clock) -> tuple[str, float]:
    """Return an access token of a service account, and its lifetime in seconds (generateAccessToken).

    Args:
        account: e-mail address of the service account.
        token: access token of a principal that may impersonate it.
        scope: what the access token may do.
        services: sends the request.
        clock: the time, from which the lifetime is counted.

    Raises:
        UnauthorizedError: the principal may not impersonate it.
        UnavailableError: Google does not answer, or not with an access token.
    """
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        "authorization": f"Bearer {token}",
    }
    body = json.dumps({"scope": [scope], "lifetime": f"{TOKEN_SECONDS}s"}).encode()
    call = Call("POST", f"{_IAM}{account}:generateAccessToken", headers, body, None, "the workload identity")
    answer = ask_object(services, call, _CREDENTIALS)
    try:
        end = datetime.fromisoformat(text(answer, "expireTime", _CREDENTIALS))
        seconds = (end - clock.now()).total_seconds()
    except (ValueError, TypeError):
        raise unexpected(_CREDENTIALS, "expireTime is not a time with a time zone") from None
    return text(answer, "accessToken", _CREDENTIALS), seconds


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


@lru_cache(64)
def _parse(pem: bytes) -> PrivateKeyTypes:
    """Return a private key; to parse it takes 50 times as long as to sign with it."""
    return load_pem(pem, None)


def _load(name: str, pem: bytes) -> rsa.RSAPrivateKey:
    if len(pem) > _MAX_KEY_BYTES:
        raise credentials_error(name, f"the private_key of its key.json is larger than {_MAX_KEY_BYTES} bytes")
    try:
        key = _parse(pem)
    except (InvalidKeyError, ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says may quote what it was given.
        raise credentials_error(name, "the private_key of its key.json is not a PEM private key") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _MIN_BITS:
        raise credentials_error(name, f"the private_key of its key.json must be RSA of {_MIN_BITS} bits or more")
    return key
