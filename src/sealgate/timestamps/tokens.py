"""Timestamp tokens taken apart: `TimeStampResp` and `TSTInfo` (RFC 3161) in CMS `SignedData` (RFC 5652).

Nothing here is verified. What has no use in a timestamp is refused instead of passed over: several signers, attributes
that occur twice, critical extensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from sealgate.errors import VerificationError
from sealgate.parsing.der import (
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Element,
    MalformedDERError,
    context,
    read_boolean,
    read_element,
    read_integer,
    read_object_identifier,
    read_sequence,
)
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Limit for one token in bytes; real ones have less than 8 KiB.
MAX_TOKEN_BYTES = 65536

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
#: Hashes by the OID of their AlgorithmIdentifier, named as `hashlib` has them.
HASHES: Mapping[str, str] = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_GRANTED = (0, 1)  # granted, grantedWithMods
_MAX_CERTIFICATES = 8


@dataclass(frozen=True, slots=True)
class Token:
    """A parsed timestamp token; nothing in it is verified.

    Attributes:
        content: the `TSTInfo`, DER.
        hash_name: hash of the imprint: "sha256", "sha384" or "sha512".
        imprint: the hash of what was timestamped.
        time: the time that it states.
        accuracy: how far the true time may be from it; zero if the token states none.
        certificates: DER of the certificates in it, in order; may be empty.
        issuer: DER of the name of the issuer of the signer's certificate.
        serial_number: of the signer's certificate.
        certificate_hashes: hashes that the signer's certificate must have, each with its hash's name; at least one.
        digest_algorithm: OID of the hash that the signer used.
        content_digest: the signed attribute messageDigest.
        signed_attributes: the exact bytes that the signature is over.
        signature_algorithm: OID of the signature's algorithm.
        signature: decoded.
    """

    content: bytes
    hash_name: str
    imprint: bytes
    time: datetime
    accuracy: timedelta
    certificates: tuple[bytes, ...]
    issuer: bytes
    serial_number: int
    certificate_hashes: tuple[tuple[str, bytes], ...]
    digest_algorithm: str
    content_digest: bytes
    signed_attributes: bytes
    signature_algorithm: str
    signature: bytes


def parse_response(data: bytes) -> Token:
    """Take a `TimeStampResp` apart (RFC 3161, 2.4.2).

    Raises:
        VerificationError: it is malformed, or the TSA refused to issue a timestamp.
    """
    _check_size(data)
    try:
        status, token = read_sequence(read_element(data), 2, 2)
        granted = read_integer(read_sequence(status, 1, 3)[0]) in _GRANTED
        return _parse_token(token) if granted else _refuse("the TSA did not grant it")
    except MalformedDERError as error:
        raise _malformed(error) from error


def parse_token(data: bytes) -> Token:
    """Take a `TimeStampToken` apart, the part of a response that is kept beside a signature.

    Raises:
        VerificationError: it is malformed.
    """
    _check_size(data)
    try:
        return _parse_token(read_element(data))
    except MalformedDERError as error:
        raise _malformed(error) from error


def _parse_token(element: Element) -> Token:
    kind, wrapped = read_sequence(element, 2, 2)
    if read_object_identifier(kind) != _SIGNED_DATA:
        _refuse("it is not signed data")
    members = list(read_sequence(_unwrap(wrapped, 0), 4))
    members.pop(0)  # the version, which follows from the rest
    members.pop(0).require(SET)  # the hashes, named again by the signer
    content = _read_content(members.pop(0))
    certificates = _read_certificates(members.pop(0)) if members[0].tag == context(0) else ()
    if members and members[0].tag == context(1):
        members.pop(0)  # revocation lists: unsigned, so they prove nothing
    if len(members) != 1:
        _refuse("its signers are missing, or something follows them")
    signers = members[0].require(SET).members()
    if len(signers) != 1:
        _refuse(f"it has {len(signers)} signers, and exactly one is possible")
    return _with_signer(signers[0], content, certificates)


def _with_signer(element: Element, content: bytes, certificates: tuple[bytes, ...]) -> Token:
    members = read_sequence(element, 6, 7)
    identifier, digest, attributes, algorithm, signature = members[1:6]
    issuer, serial = read_sequence(identifier, 2, 2)
    attributes.require(context(0))
    signed = _read_attributes(attributes)
    if read_object_identifier(_value(signed, _CONTENT_TYPE)) != _TST_INFO:
        _refuse("its signed attributes are about another type of content")
    hash_name, imprint, time, accuracy = _read_info(content)
    return Token(
        content=content,
        hash_name=hash_name,
        imprint=imprint,
        time=time,
        accuracy=accuracy,
        certificates=certificates,
        issuer=issuer.require(SEQUENCE).encoded,
        serial_number=read_integer(serial),
        certificate_hashes=_certificate_hashes(signed),
        digest_algorithm=_algorithm(digest),
        content_digest=_value(signed, _MESSAGE_DIGEST).require(OCTET_STRING).content,
        # Signed as a SET, although stored with an implicit tag (RFC 5652, 5.4).
        signed_attributes=bytes((SET,)) + attributes.encoded[1:],
        signature_algorithm=_algorithm(algorithm),
        signature=signature.require(OCTET_STRING).content,
    )


def _read_content(element: Element) -> bytes:
    kind, wrapped = read_sequence(element, 2, 2)
    if read_object_identifier(kind) != _TST_INFO:
        _refuse("it does not hold a timestamp")
    return _unwrap(wrapped, 0).require(OCTET_STRING).content


def _read_certificates(element: Element) -> tuple[bytes, ...]:
    found = element.members()
    if len(found) > _MAX_CERTIFICATES:
        _refuse(f"it has more than {_MAX_CERTIFICATES} certificates")
    return tuple(member.require(SEQUENCE).encoded for member in found)


def _read_attributes(element: Element) -> Mapping[str, tuple[Element, ...]]:
    found: dict[str, tuple[Element, ...]] = {}
    for attribute in element.members():
        kind, values = read_sequence(attribute, 2, 2)
        name = read_object_identifier(kind)
        if name in found:
            _refuse("a signed attribute occurs twice")
        found[name] = values.require(SET).members()
    return found


def _value(attributes: Mapping[str, tuple[Element, ...]], name: str) -> Element:
    values = attributes.get(name, ())
    if len(values) != 1:
        _refuse(f"the signed attribute {name} does not have exactly one value")
    return values[0]


def _certificate_hashes(attributes: Mapping[str, tuple[Element, ...]]) -> tuple[tuple[str, bytes], ...]:
    """Return the hashes of the signer's certificate in ESSCertID and ESSCertIDv2 (RFC 5035, 3)."""
    found: list[tuple[str, bytes]] = []
    for name, default in ((_SIGNING_CERTIFICATE, "sha1"), (_SIGNING_CERTIFICATE_V2, "sha256")):
        if name not in attributes:
            continue
        identifiers = read_sequence(read_sequence(_value(attributes, name), 1, 2)[0], 1)
        members = list(read_sequence(identifiers[0], 1, 3))
        hash_name = default
        if name == _SIGNING_CERTIFICATE_V2 and members[0].tag == SEQUENCE:
            hash_name = _hash_name(members.pop(0))
        if not members:
            _refuse("it does not name the signer's certificate")
        found.append((hash_name, members[0].require(OCTET_STRING).content))
    if not found:
        _refuse("it does not name the signer's certificate")
    return tuple(found)


