"""Requests to Oracle Cloud, signed with an API key: HTTP signatures, RSA with SHA-256.

credentials = OCICredentials.from_secret("oci", {"tenancy": ..., "user": ..., ...})
headers = sign_request("GET", url, {}, None, credentials, clock.now())
services.request("GET", url, headers=headers)
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sealgate.errors import InvalidKeyError
from sealgate.http.urls import parse_url
from sealgate.keys.encrypted_keys import CostlyKeyError, load_pem
from sealgate.oracle_realms import REALM_DOMAINS, realm_of
from sealgate.service_secrets import bytes_member, credentials_error, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# Vaults of all other regions have an "oci" before the domain (oci-cli 3.95.1, `regions_without_oci`).
_OLDER_VAULT_REGIONS = frozenset(
    {
        "us-ashburn-1",
        "us-phoenix-1",
        "us-seattle-1",
        "eu-frankfurt-1",
        "uk-london-1",
        "ap-melbourne-1",
        "ap-mumbai-1",
        "ap-osaka-1",
        "ap-seoul-1",
        "ap-sydney-1",
        "ap-tokyo-1",
        "eu-amsterdam-1",
        "eu-zurich-1",
        "ca-montreal-1",
        "ca-toronto-1",
        "me-jeddah-1",
        "sa-saopaulo-1",
        "us-luke-1",
        "us-langley-1",
        "us-gov-ashburn-1",
        "us-gov-chicago-1",
        "us-gov-phoenix-1",
        "uk-gov-london-1",
    }
)
_GENERIC = ("date", "(request-target)", "host")
_OF_BODY = ("content-length", "content-type", "x-content-sha256")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_MIN_BITS = 2048
#: The most bytes of a private key; RSA of 4096 bits has 3,500 with encryption. To check larger ones takes seconds.
_MAX_KEY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class OCICredentials:
    """An API key of an Oracle Cloud user.

    Attributes:
        key_id: `<tenancy>/<user>/<fingerprint>`, as the Authorization header names it.
        private_key: signs.
    """

    key_id: str
    private_key: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def from_secret(cls, name: str, data: Mapping[str, bytes]) -> OCICredentials:
        """Read the keys tenancy, user, fingerprint, privateKey (PEM) and, for an encrypted one, passphrase.

        Args:
            name: the Secret's name, for messages.
            data: its content.

        Raises:
            UnavailableError: something is missing or not what it should be; nothing of its content is in the message.
        """
        parts = [text_member(name, data, key) for key in ("tenancy", "user", "fingerprint")]
        for part, key in zip(parts, ("tenancy", "user", "fingerprint"), strict=True):
            if '"' in part or "/" in part:
                raise credentials_error(name, f"its {key} has a character that no {key} has; copy it again")
        return cls("/".join(parts), _load(name, data))


def sign_request(  # noqa: PLR0913, PLR0917 - the parts of a request, who signs it and when
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    credentials: OCICredentials,
    now: datetime,
) -> dict[str, str]:
    """Return the headers with which a request is to be sent: the given ones, and those that sign it.

    Args:
        method: "GET".
        url: the whole URL, query included, exactly as it will be asked for.
        headers: further ones; a `content-type` among them is signed too.
        body: what will be sent; of a POST, PUT or PATCH an absent one is signed as an empty one.
        credentials: who asks.
        now: the time; Oracle takes five minutes of difference.

    Raises:
        ForbiddenAddressError: the URL is none.
    """
    parsed = parse_url(url)
    signed = {name.lower(): value for name, value in headers.items()}
    signed |= {"date": format_datetime(now, usegmt=True), "host": parsed.origin.authority}
    names: tuple[str, ...] = _GENERIC
    if method.upper() in _WITH_BODY:
        content = body or b""
        signed.setdefault("content-type", "application/json")
        signed["content-length"] = str(len(content))
        signed["x-content-sha256"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
        names += _OF_BODY
    values = {**signed, "(request-target)": f"{method.lower()} {parsed.target}"}
    text = "\n".join(f"{name}: {values[name]}" for name in names)
    signature = credentials.private_key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    signed["authorization"] = (
        f'Signature algorithm="rsa-sha256",headers="{" ".join(names)}",keyId="{credentials.key_id}",'
        f'signature="{base64.b64encode(signature).decode()}",version="1"'
    )
    return signed


def vault_endpoint(key_id: str, region: str) -> str:
    """Return the management endpoint of the vault that a key is in.

    Args:
        key_id: OCID of the key, whose fifth part names the vault.
        region: "us-phoenix-1".

    Raises:
        KeyError: the domain of the key's realm is not known here.
        ValueError: the OCID names no vault.
    """
    parts = key_id.split(".")
    vault = parts[4] if len(parts) > 5 else ""  # noqa: PLR2004 - ocid1.key.REALM.REGION.VAULT.ID
    if not vault:
        raise ValueError("the OCID names no vault")
    domain = REALM_DOMAINS[realm_of(key_id)]
    return f"https://{vault}-management.kms.{region}.{'' if region in _OLDER_VAULT_REGIONS else 'oci.'}{domain}"


@lru_cache(64)
def _parse(pem: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    """Return a private key; see `load_pem`.

    To parse an RSA key takes 50 times as long as to sign with it, because the library checks the key first.
    """
    return load_pem(pem, passphrase)


def _load(name: str, data: Mapping[str, bytes]) -> rsa.RSAPrivateKey:
    pem = bytes_member(name, data, "privateKey")
    passphrase = data.get("passphrase", b"").strip() or None
    if len(pem) > _MAX_KEY_BYTES:
        raise credentials_error(name, f"its privateKey is larger than {_MAX_KEY_BYTES} bytes; use RSA of 4096 bits")
    try:
        key = _parse(pem, passphrase)
    except CostlyKeyError as error:
        raise credentials_error(name, f"its privateKey cannot be used: {error.message}") from None
    except TypeError:
        why = "its privateKey is encrypted; add passphrase" if passphrase is None else "its passphrase is not needed"
        raise credentials_error(name, why) from None
    except (InvalidKeyError, ValueError, UnsupportedAlgorithm):
        # What the library says may quote what it was given.
        raise credentials_error(name, "its privateKey is no PEM private key, or its passphrase is wrong") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _MIN_BITS:
        raise credentials_error(name, f"its privateKey must be RSA of {_MIN_BITS} bits or more")
    return key
