"""Requests to Oracle Cloud are signed with the API key of a Secret."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from sealgate.cloud.oracle import OCICredentials, sign_request
from sealgate.errors import UnavailableError
from sealgate.reasons import Reason
from tests.support.signers.kept_keys import kept_rsa_key

KEY = kept_rsa_key(2048, "a user of Oracle Cloud")
NOW = datetime(2026, 11, 21, 9, 5, 7, tzinfo=UTC)
URL = (
    "https://artifacts.us-phoenix-1.oci.oraclecloud.com/20160918/container/imageSignatures?compartmentId=a%2Fb&limit=2"
)


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY, encryption: KeySerializationEncryption | None = None
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def secret(**members: bytes) -> dict[str, bytes]:
    return {
        "tenancy": b"ocid1.tenancy.oc1..t\n",
        "user": b"ocid1.user.oc1..u",
        "fingerprint": b"20:3b",
        "privateKey": pem(),
    } | members


def verify(headers: dict[str, str], text: str) -> None:
    match = re.search(r'signature="([^"]+)"', headers["authorization"])
    assert match
    KEY.public_key().verify(base64.b64decode(match[1]), text.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_get_signs_date_target_and_host() -> None:
    headers = sign_request(
        "GET", URL, {"accept": "application/json"}, None, OCICredentials.from_secret("oci", secret()), NOW
    )
    assert headers["date"] == "Sat, 21 Nov 2026 09:05:07 GMT"
    assert headers["accept"] == "application/json"
    assert 'keyId="ocid1.tenancy.oc1..t/ocid1.user.oc1..u/20:3b"' in headers["authorization"]
    assert 'headers="date (request-target) host"' in headers["authorization"]
    verify(
        headers,
        "date: Sat, 21 Nov 2026 09:05:07 GMT\n"
        "(request-target): get /20160918/container/imageSignatures?compartmentId=a%2Fb&limit=2\n"
        "host: artifacts.us-phoenix-1.oci.oraclecloud.com",
    )


@pytest.mark.parametrize("body", [b'{"message":"x"}', None])
def test_a_post_signs_its_body_too(body: bytes | None) -> None:
    headers = sign_request("POST", URL, {}, body, OCICredentials.from_secret("oci", secret()), NOW)
    digest = base64.b64encode(hashlib.sha256(body or b"").digest()).decode()
    verify(
        headers,
        "date: Sat, 21 Nov 2026 09:05:07 GMT\n"
        "(request-target): post /20160918/container/imageSignatures?compartmentId=a%2Fb&limit=2\n"
        "host: artifacts.us-phoenix-1.oci.oraclecloud.com\n"
        f"content-length: {len(body or b'')}\ncontent-type: application/json\nx-content-sha256: {digest}",
    )


def test_key_is_parsed_once_for_all_requests() -> None:
    assert (
        OCICredentials.from_secret("oci", secret()).private_key
        is OCICredentials.from_secret("oci", secret()).private_key
    )


def test_an_encrypted_key_is_opened_with_its_passphrase() -> None:
    encrypted = pem(encryption=BestAvailableEncryption(b"pass"))
    found = OCICredentials.from_secret("oci", secret(privateKey=encrypted, passphrase=b"pass\n"))
    assert found.private_key.private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"tenancy": b""}, "it has no tenancy; add it"),
        ({"user": b"a b"}, "its user is not one word of printable ASCII"),
        ({"fingerprint": b'a",b="'}, "its fingerprint has a character"),
        ({"privateKey": b"x" * 40000}, "its privateKey is larger than"),
        ({"privateKey": b"not a key"}, "its privateKey is no PEM private key"),
        ({"privateKey": pem(encryption=BestAvailableEncryption(b"p"))}, "it.* is encrypted; add passphrase"),
        ({"privateKey": pem(encryption=BestAvailableEncryption(b"p")), "passphrase": b"q"}, "passphrase is wrong"),
        ({"passphrase": b"p"}, "its passphrase is not needed"),
        ({"privateKey": pem(ec.generate_private_key(ec.SECP256R1()))}, "must be RSA of 2048 bits"),
    ],
)
def test_credentials_that_cannot_be_used_are_named_and_not_shown(members: dict[str, bytes], why: str) -> None:
    with pytest.raises(UnavailableError, match=why) as caught:
        OCICredentials.from_secret("oci", secret(**members))
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY
    assert "Secret oci" in caught.value.message
    assert "PRIVATE KEY" not in caught.value.message


def test_credentials_are_not_in_their_own_text() -> None:
    assert "rsa" not in repr(OCICredentials.from_secret("oci", secret())).lower()
