"""What the policy pins: the root of trust of a repository, and who may sign for a role.

Both are read when the authenticator is made ready, so that a bad PEM is reported at once. A certificate whose time has
passed is no mistake in the policy; it just accepts nothing any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import InvalidKeyError, VerificationError, in_field
from sealgate.formats.interface import CheckKey
from sealgate.formats.notary.certificates import check_dates, is_ca
from sealgate.formats.notary.wire.keys import UNREADABLE, check_strength
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.spki import read_certificate_key
from sealgate.messages import name_accepted, quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.api.v1alpha1.notary import NotaryKey, NotaryRole, NotaryRoot, NotaryRootCA
    from sealgate.formats.notary.wire.keys import MetadataKey
    from sealgate.keys.resolvers import KeyResolver

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_BEGIN = "-----BEGIN "
_MAX_BLOCKS = 16
#: What the library puts in front of a reason, and what it says where it found no issuer to try.
_LIBRARY = re.compile(r"^validation failed: |candidates exhausted: |Python extension validator failed: ValueError: ")
_NO_ISSUER = "all candidates exhausted with no interior errors"
_PURPOSES = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


class RootPin(Protocol):
    """Decides whether a root key is one that the policy trusts."""

    def check(self, key: MetadataKey, gun: str, now: datetime) -> datetime | None:
        """Accept a root key, which comes in a certificate.

        Returns:
            When the pin ceases to accept it; None if it goes by no date.

        Raises:
            VerificationError: it is not one that is pinned.
        """


@dataclass(frozen=True, slots=True)
class AcceptedKey:
    """One key that a policy accepts, by its fingerprint or by its id.

    Attributes:
        fingerprint: of the bare key; None when the policy gives an id.
        key_id: as Notary has it, bare or as an entry of a metadata file; None when the policy gives the key.
        certificate: the one that the policy gave, if it gave one.
    """

    fingerprint: str | None = None
    key_id: str | None = None
    certificate: x509.Certificate | None = None

    @property
    def content(self) -> str:
        """Everything that decides, as text."""
        certificate = "" if self.certificate is None else self.certificate.fingerprint(SHA256()).hex()
        return f"{self.fingerprint} {self.key_id} {certificate}"

    @property
    def name(self) -> str:
        """What a person knows it by: its fingerprint, or its key id where the policy names nothing else."""
        return self.fingerprint or self.key_id or ""

    def is_key(self, key: MetadataKey) -> bool:
        """Return whether this is the key, in any certificate."""
        if self.key_id is not None:
            return self.key_id in (key.key_id, key.canonical_id)
        return self.fingerprint == key.fingerprint

    def check_key(self, fingerprint: str, now: datetime) -> CheckKey:
        """Return the key as a check reports it.

        Args:
            fingerprint: its fingerprint.
            now: the time at which its certificate must be valid.
        """
        name = f"key {fingerprint}"
        try:
            self.check_dates(now)
        except VerificationError as error:
            return CheckKey(fingerprint, name, error.reason, error.message)
        return CheckKey(fingerprint, name)

    def check_dates(self, now: datetime) -> None:
        """Accept nothing by a certificate that is not valid now.

        Raises:
            VerificationError: it is not valid yet, or no longer.
        """
        if self.certificate is not None:
            check_dates(self.certificate, now)

    @property
    def ends(self) -> datetime | None:
        """When the certificate ends that `check_dates` goes by; None where there is none."""
        return None if self.certificate is None else self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True)
class KeyPin:
    """Pins root keys themselves."""

    accepted: tuple[AcceptedKey, ...]

    def check(self, key: MetadataKey, gun: str, now: datetime) -> None:
        """Accept a key that is pinned; where the pin is a certificate it must be that very one."""
        del gun, now  # the certificate in the root has rules of its own, dates among them
        for accepted in self.accepted:
            if accepted.is_key(key) and accepted.certificate in (None, key.certificates[0]):
                return
        pinned = name_accepted(accepted.name for accepted in self.accepted)
        msg = f"the root key {key.canonical_id} is not the one that the policy pins{pinned}"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)


class FirstUsePin:
    """Accepts the root that a server shows first, for writers without a pin, as docker and notary do.

    Trusted state holds to it from then on. No authenticator has this pin.
    """

    def check(self, key: MetadataKey, gun: str, now: datetime) -> None:
        """Accept any root key; its certificate must be made out to the repository all the same."""


@dataclass(frozen=True, slots=True)
class CAPin:
    """Pins the CAs that certify root keys, for every repository or for those at or below one name."""

    certificates: tuple[x509.Certificate, ...]
    prefix: str | None

    def check(self, key: MetadataKey, gun: str, now: datetime) -> datetime:
        """Accept a key whose certificate chains to one of the CAs; return when the chain ends."""
        if self.prefix is not None and not f"{gun}/".startswith(f"{self.prefix.rstrip('/')}/"):
            msg = f"the authenticator's root.ca does not certify {gun}, only repositories at or below {self.prefix}"
            raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)
        leaf, *others = key.certificates
        try:
            chain = self._verifier(now).verify(leaf, others).chain
        except (verification.VerificationError, ValueError) as error:
            msg = (
                f"the certificate of the root key {key.canonical_id} does not lead to a CA of the authenticator's "
                f"root.ca: {_why(error)}; correct the chain, or root.ca"
            )
            raise VerificationError(msg, reason=Reason.UNKNOWN_KEY) from error
        return min(certificate.not_valid_after_utc for certificate in chain)

    def _verifier(self, now: datetime) -> verification.ClientVerifier:
        # Root certificates are not web certificates: their name is the repository. What must hold of them is what
        # the notary client asks of Go's x509: issuers certify, and any purposes that are stated include servers'.
        anything = verification.ExtensionPolicy.permit_all()
        either = verification.Criticality.AGNOSTIC
        leaf = anything.may_be_present(x509.ExtendedKeyUsage, either, _require_purpose)
        issuer = leaf.require_present(x509.BasicConstraints, either, None).may_be_present(
            x509.KeyUsage, either, _require_certifying
        )
        builder = verification.PolicyBuilder().store(verification.Store(list(self.certificates))).time(now)
        return builder.extension_policies(ca_policy=issuer, ee_policy=leaf).build_client_verifier()


def _why(error: Exception) -> str:
    """Return the reason in an error of the library, without what it says about itself."""
    text = re.sub(r" \(encountered processing .*|: AlgorithmIdentifier .*", "", str(error), flags=re.DOTALL)
    return quote(_LIBRARY.sub("", text).replace(_NO_ISSUER, "no certificate of its issuer is there"), 200)


def _require_certifying(_policy: verification.Policy, _issuer: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    """Refuse an issuer whose key usage does not include keyCertSign (RFC 5280, 4.2.1.3)."""
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key usage of an issuer does not include keyCertSign")


def _require_purpose(
    _policy: verification.Policy, _certificate: x509.Certificate, purposes: x509.ExtendedKeyUsage | None
) -> None:
    """Refuse extended key usages without that of servers: the notary client leaves Go's default, which asks for it."""
    if purposes is not None and not _PURPOSES.intersection(purposes):
        raise ValueError("an extended key usage does not include serverAuth")


