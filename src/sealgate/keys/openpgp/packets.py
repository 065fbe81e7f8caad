"""The packets of one OpenPGP signed message, and the fields of keys and signatures that rules need.

Only the one shape that signing tools write is read: perhaps a compressed packet, and in it exactly a one-pass
signature, literal data and a signature (RFC 4880, 11.3). Decompression happens here, with a limit, so that the
OpenPGP library behind `keyring` is never handed anything compressed. What it is handed are the three
packets written anew with plain lengths, so both read the same message.
"""

from __future__ import annotations

import bz2
import re
import zlib
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from sealgate.errors import VerificationError
from sealgate.reasons import Reason

#: The most bytes of one message, as received and after decompression.
MAX_MESSAGE_BYTES = 1 << 20

_PACKET_MARK = 0x80
_NEW_FORMAT = 0x40
_MESSAGE_PACKETS = 3
_BINARY_FORMAT = ord("b")
_RAW_DEFLATE = -15
_VERSION = 4
#: Octets of a time.
_TIME = 4


class Tag(IntEnum):
    """Packet types that a signed message may hold."""

    SIGNATURE = 2
    ONE_PASS_SIGNATURE = 4
    COMPRESSED = 8
    LITERAL = 11


class Subpacket(IntEnum):
    """The subpackets that decide something, or may be marked critical without deciding anything."""

    CREATED = 2
    EXPIRES = 3
    EXPORTABLE = 4
    REVOCABLE = 7
    KEY_EXPIRES = 9
    PREFERRED_CIPHERS = 11
    REVOCATION_KEY = 12
    ISSUER = 16
    NOTATION = 20
    PREFERRED_HASHES = 21
    PREFERRED_COMPRESSION = 22
    KEYSERVER = 24
    PRIMARY_USER_ID = 25
    POLICY_URL = 26
    KEY_FLAGS = 27
    SIGNERS_USER_ID = 28
    FEATURES = 30
    EMBEDDED_SIGNATURE = 32
    ISSUER_FINGERPRINT = 33


_ARMOR_START = re.compile(rb"-----BEGIN PGP ([A-Z ]{1,40})-----")
_MAX_ARMORED_BYTES = 2 * MAX_MESSAGE_BYTES
_TIMES = (Subpacket.CREATED, Subpacket.EXPIRES, Subpacket.KEY_EXPIRES)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    Attributes:
        tag: its type.
        body: its content, without header, partial lengths joined.
    """

    tag: int
    body: bytes

    def __bytes__(self) -> bytes:
        """Return the packet in the new format with a plain four-octet length."""
        return bytes([_PACKET_MARK | _NEW_FORMAT | self.tag, 255]) + len(self.body).to_bytes(4, "big") + self.body


@dataclass(frozen=True, slots=True)
class SignatureFields:
    """A version 4 signature packet, taken apart.

    Attributes:
        type: what it is over (0x00 a binary document, 0x18 a subkey binding ...).
        algorithm: number of the public-key algorithm.
        hash_algorithm: number of the hash algorithm.
        hashed: the subpackets that the signature covers, type to body; a time of making is always among them.
        critical: types of hashed subpackets marked critical.
        loose: types of subpackets marked critical in the part that the signature does not cover.
        issuers: key ids and fingerprints that it names as its maker, upper-case hex. A hint, never trusted.
        embedded: bodies of the signature packets inside it. Not covered; to be verified by themselves.
        local: whether it says anywhere, covered or not, that it is not to be exported.
        ambiguous: whether a time or the key flags are there twice, or a time has another size than four octets.
        trailer: the bytes that end the hashed data.
        numbers: the algorithm's numbers, as encoded.
        created: when the signature says it was made.
    """

    type: int
    algorithm: int
    hash_algorithm: int
    hashed: dict[int, bytes]
    critical: frozenset[int]
    loose: frozenset[int]
    issuers: frozenset[str]
    embedded: tuple[bytes, ...]
    local: bool
    ambiguous: bool
    trailer: bytes
    numbers: bytes
    created: datetime = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Self-signatures are sorted by it again and again, so it is read once.
        created = datetime.fromtimestamp(int.from_bytes(self.hashed[Subpacket.CREATED], "big"), UTC)
        object.__setattr__(self, "created", created)

    @property
    def expires(self) -> datetime | None:
        """When the signature ends; None when it does not."""
        period = int.from_bytes(self.hashed.get(Subpacket.EXPIRES, b""), "big")
        return self.created + timedelta(seconds=period) if period else None


@dataclass(frozen=True, slots=True)
class SignedPackets:
    """A signed message in its one shape.

    Attributes:
        data: the three packets, nothing compressed, plain lengths.
        payload: the literal data's content.
        signature: the signature, taken apart.
    """

    data: bytes
    payload: bytes
    signature: SignatureFields


def read_signed_message(message: bytes) -> SignedPackets:
    """Parse a binary signed message.

    Args:
        message: the bytes as fetched.

    Raises:
        VerificationError: too large, not binary, or of any other shape.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        raise _too_large()
    if not message or not message[0] & _PACKET_MARK:
        raise malformed("is not binary; armored and cleartext messages are not accepted")
    packets = read_packets(message)
    if [packet.tag for packet in packets] == [Tag.COMPRESSED]:
        packets = read_packets(_decompress(packets[0].body))
    if [packet.tag for packet in packets] != [Tag.ONE_PASS_SIGNATURE, Tag.LITERAL, Tag.SIGNATURE]:
        raise malformed("is not exactly one signature around literal data")
    payload = _literal_content(packets[1].body)
    return SignedPackets(b"".join(map(bytes, packets)), payload, read_signature(packets[2].body))


