"""Tokens as a token service gives them out for a notary server, which checks who signed them."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.signers.notary import certified
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from pathlib import Path


def token_for(gun: str, folder: Path) -> tuple[str, Path]:
    """Return a token with every right, and the certificate that vouches for it."""
    (token,), bundle = tokens_for(gun, folder, ("pull", "push", "*"))
    return token, bundle


def tokens_for(gun: str, folder: Path, *rights: tuple[str, ...]) -> tuple[list[str], Path]:
    """Return a token for each set of rights, and the certificate that vouches for all of them."""
    begins = datetime.now(UTC) - timedelta(hours=1)
    issuer = certified("token service", begins=begins, authority=True)
    bundle = folder / "tokens.crt"
    bundle.write_text(issuer.certificate_pem)
    chain = [base64.b64encode(issuer.certificates[0].public_bytes(Encoding.DER)).decode()]
    header = {"typ": "JWT", "alg": "ES256", "x5c": chain}
    unsigned = [".".join(_unpadded(encode(part)) for part in (header, _claims(gun, actions))) for actions in rights]
    return [f"{text}.{_unpadded(issuer.raw(text.encode()))}" for text in unsigned], bundle


def _claims(gun: str, actions: tuple[str, ...]) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": "token service",
        "sub": "robot",
        "aud": "notary",
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 600,
        "jti": "1",
        "access": [{"type": "repository", "name": gun, "actions": list(actions)}],
    }


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
