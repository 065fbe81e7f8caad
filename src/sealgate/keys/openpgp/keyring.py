"""OpenPGP keyrings, and messages signed by them.

A keyring is the public certificates that a policy accepts, loaded once. It verifies binary messages with
exactly one signature over literal data, as `gpg --sign` and skopeo write it. Two implementations must agree that the
signature is good, the OpenPGP library (as of the moment of signing: bindings, usage, weak algorithms) and plain
arithmetic with `cryptography`. Neither checks the current time, so this module does: key and signature must be
valid *now*, neither revoked for any reason nor expired.

When a key's expiry is extended, `gpg` replaces its self-signature, so a new export does not show that the key was valid
when older messages were signed. The library refuses these messages; here they count while the key is valid now, as
they do with `gpg`.

A key that can never be valid (too short, of an unknown kind, secret) makes the keyring invalid. Expired and revoked
keys stay in it and are never used; `Keyring.states` says which.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pysequoia

from sealgate.clocks import earliest
from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.openpgp.certificates import (
    Certificate,
    LibraryError,
    library_errors,
    read_certificates,
)
from sealgate.keys.openpgp.packets import (
    Packet,
    SignedPackets,
    armored_blocks,
    malformed,
    read_packets,
    read_signed_message,
)
from sealgate.keys.openpgp.self_signatures import CLOCK_SKEW, SigningKey, only_understood
from sealgate.messages import name_accepted, quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

#: The most bytes and certificates of one keyring.
MAX_KEYRING_BYTES = 1 << 20
MAX_CERTIFICATES = 64

_BINARY_DOCUMENT = 0x00
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_PACKET_MARK = 0x80
_MAX_KEYRING_PACKETS = 20_000
#: Secret keys and subkeys; public keys, subkeys, user ids and attributes, signatures, trust (RFC 4880, 4.3).
_SECRET_TAGS = frozenset({5, 7})
_PUBLIC_TAGS = frozenset({2, 6, 12, 13, 14, 17})


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """What a verified message holds, and who signed it.

    Attributes:
        payload: the exact bytes that were signed.
        signing_fingerprint: of the primary key or subkey that signed, 40 upper-case hex digits.
        primary_fingerprint: of its certificate, 40 upper-case hex digits.
        valid_until: when the signature expires, or the key does or may; None if neither.
    """

    payload: bytes
    signing_fingerprint: str
    primary_fingerprint: str
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of one key of a keyring at some moment.

    Attributes:
        fingerprint: 40 upper-case hex digits.
        primary_fingerprint: of its certificate.
        kind: "RSA 3072", "Ed25519" ...
        reason: `Reason.VERIFIED` while it is used, else why it is not.
        message: the same for a person.
        created: when it was made.
        expires: when it ends; None when it does not.
    """

    fingerprint: str
    primary_fingerprint: str
    kind: str
    reason: Reason
    message: str
    created: datetime
    expires: datetime | None


class Keyring:
    """The OpenPGP certificates that a policy accepts. Immutable, thread-safe.

    Args:
        certificates: what is in it; each primary key once.
    """

    def __init__(self, certificates: Iterable[Certificate]) -> None:
        self._certificates = tuple(certificates)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The primary keys' fingerprints, 40 upper-case hex digits each, in the order of the keyring."""
        return tuple(certificate.fingerprint for certificate in self._certificates)

    def only(self, fingerprints: Collection[str]) -> Keyring:
        """Return a keyring of just those certificates.

        Args:
            fingerprints: of primary keys, in full; case and blanks do not matter.

        Raises:
            InvalidKeyError: one is not a full fingerprint, or not in the keyring.
        """
        wanted = {_normalise_fingerprint(fingerprint) for fingerprint in fingerprints}
        missing = sorted(wanted.difference(self.fingerprints))
        if missing:
            raise InvalidKeyError(f"OpenPGP key {missing[0]} is not the primary key of a certificate in the keyring")
        return Keyring(certificate for certificate in self._certificates if certificate.fingerprint in wanted)

    def states(self, now: datetime) -> tuple[KeyState, ...]:
        """Return the state of every key that can sign."""
        signers = [
            (certificate, key) for certificate in self._certificates for key in certificate.keys if key.ever_signs
        ]
        return tuple(_state(certificate, key, now) for certificate, key in signers)

    def verify(self, message: bytes, now: datetime) -> SignedMessage:
        """Verify a binary signed message.

        Args:
            message: the bytes as fetched.
            now: the time at which keys and signature must be valid, timezone-aware.

        Raises:
            VerificationError: it is malformed, by no key of the keyring, or by one that is not good now.
        """
        packets = read_signed_message(message)
        if packets.signature.type != _BINARY_DOCUMENT:
            raise malformed("is not a signature over a binary document")
        refusal: VerificationError | None = None
        for certificate, signer in self._candidates(packets.signature.issuers):
            try:
                return _verify(packets, certificate, signer, now)
            except VerificationError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal
        issuer = quote(max(packets.signature.issuers, key=len, default="that it does not name"), 40)
        msg = f"signed by OpenPGP key {issuer}, which is not accepted{name_accepted(self.fingerprints)}"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)

    def verify_armored(self, message: bytes, now: datetime) -> SignedMessage:
        """Verify a signed message in ASCII armor, for the formats that store it so.

        Raises:
            VerificationError: see `verify`; or it is not one armored message.
        """
        blocks = armored_blocks(message)
        if [kind for kind, _ in blocks] != ["MESSAGE"]:
            raise malformed("is not one armored message")
        return self.verify(blocks[0][1], now)

    def _candidates(self, issuers: frozenset[str]) -> list[tuple[Certificate, SigningKey]]:
        return [
            (certificate, key)
            for certificate in self._certificates
            for key in certificate.keys
            if key.key.fingerprint in issuers or key.key.fingerprint[-16:] in issuers
        ]