def armored_blocks(text: bytes) -> list[tuple[str, bytes]]:
    """Return what every armored block in a text is ("MESSAGE", "PUBLIC KEY BLOCK") and its content.

    Text around the blocks is left out. Checksums are not verified, because the content is signed.

    Raises:
        VerificationError: too large, or a block that does not end or is not base64.
    """
    if len(text) > _MAX_ARMORED_BYTES:
        raise _too_large()
    lines = [line.rstrip() for line in text.splitlines()]
    blocks: list[tuple[str, bytes]] = []
    at = 0
    while at < len(lines):
        start = _ARMOR_START.fullmatch(lines[at])
        at += 1
        if start is None:
            continue
        try:
            end = lines.index(b"-----END PGP " + start[1] + b"-----", at)
        except ValueError as error:
            raise malformed("has an armored block that does not end") from error
        blocks.append((start[1].decode(), _armored_content(lines[at:end])))
        at = end + 1
    return blocks


def read_packets(data: bytes, most: int = _MESSAGE_PACKETS) -> list[Packet]:
    """Split bytes into packets.

    Raises:
        VerificationError: more than `most` packets, or bytes that are none.
    """
    packets: list[Packet] = []
    at = 0
    while at < len(data):
        if len(packets) == most:
            raise malformed(f"holds more than {most} packets; exactly one signature is accepted")
        packet, at = _read_packet(data, at)
        packets.append(packet)
    return packets


def read_signature(body: bytes) -> SignatureFields:
    """Take the body of a signature packet apart.

    Raises:
        VerificationError: it is not a version 4 signature, cut short, or can be read in two ways.
    """
    signature = read_self_signature(body)
    if signature.ambiguous:
        raise malformed("has a signature with ambiguous times or key flags")
    return signature


