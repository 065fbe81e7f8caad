"""One OpenPGP certificate, as much of it as deciding about its signing keys takes.

What a certificate says about its keys counts only where the primary key really signed it. The exception is a
revocation: one that names the primary key as its maker is believed unseen, because the mistake that remains is
to refuse.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pysequoia

from sealgate.errors import InvalidKeyError, Reason, VerificationError
from sealgate.keys.openpgp_packets import Packet, SignatureFields, Subpacket, Tag, read_signature
from sealgate.keys.openpgp_signatures import (
    ENCRYPTION_ONLY,
    KeyPacket,
    binding_data,
    certification_data,
    genuine,
    read_key,
)
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: How far ahead of ours a signer's clock may be.
CLOCK_SKEW = timedelta(minutes=5)

_PUBLIC_KEY, _TRUST, _USER_ID, _PUBLIC_SUBKEY = 6, 12, 13, 14
_SELF_CERTIFICATIONS = frozenset({0x10, 0x11, 0x12, 0x13})
_SUBKEY_BINDING, _PRIMARY_BINDING, _DIRECT_KEY = 0x18, 0x19, 0x1F
_KEY_REVOCATION, _SUBKEY_REVOCATION = 0x20, 0x28
_MAY_SIGN = 0x02
_SHA1 = 2
#: Subpackets that may be marked critical: all others might forbid what nobody here understands.
_UNDERSTOOD = frozenset(Subpacket) - {Subpacket.NOTATION}


class LibraryError(Exception):
    """The OpenPGP library said no; its own text is long, Rust-flavoured and not for people."""


@contextmanager
def library_errors() -> Iterator[None]:
    """Turn whatever the OpenPGP library raises into a `LibraryError`, a panic of its Rust code included."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise LibraryError(str(error).partition("\n")[0]) from error
    except BaseException as error:
        # A panic derives from BaseException and has no importable class; it would pass every boundary above.
        if type(error).__module__ == "pyo3_runtime":
            raise LibraryError("the OpenPGP library failed") from error
        raise


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of a certificate that may sign messages.

    Attributes:
        key: the key.
        primary: whether it is the certificate's primary key.
        endorsements: the primary key's own signatures that bind it (for the primary key: that certify its user ids
            and itself), newest first.
        revoked: whether there is a revocation of it, for whatever reason.
    """

    key: KeyPacket
    primary: bool
    endorsements: tuple[SignatureFields, ...]
    revoked: bool

    def endorsement(self, at: datetime) -> SignatureFields | None:
        """Return the endorsement that holds at that time: the newest that was there."""
        return next((found for found in self.endorsements if found.created <= at), None)

    def expires(self, at: datetime) -> datetime | None:
        """Return when the key ends, going by what holds at that time; None when it does not."""
        endorsement = self.endorsement(at)
        period = b"" if endorsement is None else endorsement.hashed.get(Subpacket.KEY_EXPIRES, b"")
        seconds = int.from_bytes(period, "big")
        return self.created + timedelta(seconds=seconds) if seconds else None

    @property
    def is_ahead(self) -> bool:
        """Whether the key is endorsed, but only as of a time to come: its owner's clock is ahead of this machine's.

        Going by this machine's clock, as the library does, which then finds no endorsement at all.
        """
        return bool(self.endorsements) and self.endorsement(datetime.now(UTC)) is None

    @property
    def ever_signs(self) -> bool:
        """Whether the primary key ever let it sign."""
        return any(map(may_sign, self.endorsements))

    @property
    def created(self) -> datetime:
        """When the key was made."""
        return datetime.fromtimestamp(self.key.created, UTC)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One public certificate whose signing keys all are strong enough.

    Attributes:
        cert: the library's own form of it.
        fingerprint: of the primary key, 40 upper-case hex digits.
        keys: the primary key, then every subkey that may sign.
    """

    cert: pysequoia.Cert = field(repr=False)
    fingerprint: str
    keys: tuple[SigningKey, ...]

    def require_current(self, signer: SigningKey, now: datetime) -> None:
        """Refuse a key that is not good now.

        Raises:
            VerificationError: it or its primary key is revoked or expired, or may no longer sign.
        """
        name = signer.key.fingerprint
        if self._is_revoked() or signer.revoked:
            raise VerificationError(f"OpenPGP key {name} is revoked", reason=Reason.REVOKED)
        expires = self.expires(signer, now)
        if expires is not None and expires <= now:
            raise VerificationError(f"OpenPGP key {name} expired at {expires:%Y-%m-%d %H:%M}", reason=Reason.EXPIRED)
        if now + CLOCK_SKEW < signer.created:
            raise VerificationError(f"OpenPGP key {name} is from the future", reason=Reason.INVALID_SIGNATURE)
        endorsement = signer.endorsement(now + CLOCK_SKEW)
        if endorsement is None or not may_sign(endorsement):
            raise VerificationError(f"OpenPGP key {name} may not sign", reason=Reason.INVALID_SIGNATURE)

    def expires(self, signer: SigningKey, now: datetime) -> datetime | None:
        """Return when the key ends; a subkey ends with its primary key at the latest. None when it does not.

        Raises:
            VerificationError: the library no longer accepts the certificate.
        """
        primary = self.keys[0]
        with self._library_verdict():
            ends = primary.expires(now + CLOCK_SKEW) if primary.is_ahead else self.cert.expiration
        both = (ends, None if signer.primary else signer.expires(now + CLOCK_SKEW))
        return min((end for end in both if end is not None), default=None)

    def _is_revoked(self) -> bool:
        with self._library_verdict():
            return self.keys[0].revoked or self.cert.is_revoked

    @contextmanager
    def _library_verdict(self) -> Iterator[None]:
        """The library judges by its own rules of the day, so what loaded once may be too weak years later."""
        try:
            with library_errors():
                yield
        except LibraryError as error:
            raise VerificationError(
                f"OpenPGP key {self.fingerprint} is no longer accepted: {quote(error)}", reason=Reason.INVALID_SIGNATURE
            ) from error

    def is_renewed(self, signer: SigningKey, since: datetime) -> bool:
        """Return whether the certificate has nothing to say about the key as of that time, but has now."""
        return any(not key.endorsement(since) for key in (self.keys[0], signer))