def _read_info(content: bytes) -> tuple[str, bytes, datetime, timedelta]:
    """Return hash and imprint, time and accuracy of a `TSTInfo` (RFC 3161, 2.4.2)."""
    members = list(read_sequence(read_element(content), 5, 10))
    version, _policy, imprint, serial, time = members[:5]
    read_integer(serial)
    if read_integer(version) != 1:
        _refuse("it is of another version")
    algorithm, digest = read_sequence(imprint, 2, 2)
    hash_name = _hash_name(algorithm)
    if hash_name == "sha1":
        _refuse("it is about a SHA-1 hash, which others can collide with")
    accuracy = timedelta(0)
    for member in members[5:]:
        if member.tag == SEQUENCE:
            accuracy = _read_accuracy(member)
        elif member.tag == context(1):
            _refuse_critical(member)
    return hash_name, digest.require(OCTET_STRING).content, _read_time(time), accuracy


def _read_accuracy(element: Element) -> timedelta:
    seconds = millis = micros = 0
    for member in read_sequence(element, 0, 3):
        value = read_integer(Element(INTEGER, member.content, member.encoded))
        if member.tag == INTEGER:
            seconds = value
        elif member.tag == context(0, constructed=False):
            millis = value
        elif member.tag == context(1, constructed=False):
            micros = value
        else:
            _refuse("its accuracy has an unknown part")
    if not (0 <= seconds <= 86400 and 0 <= millis < 1000 and 0 <= micros < 1000):  # noqa: PLR2004
        _refuse("its accuracy is not a short time")
    return timedelta(seconds=seconds, milliseconds=millis, microseconds=micros)


def _refuse_critical(element: Element) -> None:
    for extension in element.members():
        members = read_sequence(extension, 2, 3)
        if len(members) == 3 and read_boolean(members[1]):  # noqa: PLR2004 - the optional member is there
            _refuse("it has a critical extension, and none is known")


def _read_time(element: Element) -> datetime:
    """Return a GeneralizedTime of RFC 3161: UTC, to the second, with an optional fraction."""
    text = element.require(GENERALIZED_TIME).content.decode("ascii", "replace")
    whole, point, fraction = text.removesuffix("Z").partition(".")
    if not text.endswith("Z") or not _is_digits(whole, 14, 14) or (point and not _is_digits(fraction, 1, 12)):
        _refuse("its time is not in UTC to the second")
    try:
        time = datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedDERError("its time does not exist") from error
    return time + timedelta(microseconds=int(fraction[:6].ljust(6, "0")))


def _is_digits(text: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and text.isascii() and text.isdigit()


def _unwrap(element: Element, number: int) -> Element:
    return read_element(element.require(context(number)).content)


def _algorithm(element: Element) -> str:
    return read_object_identifier(read_sequence(element, 1, 2)[0])


def _hash_name(element: Element) -> str:
    name = HASHES.get(_algorithm(element))
    return name if name is not None else _refuse("it uses an unknown hash")


def _refuse(why: str) -> NoReturn:
    raise MalformedDERError(why)


def _check_size(data: bytes) -> None:
    if len(data) > MAX_TOKEN_BYTES:
        msg = f"the timestamp is larger than {MAX_TOKEN_BYTES} bytes"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)


def _malformed(error: MalformedDERError) -> VerificationError:
    return VerificationError(f"the timestamp is malformed: {error}", reason=Reason.MALFORMED_EVIDENCE)