def read_self_signature(body: bytes) -> SignatureFields:
    """Take the body of a signature packet apart, also of one that can be read in two ways.

    Such a signature of a certificate must not be passed over, or an older one would come back in its place.

    Raises:
        VerificationError: it is not a version 4 signature, cut short, or does not say when it was made.
    """
    if body[:1] != bytes([_VERSION]):
        raise malformed(f"has a signature that is not of version {_VERSION}")
    end = 6 + int.from_bytes(_take(body, 4, 2), "big")
    hashed = _subpackets(_take(body, 6, end - 6))
    unhashed_size = int.from_bytes(_take(body, end, 2), "big")
    unhashed = _subpackets(_take(body, end + 2, unhashed_size))
    _take(body, end + 2 + unhashed_size, 2)  # The first two octets of the hash are not needed.
    made = [content for kind, _critical, content in hashed if kind == Subpacket.CREATED and len(content) == _TIME]
    if not made:
        raise malformed("has a signature that does not say when it was made")
    return SignatureFields(
        type=body[1],
        algorithm=body[2],
        hash_algorithm=body[3],
        # A time of another size makes the signature ambiguous; nothing is calculated with it.
        hashed={kind: content for kind, _critical, content in hashed if kind not in _TIMES or len(content) == _TIME}
        | {int(Subpacket.CREATED): max(made)},
        critical=_critical(hashed),
        loose=_critical(unhashed),
        issuers=frozenset(_issuers(hashed + unhashed)),
        embedded=tuple(found for kind, _, found in hashed + unhashed if kind == Subpacket.EMBEDDED_SIGNATURE),
        local=any(kind == Subpacket.EXPORTABLE and content[:1] != b"\1" for kind, _, content in hashed + unhashed),
        ambiguous=_is_ambiguous(hashed),
        trailer=body[:end] + bytes([_VERSION, 0xFF]) + end.to_bytes(4, "big"),
        numbers=body[end + 4 + unhashed_size :],
    )


def read_numbers(data: bytes, count: int) -> list[int]:
    """Read exactly so many multiprecision integers.

    Raises:
        VerificationError: there are fewer or more.
    """
    numbers, at = [], 0
    for _ in range(count):
        size = (int.from_bytes(_take(data, at, 2), "big") + 7) // 8
        numbers.append(int.from_bytes(_take(data, at + 2, size), "big"))
        at += 2 + size
    if at != len(data):
        raise malformed("has bytes after its numbers")
    return numbers


def malformed(what: str) -> VerificationError:
    """Return the refusal of a message that is not what it should be."""
    return VerificationError(f"the OpenPGP message {what}", reason=Reason.MALFORMED_EVIDENCE)


def _too_large() -> VerificationError:
    return VerificationError(
        f"the OpenPGP message is larger than {MAX_MESSAGE_BYTES} bytes", reason=Reason.EVIDENCE_TOO_LARGE
    )


def _armored_content(lines: list[bytes]) -> bytes:
    """Decode the lines between an armored block's first and last line: headers, a blank one, base64, a checksum."""
    if b"" not in lines:
        raise malformed("has an armored block without content")
    encoded = [line for line in lines[lines.index(b"") :] if not line.startswith(b"=")]
    try:
        return b64decode(b"".join(encoded), validate=True)
    except ValueError as error:
        raise malformed("has an armored block that is not base64") from error


def _take(data: bytes, at: int, size: int) -> bytes:
    """Return exactly `size` bytes from the offset `at`."""
    if at + size > len(data):
        raise malformed("is cut short")
    return data[at : at + size]


def _read_packet(data: bytes, at: int) -> tuple[Packet, int]:
    header = data[at]
    if not header & _PACKET_MARK:
        raise malformed("has bytes that are no packet")
    if header & _NEW_FORMAT:
        body, at = _new_body(data, at + 1)
        return Packet(header & 0x3F, body), at
    tag, kind = (header >> 2) & 0x0F, header & 0x03
    if kind == 3:  # noqa: PLR2004 - indeterminate length: up to the end
        return Packet(tag, data[at + 1 :]), len(data)
    width = 1 << kind
    size = int.from_bytes(_take(data, at + 1, width), "big")
    start = at + 1 + width
    return Packet(tag, _take(data, start, size)), start + size


