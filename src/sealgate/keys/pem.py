"""PEM: exactly one public key or private key, as people paste it, or a message that says what it is and what to do."""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The most bytes of a PEM text; an RSA key of 16384 bits has under 3,000.
MAX_PEM_BYTES = 65536

_BLOCK = re.compile(
    r"\s*-----BEGIN PUBLIC KEY-----[ \t]*\r?\n([A-Za-z0-9+/=\s]+?)-----END PUBLIC KEY-----\s*", re.ASCII
)
_ANY_BLOCK = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]{1,60})-----[ \t]*\r?\n"
    r"(?P<headers>(?:[A-Za-z-]+: [^\r\n]*\r?\n)+\r?\n)?(?P<body>[A-Za-z0-9+/=\s]*?)-----END (?P=label)-----",
    re.ASCII,
)
#: Curve parameters that openssl writes before a private key; the key names its curve itself.
_PARAMETERS = ("EC PARAMETERS", "SM2 PARAMETERS")
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----")

# Other PEM blocks, by a part of their label, the longer ones first.
_OTHERS: Mapping[str, str] = {
    "PRIVATE KEY": "it is a private key, which belongs in no policy; use its public key "
    "(openssl pkey -in key.pem -pubout), and if the policy was shared, make a new key",
    "RSA PUBLIC KEY": "it is an RSA key in the old PKCS#1 spelling; "
    "convert it (openssl rsa -RSAPublicKey_in -in key.pem -pubout)",
    "CERTIFICATE REQUEST": "it is a certificate request; "
    "take the public key out of it (openssl req -in request.pem -noout -pubkey)",
    "CERTIFICATE": "it is a certificate; take the public key out of it (openssl x509 -in cert.pem -noout -pubkey)",
    "PGP PUBLIC KEY BLOCK": "it is an OpenPGP key, which belongs to another format",
    "EC PARAMETERS": "it begins with curve parameters; "
    "leave them out (openssl pkey -in key.pem -pubout writes only the public key)",
}


def read_public_key_pem(pem: str | bytes) -> bytes:
    """Return the DER inside the one `PUBLIC KEY` block that a text must be.

    Raises:
        InvalidKeyError: it is anything else; the message says what it is and what to do.
    """
    text = _decode(pem)
    labels = _LABEL.findall(text)
    if not labels:
        raise InvalidKeyError(_without_label(text))
    for label in labels:
        _refuse_label(label)
    if len(labels) > 1:
        msg = f"there are {len(labels)} public keys in one text; give each an entry of its own"
        raise InvalidKeyError(msg)
    block = _BLOCK.fullmatch(text)
    if block is None:
        msg = (
            "there is something besides the one public key; keep only the lines from "
            "-----BEGIN PUBLIC KEY----- to -----END PUBLIC KEY-----"
        )
        raise InvalidKeyError(msg)
    try:
        return binascii.a2b_base64("".join(block[1].split()), strict_mode=True)
    except ValueError as error:
        msg = "the public key's base64 is damaged; copy the whole block again"
        raise InvalidKeyError(msg) from error


@dataclass(frozen=True, slots=True)
class PrivateBlock:
    """The PEM block of a private key.

    Attributes:
        label: "PRIVATE KEY", "EC PRIVATE KEY", ...
        data: the bytes inside; of a block that openssl encrypted in its old way, not those of the key.
        encrypted: whether a passphrase is needed, as openssl encrypts keys.
    """

    label: str
    data: bytes = field(repr=False)
    encrypted: bool


def read_private_key_pem(pem: bytes) -> PrivateBlock:
    """Return the one private key that a PEM text must hold; the curve's parameters may be before it.

    Raises:
        InvalidKeyError: it is anything else; the message says what it is and what to do, and nothing of the content.
    """
    try:
        text = pem.decode("ascii")
    except UnicodeDecodeError as error:
        msg = "it is not PEM; convert DER with: openssl pkey -inform DER -in key.der"
        raise InvalidKeyError(msg) from error
    blocks = [block for block in _ANY_BLOCK.finditer(text) if block["label"] not in _PARAMETERS]
    if len(blocks) != 1 or not blocks[0]["label"].endswith("PRIVATE KEY"):
        raise InvalidKeyError("it is not one private key in PEM, which begins with -----BEGIN PRIVATE KEY-----")
    label, headers = blocks[0]["label"], blocks[0]["headers"] or ""
    if label == "OPENSSH PRIVATE KEY":
        raise InvalidKeyError("it is an OpenSSH key; convert a copy of it with: ssh-keygen -p -m PKCS8 -f COPY")
    try:
        data = binascii.a2b_base64("".join(blocks[0]["body"].split()), strict_mode=True)
    except ValueError as error:
        raise InvalidKeyError("the private key's base64 is damaged; copy the whole block again") from error
    return PrivateBlock(label, data, label == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in headers)


def write_pem(label: str, data: bytes) -> bytes:
    """Return a PEM block (RFC 7468)."""
    lines = textwrap.wrap(base64.b64encode(data).decode("ascii"), 64)
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode("ascii")


def _decode(pem: str | bytes) -> str:
    if len(pem) > MAX_PEM_BYTES:
        msg = f"a public key has no more than {MAX_PEM_BYTES} bytes"
        raise InvalidKeyError(msg)
    if isinstance(pem, str):
        return pem
    try:
        return pem.decode("ascii")
    except UnicodeDecodeError as error:
        msg = "it is not PEM; convert DER with: openssl pkey -pubin -inform DER -in key.der -pubout"
        raise InvalidKeyError(msg) from error


def _refuse_label(label: str) -> None:
    if label == "PUBLIC KEY":
        return
    for part, what in _OTHERS.items():
        if part in label:
            raise InvalidKeyError(what)
    msg = f"it is a PEM block {quote(label)}; a public key begins with -----BEGIN PUBLIC KEY-----"
    raise InvalidKeyError(msg)


def _without_label(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        return "it is empty; paste a public key in PEM (-----BEGIN PUBLIC KEY-----)"
    if stripped.startswith(("ssh-", "ecdsa-sha2-", "sk-")):
        return "it is an SSH key; convert it with: ssh-keygen -e -m PKCS8 -f key.pub"
    return "it is not PEM; a public key begins with -----BEGIN PUBLIC KEY-----"
