"""Certificate revocation lists (RFC 5280, 5): whether one says that a certificate is revoked, or is not.

A list that is not understood in full says nothing good: delta and indirect lists, lists of only some reasons, and lists
that refer to a delta list leave the status unknown. An entry for a certificate counts in any list that has its issuer's
name and signature, also in an expired one and for any reason, certificateHold among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.formats.notation.certificates import UNREADABLE, extension_of, name_of
from sealgate.keys.spki import read_certificate_key
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from datetime import datetime

#: Limit for the lists in one text.
MAX_LISTS = 16
_BEGIN = "-----BEGIN "
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_NUMBERS = frozenset({ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER})


class UnknownStatusError(Exception):
    """A source does not say whether a certificate is revoked; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list, read and not verified.

    Attributes:
        crl: the list.
    """

    crl: x509.CertificateRevocationList

    @property
    def ends(self) -> datetime | None:
        """When it ends, UTC; None if it does not say so, or that cannot be read."""
        try:
            return self.crl.next_update_utc
        except UNREADABLE:
            return None

    def is_for(self, issuer: x509.Certificate) -> bool:
        """Return whether the list is by that issuer: it has its name and its signature."""
        try:
            key = read_certificate_key(issuer)
            return (
                self.crl.issuer == issuer.subject
                and isinstance(self.crl.signature_hash_algorithm, _HASHES)
                and isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
                and self.crl.is_signature_valid(key)
            )
        except UNREADABLE:
            return False

    def check(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> datetime:
        """Return until when the list says that a certificate of its issuer is not revoked.

        Args:
            certificate: the certificate.
            issuer: its issuer, for which `is_for` has returned True.
            now: the time, UTC.

        Raises:
            VerificationError: the certificate is revoked.
            UnknownStatusError: the list does not say that it is not.
        """
        try:
            if self.crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                msg = f"{name_of(certificate)} is revoked by its issuer's revocation list"
                raise VerificationError(msg, reason=Reason.REVOKED)
            usage = extension_of(issuer, x509.KeyUsage)
            if usage is not None and not usage.value.crl_sign:
                raise UnknownStatusError("its issuer may not sign revocation lists, by its key usage")
            self._require_scope(certificate)
            begins, ends = self.crl.last_update_utc, self.crl.next_update_utc
        except UNREADABLE as error:
            raise UnknownStatusError("its issuer's revocation list cannot be read") from error
        if ends is None or not begins <= now < ends:
            until = "without an end" if ends is None else f"from {begins:%Y-%m-%dT%H:%MZ} to {ends:%Y-%m-%dT%H:%MZ}"
            raise UnknownStatusError(f"its issuer's revocation list is valid {until}, not now")
        return ends

    def _require_scope(self, certificate: x509.Certificate) -> None:
        """Require that the list is about every reason for which such a certificate can be revoked."""
        for extension in self.crl.extensions:
            value = extension.value
            if isinstance(value, x509.IssuingDistributionPoint):
                if not _covers(value, certificate):
                    raise UnknownStatusError(
                        "its issuer's revocation list is about other certificates, or some reasons"
                    )
            elif isinstance(value, x509.FreshestCRL | x509.DeltaCRLIndicator):
                raise UnknownStatusError("its issuer's revocation list is a delta list, or refers to one")
            elif extension.critical and extension.oid not in _NUMBERS:
                raise UnknownStatusError("its issuer's revocation list has an extension that is not supported")


def _covers(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs or scope.relative_name:
        return False
    constraints = extension_of(certificate, x509.BasicConstraints)
    authority = constraints is not None and constraints.value.ca
    if (scope.only_contains_user_certs and authority) or (scope.only_contains_ca_certs and not authority):
        return False
    named = {name.value for name in scope.full_name or () if isinstance(name, x509.UniformResourceIdentifier)}
    return not scope.full_name or bool(named.intersection(distribution_points(certificate)))


def distribution_points(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the addresses of the lists that a certificate names.

    Raises:
        ValueError: its extensions cannot be read (and the others of `UNREADABLE`).
    """
    points = extension_of(certificate, x509.CRLDistributionPoints)
    if points is None:
        return ()
    names = (name for point in points.value for name in point.full_name or ())
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def names_lists(certificate: x509.Certificate) -> bool:
    """Return whether a certificate names a revocation list, at any kind of address."""
    return extension_of(certificate, x509.CRLDistributionPoints) is not None


def read_list(data: bytes) -> RevocationList:
    """Read a list as it is fetched: DER, or PEM.

    Raises:
        UnknownStatusError: it is neither.
    """
    try:
        if data.lstrip().startswith(_BEGIN.encode()):
            return RevocationList(x509.load_pem_x509_crl(data))
        return RevocationList(x509.load_der_x509_crl(data))
    except UNREADABLE as error:
        raise UnknownStatusError("its issuer's revocation list cannot be read") from error


def read_lists(pem: str) -> tuple[RevocationList, ...]:
    """Read the lists that a policy has, in PEM.

    Raises:
        InvalidKeyError: the text is anything else, or has too many of them.
    """
    _, *blocks = pem.split(_BEGIN)
    if not 1 <= len(blocks) <= MAX_LISTS:
        raise InvalidKeyError(
            f"{len(blocks)} PEM blocks where there should be 1 to {MAX_LISTS} revocation lists; each begins with "
            "-----BEGIN X509 CRL-----"
        )
    try:
        return tuple(RevocationList(x509.load_pem_x509_crl((_BEGIN + block).encode())) for block in blocks)
    except UNREADABLE as error:
        msg = "a PEM block does not hold a revocation list; convert DER with: openssl crl -inform DER -in list.crl"
        raise InvalidKeyError(msg) from error