def may_sign(endorsement: SignatureFields) -> bool:
    """Return whether the endorsement lets the key sign; one that says nothing leaves it to the library."""
    flags = endorsement.hashed.get(Subpacket.KEY_FLAGS)
    return flags is None or bool(flags[:1] and flags[0] & _MAY_SIGN)


def only_understood(signature: SignatureFields) -> bool:
    """Return whether everything that is marked critical in a signature is understood here."""
    return signature.critical <= _UNDERSTOOD


def read_certificates(packets: Iterable[Packet]) -> list[Certificate]:
    """Read the certificates in the packets of a keyring; copies of one count once, with everything that any has.

    Raises:
        InvalidKeyError: packets that make no certificate, a key that is too weak or of an unknown kind, a certificate
            that does not certify itself, or one without a key that may sign.
    """
    copies: dict[bytes, list[list[Packet]]] = {}
    current: list[Packet] | None = None
    for packet in packets:
        if packet.tag == _PUBLIC_KEY:
            current = []
            copies.setdefault(packet.body, []).append(current)
        if current is None:
            raise InvalidKeyError("the keyring does not begin with a public key")
        if packet.tag != _TRUST:
            current.append(packet)
    return [_read_certificate(group) for group in copies.values()]


def _read_certificate(copies: list[list[Packet]]) -> Certificate:
    components = _components(copies)
    primary = _read_primary(components)
    name = primary.key.fingerprint
    try:
        with library_errors():
            cert = pysequoia.Cert.from_bytes(_join(copies[0]))
            for copy in copies[1:]:
                cert = cert.merge(pysequoia.Cert.from_bytes(_join(copy)))
            if not primary.is_ahead:
                _ = cert.expiration  # raises unless the certificate holds together
    except LibraryError as error:
        why = "it is certified by SHA-1 only; renew its self-signature" if _is_sha1_only(components) else quote(error)
        raise InvalidKeyError(f"OpenPGP key {name} is not a certificate that can be accepted: {why}") from error
    revocations = [found for component in components for found in component.of_type(_SUBKEY_REVOCATION)]
    subkeys = [_read_subkey(primary.key, component, revocations) for component in components if component.is_subkey]
    keys = (primary, *(key for key in subkeys if key is not None))
    if not any(key.ever_signs for key in keys):
        raise InvalidKeyError(f"OpenPGP key {name} can only encrypt or certify; it has no key that signs")
    return Certificate(cert, name, keys)