def describe(signed: SignedMessage) -> str:
    """Return how a message was signed, for a person."""
    return f"made by OpenPGP key {signed.signing_fingerprint} of {signed.primary_fingerprint}"


def load_keyring(data: str | bytes) -> Keyring:
    """Load the public certificates of a keyring.

    Args:
        data: one or several armored blocks after one another, or binary packets, as `gpg --export` writes them. A
            certificate that is there several times counts once, with everything that any copy has.

    Raises:
        InvalidKeyError: it holds anything but public certificates, none of those, or one with a weak key.
    """
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > MAX_KEYRING_BYTES:
        raise InvalidKeyError(f"the keyring is larger than {MAX_KEYRING_BYTES} bytes")
    try:
        certificates = read_certificates(_public_packets(raw))
    except VerificationError as error:
        raise InvalidKeyError(f"the keyring cannot be read: {error.message}") from error
    if not 0 < len(certificates) <= MAX_CERTIFICATES:
        raise InvalidKeyError(f"the keyring holds {len(certificates)} certificates; at most {MAX_CERTIFICATES} may be")
    return Keyring(certificates)


def _public_packets(raw: bytes) -> list[Packet]:
    """Return the packets of a keyring without armor, certain that they are those of public certificates."""
    binary = raw
    if not raw[:1] or not raw[0] & _PACKET_MARK:
        blocks = armored_blocks(raw)
        if {kind for kind, _ in blocks} != {"PUBLIC KEY BLOCK"}:
            raise InvalidKeyError(
                "the keyring must be binary, or armored blocks that begin with -----BEGIN PGP PUBLIC KEY BLOCK----- "
                "and nothing else: write what `gpg --armor --export` prints"
            )
        binary = b"".join(content for _, content in blocks)
    packets = read_packets(binary, _MAX_KEYRING_PACKETS)
    tags = {packet.tag for packet in packets}
    if tags & _SECRET_TAGS:
        raise InvalidKeyError("the keyring holds a secret key; write only what `gpg --export` prints, and keep it safe")
    if not tags <= _PUBLIC_TAGS:
        raise InvalidKeyError("the keyring holds packets that do not belong to a public key")
    return packets


def _verify(packets: SignedPackets, certificate: Certificate, signer: SigningKey, now: datetime) -> SignedMessage:
    """Verify a message by the one key that says it signed it."""
    signature = packets.signature
    signer.key.check(signature, packets.payload)
    if not only_understood(signature):
        raise _invalid(
            f"the signature by OpenPGP key {signer.key.fingerprint} marks as critical what is not known here"
        )
    if not signature.issuers <= {signer.key.fingerprint, signer.key.fingerprint[-16:]}:
        raise _invalid(f"the signature by OpenPGP key {signer.key.fingerprint} names another maker as well")
    certificate.require_current(signer, now)
    if signature.expires is not None and signature.expires <= now:
        raise VerificationError(
            f"the signature by OpenPGP key {signer.key.fingerprint} expired at {signature.expires:%Y-%m-%d %H:%M}",
            reason=Reason.EXPIRED,
        )
    if signature.created > now + CLOCK_SKEW:
        raise _invalid(f"the signature by OpenPGP key {signer.key.fingerprint} is from the future")
    if signature.created < signer.created:
        raise _invalid(f"the signature by OpenPGP key {signer.key.fingerprint} is older than the key")
    try:
        _ask_library(packets, certificate, signer)
    except LibraryError as error:
        if not certificate.is_renewed(signer, signature.created):
            raise _invalid(f"the OpenPGP library refuses the signature: {quote(error)}") from error
    ends = earliest(signature.expires, certificate.holds_until(signer, now))
    return SignedMessage(packets.payload, signer.key.fingerprint, certificate.fingerprint, ends)


def _ask_library(packets: SignedPackets, certificate: Certificate, signer: SigningKey) -> None:
    """Have the library verify the message by that certificate alone.

    Raises:
        LibraryError: it does not, or finds another signer or other content than was found here.
    """
    with library_errors():
        verified = pysequoia.verify(bytes=packets.data, store=lambda _issuers: [certificate.cert])
    signers = [(found.certificate.upper(), found.signing_key.upper()) for found in verified.valid_sigs]
    if signers != [(certificate.fingerprint, signer.key.fingerprint)] or verified.bytes != packets.payload:
        raise LibraryError("it reads the message in another way")


def _state(certificate: Certificate, key: SigningKey, now: datetime) -> KeyState:
    reason, message, expires = Reason.VERIFIED, "in use", None
    try:
        certificate.require_current(key, now)
    except VerificationError as error:
        reason, message = error.reason, error.message
    with suppress(VerificationError):
        expires = certificate.expires(key, now)
    return KeyState(
        fingerprint=key.key.fingerprint,
        primary_fingerprint=certificate.fingerprint,
        kind=key.key.kind,
        reason=reason,
        message=message,
        created=key.created,
        expires=expires,
    )


def _normalise_fingerprint(text: str) -> str:
    fingerprint = "".join(text.split()).upper().removeprefix("0X")
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise InvalidKeyError(
            f"{quote(text)} is not an OpenPGP fingerprint: write all 40 hex digits, not a shorter key id"
        )
    return fingerprint


def _invalid(what: str) -> VerificationError:
    return VerificationError(what, reason=Reason.INVALID_SIGNATURE)
