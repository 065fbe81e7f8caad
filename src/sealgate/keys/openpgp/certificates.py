"""One OpenPGP certificate, as much of it as deciding about its signing keys takes.

What a certificate says about its keys counts only where the primary key really signed it. The exception is a
revocation: one that names the primary key as its maker is believed unseen, because the mistake that remains is
to refuse.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pysequoia

from sealgate.clocks import earliest
from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.openpgp.packets import Packet, SignatureFields, Subpacket, Tag, read_numbers, read_self_signature
from sealgate.keys.openpgp.self_signatures import CLOCK_SKEW, SigningKey, Statements, flags_let_sign, read_statements
from sealgate.keys.openpgp.signatures import (
    ENCRYPTION_ONLY,
    KeyPacket,
    binding_data,
    certification_data,
    genuine,
    read_key,
)
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PUBLIC_KEY, _TRUST, _USER_ID, _PUBLIC_SUBKEY = 6, 12, 13, 14
_SELF_CERTIFICATIONS = frozenset({0x10, 0x11, 0x12, 0x13})
_SUBKEY_BINDING, _DIRECT_KEY = 0x18, 0x1F
_KEY_REVOCATION, _SUBKEY_REVOCATION, _USER_ID_REVOCATION = 0x20, 0x28, 0x30
_SHA1 = 2
#: Versions of signatures, besides 4, that there are; all but revocations are left out.
_OTHER_VERSIONS = frozenset({b"\x02", b"\x03", b"\x05", b"\x06"})
#: How many numbers a signature has, by its algorithm: RSA, DSA, ECDSA, EdDSA.
_NUMBERS = {1: 1, 3: 1, 17: 2, 19: 2, 22: 2}


class LibraryError(Exception):
    """The OpenPGP library said no; its own text is long, Rust-flavoured and not for people."""


@contextmanager
def library_errors() -> Iterator[None]:
    """Turn every error of the OpenPGP library into a `LibraryError`, a panic of its Rust code included."""
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
        """Refuse a key that is not valid now. Nothing else decides about it.

        Raises:
            VerificationError: it or its primary key is revoked, expired or not endorsed, or it may not sign.
        """
        name = signer.key.fingerprint
        if self.keys[0].revoked or signer.revoked:
            raise _revoked(name)
        for key in (self.keys[0], signer):
            ends = key.expires(now)
            if ends is not None and ends <= now:
                raise _expired(name, ends)
        if now + CLOCK_SKEW < signer.created:
            raise VerificationError(f"OpenPGP key {name} is from the future", reason=Reason.INVALID_SIGNATURE)
        for key in (self.keys[0], signer):
            key.require_endorsed(now)
        signer.require_signing(now)
        with self._library_verdict():
            if self.cert.is_revoked:
                raise _revoked(name)
        ends = self.expires(signer, now)
        if ends is not None and ends <= now:
            raise _expired(name, ends)

    def expires(self, signer: SigningKey, now: datetime) -> datetime | None:
        """Return when the key ends; a subkey ends with its primary key at the latest. None when it does not.

        Raises:
            VerificationError: the library no longer accepts the certificate.
        """
        primary = self.keys[0]
        with self._library_verdict():
            library = None if primary.is_ahead else self.cert.expiration
        return min(
            (end for end in (library, primary.expires(now), signer.expires(now)) if end is not None), default=None
        )

    def holds_until(self, signer: SigningKey, now: datetime) -> datetime | None:
        """Return until when `require_current` says the same of a key that is valid now; None if for ever.

        Raises:
            VerificationError: the library no longer accepts the certificate.
        """
        changes = (at for key in (self.keys[0], signer) for at in key.changes(now))
        return earliest(self.expires(signer, now), *changes)

    def is_renewed(self, signer: SigningKey, since: datetime) -> bool:
        """Return whether the certificate has nothing to say about the key as of that time, but has now."""
        return not all(key.is_endorsed(since) for key in (self.keys[0], signer))

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
            if _is_endorsed_today(primary):
                _ = cert.expiration  # raises unless the certificate holds together
    except LibraryError as error:
        why = "it is certified by SHA-1 only; renew its self-signature" if _is_sha1_only(components) else quote(error)
        raise InvalidKeyError(f"OpenPGP key {name} is not a certificate that can be accepted: {why}") from error
    if not any(statements.counting.signatures for statements in primary.user_ids):
        why = (
            "it is certified by SHA-1 only; renew its self-signature"
            if _is_sha1_only(components)
            else ("it certifies none of its user ids, or only with critical parts that are not understood here")
        )
        raise InvalidKeyError(f"OpenPGP key {name} is not a certificate that can be accepted: {why}")
    revocations = [found for component in components for found in component.of_type(_SUBKEY_REVOCATION)]
    subkeys = [_read_subkey(primary.key, component, revocations) for component in components if component.is_subkey]
    keys = (primary, *(key for key in subkeys if key is not None))
    if not any(key.ever_signs for key in keys):
        raise InvalidKeyError(
            f"OpenPGP key {name} can only encrypt or certify; it has no key that signs, or none that is bound by a "
            "signature whose critical parts are all understood here and that the subkey agreed to"
        )
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
    if body[:1] not in _OTHER_VERSIONS:
        component.signatures.append(_read_whole(body))
    else:
        kind = body[2:3] if body[:1] == b"\x03" else body[1:2]
        component.unread_revocation |= kind in {bytes([_KEY_REVOCATION]), bytes([_SUBKEY_REVOCATION])}


def _read_whole(body: bytes) -> SignatureFields:
    """Read a version 4 signature; a keyring with a damaged one is refused, as gpg refuses to import it."""
    try:
        signature = read_self_signature(body)
        count = _NUMBERS.get(signature.algorithm)
        if count is not None:
            read_numbers(signature.numbers, count)
    except VerificationError as error:
        raise InvalidKeyError(f"the keyring holds a damaged signature: {error.message}; export it again") from error
    return signature


def _is_sha1_only(components: list[_Component]) -> bool:
    certifications = [found for component in components for found in component.of_type(*_SELF_CERTIFICATIONS)]
    return bool(certifications) and all(found.hash_algorithm == _SHA1 for found in certifications)


def _join(packets: list[Packet]) -> bytes:
    return b"".join(map(bytes, packets))


def _read_primary(components: list[_Component]) -> SigningKey:
    component = components[0]
    key = read_key(component.packet.body)
    own = read_statements(key, component.of_type(_DIRECT_KEY), key.hashed)
    user_ids = _read_user_ids(key, components)
    return SigningKey(key, True, own, user_ids, _is_revoked(component, _KEY_REVOCATION, _revokers(key, components)))


def _read_user_ids(key: KeyPacket, components: list[_Component]) -> tuple[Statements, ...]:
    """Return the certifications of every user id, without those that the key took back, unless it took back all."""
    standing, everything = [], []
    for component in components[1:]:
        if component.packet.tag == _USER_ID:
            data = certification_data(key, component.packet.body)
            taken_back = genuine(key, component.of_type(_USER_ID_REVOCATION), data)
            certifications = component.of_type(*_SELF_CERTIFICATIONS)
            latest = max((found.created for found in taken_back), default=None)
            left = [found for found in certifications if latest is None or found.created > latest]
            standing.append(read_statements(key, left, data))
            everything.append(read_statements(key, certifications, data))
    return tuple(standing if any(one.counting.signatures for one in standing) else everything)


def _revokers(key: KeyPacket, components: list[_Component]) -> set[str]:
    """Return fingerprints and key ids of all keys that may revoke the primary key: itself and those it appointed."""
    names = {key.fingerprint}
    for found in (signature for component in components for signature in component.signatures):
        appointed = found.hashed.get(Subpacket.REVOCATION_KEY, b"")[2:].hex().upper()
        if appointed and (not found.issuers or found.issuers & {key.fingerprint, key.fingerprint[-16:]}):
            names.add(appointed)
    return names | {name[-16:] for name in names}


def _read_subkey(primary: KeyPacket, component: _Component, revocations: list[SignatureFields]) -> SigningKey | None:
    """Return the subkey, None when it is not one that signs.

    Args:
        primary: the primary key.
        component: the subkey with its signatures.
        revocations: of any subkey, from anywhere in the certificate; some programs put them after another component.
    """
    bindings = component.of_type(_SUBKEY_BINDING)
    if not any(flags_let_sign(found) for found in bindings):
        return None
    key = read_key(component.packet.body)
    data = binding_data(primary, key)
    makers = {primary.fingerprint, primary.fingerprint[-16:]}
    revoked = _is_revoked(component, _SUBKEY_REVOCATION, makers) or bool(genuine(primary, revocations, data))
    return SigningKey(key, False, read_statements(primary, bindings, data, key), (), revoked)


def _is_endorsed_today(primary: SigningKey) -> bool:
    """Return whether the primary key's self-signatures hold by this machine's clock, by which the library judges.

    Where they do not, the certificate has expired, or its owner's clock is ahead: it stays, and is not used.
    """
    try:
        primary.require_endorsed(datetime.now(UTC) - CLOCK_SKEW)
    except VerificationError:
        return False
    return not primary.is_ahead


def _is_revoked(component: _Component, kind: int, makers: set[str]) -> bool:
    named = (not found.issuers or found.issuers & makers for found in component.of_type(kind))
    return component.unread_revocation or any(named)


def _revoked(name: str) -> VerificationError:
    return VerificationError(f"OpenPGP key {name} is revoked", reason=Reason.REVOKED)


def _expired(name: str, when: datetime) -> VerificationError:
    return VerificationError(f"OpenPGP key {name} expired at {when:%Y-%m-%d %H:%M}", reason=Reason.EXPIRED)
