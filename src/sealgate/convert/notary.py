"""Keys and servers of Notary v1 in other tools' configuration, as fields of `notary`."""

from __future__ import annotations

import re

from sealgate.convert.signers import NoEquivalentError
from sealgate.errors import InvalidKeyError
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote

#: One key in PEM; docker writes the signer's name into a header, which is left out.
_KEY = re.compile(
    r"\s*-----BEGIN PUBLIC KEY-----\r?\n(?:[A-Za-z-]+: [^\n]*\n)*\s*"
    r"(?P<body>[A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----(?:\r?\n)?"
)
#: The kinds of keys that the other tools verify.
_KINDS = ("ECDSA", "RSA")
_SCHEMES = ("http://", "https://")


def bare_key(text: str, field: str) -> str:
    """Return one public key in PEM, without headers.

    Args:
        text: the key in PEM, and nothing after it.
        field: where it is, for messages.

    Raises:
        NoEquivalentError: it is not one ECDSA or RSA key that sealgate accepts.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise NoEquivalentError(f"{field} must be one public key in PEM")
    body = "".join(match["body"].split())
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    pem = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])
    try:
        kind = load_public_key(pem).kind
    except InvalidKeyError as error:
        raise NoEquivalentError(f"{field} cannot be accepted: {error.message}") from error
    if not kind.startswith(_KINDS):
        raise NoEquivalentError(f"{field} is not a key of ECDSA or RSA but {quote(kind, 40)}")
    return pem


def server_url(host: str) -> str:
    """Return the address of a notary server; one without scheme is asked over HTTPS."""
    return host if host.lower().startswith(_SCHEMES) else f"https://{host}"
