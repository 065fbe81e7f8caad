"""Sigstore bundles made with a key: a DSSE envelope and a hint at the key.

Certificates, transparency log entries and timestamps may stand beside it. They belong to keyless signatures, which
another kind of authenticator would check; here they are not looked at and prove nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.dsse import parse_envelope
from sealgate.messages import quote
from sealgate.parsing.strict_json import object_member, optional_text, parse_object, text_member
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.dsse import Envelope

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A parsed bundle; nothing in it is verified.

    Attributes:
        envelope: what is signed, with its signatures.
        hint: base64 of the SHA-256 of the signer's public key, as the bundle says; empty if it says none.
        keyless: whether it brings a certificate instead of naming a key.
    """

    envelope: Envelope
    hint: str
    keyless: bool


def parse_bundle(data: bytes, what: str) -> Bundle:
    """Take a bundle apart.

    Args:
        data: the exact bytes.
        what: what they are, for messages ("the bundle").

    Raises:
        VerificationError: it is malformed, of another version, or no envelope is in it.
    """
    bundle = parse_object(data, what)
    media_type = text_member(bundle, "mediaType", what)
    if media_type != BUNDLE_TYPE:
        msg = f"{what} says it is {quote(media_type, 100)}; only {BUNDLE_TYPE} is supported"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    if "messageSignature" in bundle:
        msg = f"{what} signs a file (messageSignature), not an image"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    material = object_member(bundle, "verificationMaterial", what)
    return Bundle(
        envelope=parse_envelope(object_member(bundle, "dsseEnvelope", what), what),
        hint=_hint(material, what),
        keyless="certificate" in material or "x509CertificateChain" in material,
    )


def key_hint(fingerprint: str) -> str:
    """Return the hint that bundles carry for the key with that fingerprint."""
    return base64.b64encode(bytes.fromhex(fingerprint.removeprefix("sha256:"))).decode("ascii")


def _hint(material: Mapping[str, object], what: str) -> str:
    if "publicKey" not in material:
        return ""
    return optional_text(object_member(material, "publicKey", what), "hint", what) or ""
