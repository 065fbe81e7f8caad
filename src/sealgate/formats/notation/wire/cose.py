"""Envelopes in COSE: `COSE_Sign1`, tagged (RFC 9052, 4.2; "COSE Signature Envelope")."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

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
from sealgate.parsing import cbor
from sealgate.parsing.evidence import malformed
from sealgate.parsing.strict_json import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.parsing.cbor import Value

_WHAT = "the COSE envelope"
_PROTECTED = "the envelope's protected header"
_SIGN1, _EPOCH = 18, 1
_ALGORITHM, _CRITICAL, _CONTENT_TYPE, _X5CHAIN = 1, 2, 3, 33
#: Names in JWS of the algorithms by their numbers in COSE (RFC 9053, RFC 8230).
_ALGORITHMS: Mapping[int, str] = {
    -7: "ES256",
    -35: "ES384",
    -36: "ES512",
    -37: "PS256",
    -38: "PS384",
    -39: "PS512",
}


def parse_cose(data: bytes) -> Envelope:
    """Take an envelope apart.

    Args:
        data: the exact bytes.

    Raises:
        VerificationError: it is malformed, or has something critical that is not supported.
    """
    protected, unprotected, payload, signature = _parts(_decode(data, _WHAT))
    attributes = _decode(protected, _PROTECTED)
    if not isinstance(attributes, dict):
        raise malformed(_PROTECTED, "it should be a map")
    if set(attributes) & set(unprotected):
        raise malformed(_WHAT, "a parameter is in both headers")  # RFC 9052, 3
    if attributes.get(_CONTENT_TYPE) != PAYLOAD_TYPE:
        raise malformed(_PROTECTED, f"its payload is not {PAYLOAD_TYPE}")
    algorithm = attributes.get(_ALGORITHM)
    if not isinstance(algorithm, int) or algorithm not in _ALGORITHMS:
        raise malformed(_PROTECTED, "its algorithm is not supported")
    scheme = read_scheme(attributes.get(SIGNING_SCHEME), _PROTECTED)
    check_critical(_critical(attributes), attributes, scheme, _PROTECTED)
    token = unprotected.get(TIMESTAMP, b"")
    if not isinstance(token, bytes):
        raise malformed(_WHAT, f"{TIMESTAMP} should be bytes")
    return Envelope(
        algorithm=_ALGORITHMS[algorithm],
        # The chain may be in either header; the signature binds its first certificate through the key.
        chain=_chain(attributes.get(_X5CHAIN, unprotected.get(_X5CHAIN))),
        scheme=scheme,
        signing_time=_time(attributes, AUTHENTIC_SIGNING_TIME) if scheme is Scheme.SIGNING_AUTHORITY else None,
        expiry=_time(attributes, EXPIRY) if EXPIRY in attributes else None,
        payload=payload,
        signed=signing_input(protected, payload),
        signature=signature,
        timestamp=token,
    )


def protected_header(algorithm: str, signing_time: datetime) -> bytes:
    """Return the protected header of a signature by the scheme `notary.x509`; see the one of JWS."""
    number = next(number for number, name in _ALGORITHMS.items() if name == algorithm)
    attributes: dict[int | str, Value] = {
        _ALGORITHM: number,
        _CRITICAL: [SIGNING_SCHEME],
        _CONTENT_TYPE: PAYLOAD_TYPE,
        SIGNING_TIME: cbor.Tagged(_EPOCH, int(signing_time.timestamp())),
        SIGNING_SCHEME: Scheme.X509.value,
    }
    return cbor.encode(attributes)


def signing_input(protected: bytes, payload: bytes) -> bytes:
    """Return what a signature is made over: the `Sig_structure` (RFC 9052, 4.4)."""
    return cbor.encode(["Signature1", protected, b"", payload])


def build_cose(protected: bytes, payload: bytes, signature: bytes, chain: Sequence[bytes], agent: str) -> bytes:
    """Return an envelope; arguments as for `sealgate.formats.notation.wire.jws.build_jws`."""
    unprotected: dict[int | str, Value] = {_X5CHAIN: list(chain), SIGNING_AGENT: agent}
    return cbor.encode(cbor.Tagged(_SIGN1, [protected, unprotected, payload, signature]))


def _parts(value: Value) -> tuple[bytes, dict[int | str, Value], bytes, bytes]:
    if isinstance(value, cbor.Tagged) and value.tag == _SIGN1 and isinstance(value.value, list):
        match value.value:
            case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)]:
                return protected, unprotected, payload, signature
    raise malformed(_WHAT, "it should be a COSE_Sign1 with its tag: headers, payload, signature")


def _critical(attributes: Mapping[int | str, Value]) -> list[int | str]:
    listed = attributes.get(_CRITICAL)
    if not isinstance(listed, list) or not all(isinstance(label, int | str) for label in listed):
        raise malformed(_PROTECTED, "crit should be a list of labels")
    return [label for label in listed if isinstance(label, int | str)]


def _chain(value: Value) -> tuple[bytes, ...]:
    listed = value if isinstance(value, list) else []
    if not 1 <= len(listed) <= MAX_CHAIN:
        raise malformed(_WHAT, f"it should have a list of 1 to {MAX_CHAIN} certificates")
    chain = tuple(der for der in listed if isinstance(der, bytes))
    if len(chain) != len(listed):
        raise malformed(_WHAT, "its certificates should be bytes")
    return chain


def _time(attributes: Mapping[int | str, Value], name: str) -> datetime:
    value = attributes[name]
    if isinstance(value, cbor.Tagged) and value.tag == _EPOCH and type(value.value) is int:
        try:
            return datetime.fromtimestamp(value.value, UTC)
        except (ValueError, OverflowError, OSError):
            pass  # a time that no calendar has is malformed as well
    raise malformed(_PROTECTED, f"{name} should be a number of seconds since 1970, with its tag")


def _decode(data: bytes, what: str) -> Value:
    try:
        return cbor.decode(data, what)
    except MalformedError as error:
        raise malformed(what, str(error).removeprefix(f"{what} is malformed: ")) from error