def _new_body(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a new-format length and body; partial lengths are joined."""
    parts = []
    while True:
        first = _take(data, at, 1)[0]
        if first < 192:  # noqa: PLR2004 - the numbers here are the format (RFC 4880, 4.2.2)
            size, at = first, at + 1
        elif first < 224:  # noqa: PLR2004
            size, at = ((first - 192) << 8) + _take(data, at + 1, 1)[0] + 192, at + 2
        elif first == 255:  # noqa: PLR2004
            size, at = int.from_bytes(_take(data, at + 1, 4), "big"), at + 5
        else:
            size, at = 1 << (first & 0x1F), at + 1
        parts.append(_take(data, at, size))
        at += size
        if not 224 <= first < 255:  # noqa: PLR2004
            return b"".join(parts), at


def _decompress(body: bytes) -> bytes:
    """Decompress within the limit; what ends early or has something after it is refused."""
    algorithm, data = _take(body, 0, 1)[0], body[1:]
    if algorithm == 0:
        return data
    decompressor: zlib._Decompress | bz2.BZ2Decompressor
    if algorithm in {1, 2}:
        decompressor = zlib.decompressobj(_RAW_DEFLATE if algorithm == 1 else zlib.MAX_WBITS)
    elif algorithm == 3:  # noqa: PLR2004 - the format's number of bzip2
        decompressor = bz2.BZ2Decompressor()
    else:
        raise malformed("is compressed in an unknown way")
    try:
        plain = decompressor.decompress(data, MAX_MESSAGE_BYTES + 1)
    except (zlib.error, OSError) as error:
        raise malformed("does not decompress") from error
    if len(plain) > MAX_MESSAGE_BYTES:
        raise _too_large()
    if not decompressor.eof or decompressor.unused_data:
        raise malformed("has a compressed packet that is cut short or followed by something")
    return plain


def _literal_content(body: bytes) -> bytes:
    if _take(body, 0, 1)[0] != _BINARY_FORMAT:
        raise malformed("does not hold binary data")
    start = 2 + _take(body, 1, 1)[0] + 4
    _take(body, 0, start)
    return body[start:]


def _subpackets(area: bytes) -> list[tuple[int, bool, bytes]]:
    """Split a subpacket area into (type, whether critical, body)."""
    found, at = [], 0
    while at < len(area):
        first = area[at]
        if first < 192:  # noqa: PLR2004 - the numbers here are the format (RFC 4880, 5.2.3.1)
            size, at = first, at + 1
        elif first < 255:  # noqa: PLR2004
            size, at = ((first - 192) << 8) + _take(area, at + 1, 1)[0] + 192, at + 2
        else:
            size, at = int.from_bytes(_take(area, at + 1, 4), "big"), at + 5
        if size == 0:
            raise malformed("has an empty subpacket")
        content = _take(area, at, size)
        found.append((content[0] & 0x7F, bool(content[0] & 0x80), content[1:]))
        at += size
    return found


def _critical(subpackets: list[tuple[int, bool, bytes]]) -> frozenset[int]:
    return frozenset(kind for kind, critical, _content in subpackets if critical)


def _is_ambiguous(hashed: list[tuple[int, bool, bytes]]) -> bool:
    """Return whether what decides is there twice, or a time is of another size than times have."""
    kinds = [kind for kind, _critical, _content in hashed]
    sizes = [len(content) for kind, _critical, content in hashed if kind in _TIMES]
    return any(kinds.count(kind) > 1 for kind in (*_TIMES, Subpacket.KEY_FLAGS)) or any(size != _TIME for size in sizes)


def _issuers(subpackets: list[tuple[int, bool, bytes]]) -> list[str]:
    named = []
    for kind, _critical, content in subpackets:
        if kind == Subpacket.ISSUER:
            named.append(content.hex().upper())
        elif kind == Subpacket.ISSUER_FINGERPRINT:
            named.append(content[1:].hex().upper())
    return named
