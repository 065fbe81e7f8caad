"""What both kinds of envelopes have in common: the signed attributes, and the payload."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sealgate.messages import quote
from sealgate.parsing.evidence import as_object, malformed, object_member, parse_object, text_member

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

#: Artifact type of a signature's manifest; older ones have it as the type of their config.
ARTIFACT_TYPE = "application/vnd.cncf.notary.signature"
PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
JWS_TYPE = "application/jose+json"
COSE_TYPE = "application/cose"

SIGNING_SCHEME = "io.cncf.notary.signingScheme"
SIGNING_TIME = "io.cncf.notary.signingTime"
AUTHENTIC_SIGNING_TIME = "io.cncf.notary.authenticSigningTime"
EXPIRY = "io.cncf.notary.expiry"
TIMESTAMP = "io.cncf.notary.timestampSignature"
SIGNING_AGENT = "io.cncf.notary.signingAgent"

#: Limit for the certificates of one chain.
MAX_CHAIN = 10


class Scheme(StrEnum):
    """Who vouches for the time of a signature: a timestamp beside it, or the signer itself."""

    X509 = "notary.x509"
    SIGNING_AUTHORITY = "notary.x509.signingAuthority"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is verified.

    Attributes:
        algorithm: name of the signature's algorithm in JWS ("ES256"), of COSE envelopes too.
        chain: DER of the certificates, the signer's first; at least one.
        scheme: the signing scheme.
        signing_time: with the scheme `SIGNING_AUTHORITY` the time that the signer vouches for, UTC; else None: what a
            signer without authority says about its time proves nothing.
        expiry: the end of the signature, UTC; None if it has none.
        payload: decoded bytes.
        signed: the exact bytes that the signature is over.
        signature: decoded; of ECDSA r and s, one after the other.
        timestamp: an RFC 3161 token over the signature; empty if there is none.
    """

    algorithm: str
    chain: tuple[bytes, ...]
    scheme: Scheme
    signing_time: datetime | None
    expiry: datetime | None
    payload: bytes
    signed: bytes
    signature: bytes
    timestamp: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """What a payload is about.

    Attributes:
        digest: as written.
        media_type: as written.
        size: in bytes.
        annotations: the signed metadata, by name.
    """

    digest: str
    media_type: str
    size: int
    annotations: Mapping[str, object]


def read_scheme(text: object, what: str) -> Scheme:
    """Return the signing scheme of that name.

    Raises:
        VerificationError: it is unknown.
    """
    for scheme in Scheme:
        if text == scheme.value:
            return scheme
    raise malformed(what, f"its signing scheme {quote(text, 100)} is unknown")


def check_critical(listed: Collection[object], present: Collection[object], scheme: Scheme, what: str) -> None:
    """Check the list of critical attributes against what is there and what is understood.

    Args:
        listed: the attributes that the envelope calls critical.
        present: the signed attributes that it has.
        scheme: its signing scheme.
        what: name of the envelope for messages.

    Raises:
        VerificationError: an attribute is critical that is unknown or missing, or one is not that must be.
    """
    required = {SIGNING_SCHEME}
    if EXPIRY in present:
        required.add(EXPIRY)
    if scheme is Scheme.SIGNING_AUTHORITY:
        required.add(AUTHENTIC_SIGNING_TIME)
    if len(set(listed)) != len(listed):
        raise malformed(what, "it lists a critical attribute twice")
    unknown = [name for name in listed if name not in required]
    if unknown:
        raise malformed(what, f"its critical attribute {quote(unknown[0], 100)} is not supported or not there")
    missing = sorted(required.difference(listed))
    if missing:
        raise malformed(what, f"its attribute {missing[0]} is not marked as critical")
    # Each scheme has one kind of time; the other scheme's would be read by some verifiers and ignored by others.
    if (AUTHENTIC_SIGNING_TIME if scheme is Scheme.X509 else SIGNING_TIME) in present:
        raise malformed(what, f"it has the time of another signing scheme than its own, {scheme}")
    if scheme is Scheme.SIGNING_AUTHORITY and AUTHENTIC_SIGNING_TIME not in present:
        raise malformed(what, f"its attribute {AUTHENTIC_SIGNING_TIME} is missing")


def parse_payload(payload: bytes) -> Target:
    """Take a payload apart.

    Raises:
        VerificationError: it is malformed.
    """
    what = "the payload"
    target = object_member(parse_object(payload, what), "targetArtifact", what)
    size = target.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise malformed(what, "the size should be a number of bytes")
    annotations = target.get("annotations")
    return Target(
        digest=text_member(target, "digest", what),
        media_type=text_member(target, "mediaType", what),
        size=size,
        annotations={} if annotations is None else as_object(annotations, "the payload's annotations"),
    )


def build_payload(media_type: str, digest: str, size: int, annotations: Mapping[str, str]) -> bytes:
    """Return the payload about an image, as it is signed.

    Args:
        media_type: of the image's manifest.
        digest: of the image's manifest.
        size: of the image's manifest, in bytes.
        annotations: signed metadata; may be empty.
    """
    target: dict[str, object] = {"mediaType": media_type, "digest": digest, "size": size}
    if annotations:
        target["annotations"] = dict(sorted(annotations.items()))
    return json.dumps({"targetArtifact": target}, separators=(",", ":"), ensure_ascii=False).encode()
