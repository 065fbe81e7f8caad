"""Envelopes in JWS: flattened JSON serialisation (RFC 7515, 7.2.2; "JWS Signature Envelope")."""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sealgate.clocks import timestamp
from sealgate.formats.notation.wire.envelope import (
    AUTHENTIC_SIGNING_TIME,
    EXPIRY,
    MAX_CHAIN,
    PAYLOAD_TYPE,
    SIGNING_AGENT,
    SIGNING_SCHEME,
    SIGNING_TIME,
    TIMESTAMP,
    Envelope,
    Scheme,
    check_critical,
    read_scheme,
)
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    base64_member,
    decode_base64,
    list_member,
    malformed,
    object_member,
    only_members,
    parse_object,
    text_member,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WHAT = "the JWS envelope"
_PROTECTED = "the envelope's protected header"
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]*")
# RFC 3339, section 5.6.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def parse_jws(data: bytes) -> Envelope:
    """Take an envelope apart.

    Args:
        data: the exact bytes.

    Raises:
        VerificationError: it is malformed, or has something critical that is not supported.
    """
    members = parse_object(data, _WHAT)
    only_members(members, ("payload", "protected", "header", "signature"), _WHAT)
    encoded, protected = text_member(members, "payload", _WHAT), text_member(members, "protected", _WHAT)
    header = object_member(members, "header", _WHAT)
    attributes = parse_object(_decode(protected, "protected"), _PROTECTED)
    if set(header) & set(attributes):
        raise malformed(_WHAT, "a parameter is in both headers")  # RFC 7515, 7.2.1
    content_type = text_member(attributes, "cty", _PROTECTED)
    if content_type != PAYLOAD_TYPE:
        raise malformed(_PROTECTED, f"its payload is {quote(content_type, 100)}, not {PAYLOAD_TYPE}")
    scheme = read_scheme(attributes.get(SIGNING_SCHEME), _PROTECTED)
    check_critical(_critical(attributes), attributes, scheme, _PROTECTED)
    return Envelope(
        algorithm=text_member(attributes, "alg", _PROTECTED),
        chain=_chain(header),
        scheme=scheme,
        signing_time=_time(attributes, AUTHENTIC_SIGNING_TIME) if scheme is Scheme.SIGNING_AUTHORITY else None,
        expiry=_time(attributes, EXPIRY) if EXPIRY in attributes else None,
        payload=_decode(encoded, "payload"),
        signed=f"{protected}.{encoded}".encode("ascii"),
        signature=_decode(text_member(members, "signature", _WHAT), "signature"),
        timestamp=base64_member(header, TIMESTAMP, _WHAT) if TIMESTAMP in header else b"",
    )


def protected_header(algorithm: str, signing_time: datetime) -> bytes:
    """Return the protected header of a signature by the scheme `notary.x509`.

    Args:
        algorithm: see `Envelope.algorithm`.
        signing_time: UTC, to the second.
    """
    attributes = {
        "alg": algorithm,
        "crit": [SIGNING_SCHEME],
        "cty": PAYLOAD_TYPE,
        SIGNING_SCHEME: Scheme.X509.value,
        SIGNING_TIME: timestamp(signing_time),
    }
    return json.dumps(attributes, separators=(",", ":")).encode()


def signing_input(protected: bytes, payload: bytes) -> bytes:
    """Return what a signature is made over (RFC 7515, 5.1)."""
    return f"{_encode(protected)}.{_encode(payload)}".encode("ascii")


def build_jws(protected: bytes, payload: bytes, signature: bytes, chain: Sequence[bytes], agent: str) -> bytes:
    """Return an envelope.

    Args:
        protected: see `protected_header`.
        payload: see `sealgate.formats.notation.wire.envelope.build_payload`.
        signature: over `signing_input`; of ECDSA r and s, one after the other.
        chain: DER of the certificates, the signer's first.
        agent: name and version of the program that signs.
    """
    header = {"x5c": [base64.b64encode(der).decode("ascii") for der in chain], SIGNING_AGENT: agent}
    envelope = {
        "payload": _encode(payload),
        "protected": _encode(protected),
        "header": header,
        "signature": _encode(signature),
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def _critical(attributes: Mapping[str, object]) -> list[str]:
    listed = list_member(attributes, "crit", _PROTECTED)
    names = [name for name in listed if isinstance(name, str)]
    if len(names) != len(listed):
        raise malformed(_PROTECTED, "crit should be a list of names")
    return names


def _chain(header: Mapping[str, object]) -> tuple[bytes, ...]:
    listed = list_member(header, "x5c", _WHAT)
    if not 1 <= len(listed) <= MAX_CHAIN:
        raise malformed(_WHAT, f"it has {len(listed)} certificates where there should be 1 to {MAX_CHAIN}")
    texts = [text for text in listed if isinstance(text, str)]
    if len(texts) != len(listed):
        raise malformed(_WHAT, "x5c should be a list of texts")
    return tuple(decode_base64(text, "a certificate of the envelope") for text in texts)


def _time(attributes: Mapping[str, object], name: str) -> datetime:
    text = text_member(attributes, name, _PROTECTED)
    match = _TIME.fullmatch(text)
    try:
        if match is not None:
            zone = match[3].upper().replace("Z", "+00:00")
            return datetime.fromisoformat(match[1].upper() + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a time that no calendar has is malformed as well
    raise malformed(_PROTECTED, f"{name} should be a time of RFC 3339")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _decode(text: str, name: str) -> bytes:
    """Decode base64url without padding, in the one spelling that each value has (RFC 7515, 2)."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if _URL_SAFE.fullmatch(text) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or _encode(data) != text:
        raise malformed(_WHAT, f"{name} should be base64url without padding")
    return data