def read_pin(root: NotaryRoot) -> RootPin:
    """Return the pin of an authenticator.

    Raises:
        InvalidKeyError: what it holds cannot be read.
    """
    with in_field("notary.root"):
        if root.ca is not None:
            return _read_ca(root.ca)
        if root.key_id is not None:
            return KeyPin((AcceptedKey(key_id=root.key_id),))
        return KeyPin(tuple(_read_accepted(block) for block in _split(root.pem or "")))


def read_signers(role: NotaryRole, keys: KeyResolver, field: str) -> tuple[AcceptedKey, ...]:
    """Return the signers that a policy lists for a role.

    Args:
        role: the role.
        keys: resolver for keys that are not in the spec itself.
        field: path of the role below the spec, for errors.

    Raises:
        InvalidKeyError: one is not a key that can be accepted.
        UnavailableError: one is not there (yet).
    """
    accepted: list[AcceptedKey] = []
    for number, entry in enumerate(role.keys or ()):
        with in_field(f"{field}.keys[{number}]"):
            accepted.append(_read_signer(entry, keys))
    return tuple(accepted)


def _read_signer(entry: NotaryKey, keys: KeyResolver) -> AcceptedKey:
    if entry.key_id is not None:
        return AcceptedKey(key_id=entry.key_id)
    pem = entry.pem or ""
    if entry.secret_ref is not None:
        # Text that is not ASCII is not PEM, which the reading of blocks reports.
        pem = keys.secret(entry.secret_ref).decode("ascii", "replace")
    blocks = _split(pem)
    if len(blocks) > 1:
        raise InvalidKeyError(f"there are {len(blocks)} keys in one text; give each signer an entry of its own")
    return _read_accepted(blocks[0])


def _read_accepted(pem: str) -> AcceptedKey:
    if _CERTIFICATE not in pem:
        return AcceptedKey(fingerprint=load_public_key(pem).fingerprint)
    certificate, key = _read_certificate(pem)
    return AcceptedKey(fingerprint=check_strength(key)[1], certificate=certificate)


def _read_ca(ca: NotaryRootCA) -> CAPin:
    certificates = tuple(_read_certificate(block)[0] for block in _split(ca.pem))
    if not all(is_ca(certificate) for certificate in certificates):
        raise InvalidKeyError("root.ca has a certificate that is not of a CA; pin it with root.pem instead")
    return CAPin(certificates, ca.gun_prefix)


def _read_certificate(pem: str) -> tuple[x509.Certificate, object]:
    """Return a certificate and the key in it."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except UNREADABLE as error:
        raise InvalidKeyError("the PEM block does not hold a certificate; copy the whole block again") from error
    try:
        return certificate, read_certificate_key(certificate)
    except UNREADABLE as error:
        raise InvalidKeyError("the certificate holds a key of a kind that is not supported") from error


def _split(pem: str) -> list[str]:
    """Split a text at each BEGIN, so that every block is read by itself and nothing is passed over."""
    _, *blocks = pem.split(_BEGIN)
    if not 1 <= len(blocks) <= _MAX_BLOCKS:
        msg = f"{len(blocks)} PEM blocks where there should be 1 to {_MAX_BLOCKS}; each begins with {_BEGIN}"
        raise InvalidKeyError(msg)
    return [_BEGIN + block for block in blocks]