@dataclass(slots=True)
class _Component:
    """A key or user id packet with the signatures that follow it; those of other versions than 4 are left out."""

    packet: Packet
    signatures: list[SignatureFields] = field(default_factory=list)
    #: A revocation that cannot be read is still a revocation.
    unread_revocation: bool = False

    @property
    def is_subkey(self) -> bool:
        return self.packet.tag == _PUBLIC_SUBKEY and self.packet.body[5:6] not in ENCRYPTION_ONLY

    def of_type(self, *kinds: int) -> list[SignatureFields]:
        return [found for found in self.signatures if found.type in kinds]


def _components(copies: list[list[Packet]]) -> list[_Component]:
    """Put each signature with what it follows; the primary key comes first."""
    components: dict[Packet, _Component] = {}
    for copy in copies:
        component = components.setdefault(copy[0], _Component(copy[0]))
        for packet in copy[1:]:
            if packet.tag == Tag.SIGNATURE:
                _add_signature(component, packet.body)
            else:
                component = components.setdefault(packet, _Component(packet))
    return list(components.values())


def _add_signature(component: _Component, body: bytes) -> None:
    try:
        component.signatures.append(read_signature(body))
    except VerificationError:
        kind = body[2:3] if body[:1] == b"\x03" else body[1:2]
        component.unread_revocation |= kind in {bytes([_KEY_REVOCATION]), bytes([_SUBKEY_REVOCATION])}


def _is_sha1_only(components: list[_Component]) -> bool:
    certifications = [found for component in components for found in component.of_type(*_SELF_CERTIFICATIONS)]
    return bool(certifications) and all(found.hash_algorithm == _SHA1 for found in certifications)


def _join(packets: list[Packet]) -> bytes:
    return b"".join(map(bytes, packets))


def _read_primary(components: list[_Component]) -> SigningKey:
    component = components[0]
    key = read_key(component.packet.body)
    endorsements = genuine(key, component.of_type(_DIRECT_KEY), key.hashed)
    for other in components[1:]:
        if other.packet.tag == _USER_ID:
            certifications = other.of_type(*_SELF_CERTIFICATIONS)
            endorsements += genuine(key, certifications, certification_data(key, other.packet.body))
    return SigningKey(key, True, _newest_first(endorsements), _is_revoked(component, key, _KEY_REVOCATION))


def _read_subkey(primary: KeyPacket, component: _Component, revocations: list[SignatureFields]) -> SigningKey | None:
    """Return the subkey, None when it is not one that signs.

    Args:
        primary: the primary key.
        component: the subkey with its signatures.
        revocations: of any subkey, from anywhere in the certificate; some programs put them in the wrong place.
    """
    bindings = component.of_type(_SUBKEY_BINDING)
    if not any(map(may_sign, bindings)):
        return None
    key = read_key(component.packet.body)
    data = binding_data(primary, key)
    endorsements = [found for found in genuine(primary, bindings, data) if _is_counter_signed(found, key, data)]
    revoked = _is_revoked(component, primary, _SUBKEY_REVOCATION) or bool(genuine(primary, revocations, data))
    return SigningKey(key, False, _newest_first(endorsements), revoked)


def _is_counter_signed(binding: SignatureFields, subkey: KeyPacket, data: bytes) -> bool:
    """Return whether the subkey agrees to be the primary key's, as a key that signs must."""
    if not may_sign(binding):
        return True
    try:
        counter = read_signature(binding.embedded)
    except VerificationError:
        return False
    return counter.type == _PRIMARY_BINDING and subkey.endorses(counter, data)


def _newest_first(endorsements: list[SignatureFields]) -> tuple[SignatureFields, ...]:
    return tuple(sorted(endorsements, key=lambda found: found.created, reverse=True))


def _is_revoked(component: _Component, primary: KeyPacket, kind: int) -> bool:
    makers = {primary.fingerprint, primary.fingerprint[-16:]}
    named = (not found.issuers or found.issuers & makers for found in component.of_type(kind))
    return component.unread_revocation or any(named)
