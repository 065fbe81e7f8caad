"""What Notary asks of the certificates that keys come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.x509.oid import NameOID

from sealgate.errors import VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_WILDCARD = "*"


def check_dates(certificate: x509.Certificate, now: datetime) -> None:
    """Refuse a certificate that is not valid now.

    Raises:
        VerificationError: it is not valid yet, or no longer.
    """
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        when = f"is not valid before {begins:%Y-%m-%d}"
    elif now > ends:
        when = f"expired on {ends:%Y-%m-%d}"
    else:
        return
    raise VerificationError(f"the key's certificate {when}", reason=Reason.EXPIRED)


def check_root_bundle(certificates: Sequence[x509.Certificate], gun: str, now: datetime) -> None:
    """Accept a bundle as that of a root key: its one leaf first, made out to the repository, valid, not by SHA-1.

    Args:
        certificates: as the key has them; none for a bare key, which Notary does not have as a root key.
        gun: the repository's full name.
        now: the time.

    Raises:
        VerificationError: it is not such a bundle.
    """
    if not certificates or [is_ca(certificate) for certificate in certificates].count(False) != 1:
        raise _malformed("a root key does not come in a certificate bundle with exactly one leaf")
    leaf = certificates[0]
    if is_ca(leaf):
        raise _malformed("a root key's certificate bundle does not begin with the leaf")
    _check_name(leaf, gun)
    check_dates(leaf, now)
    try:
        weak = isinstance(leaf.signature_hash_algorithm, SHA1 | MD5)
    except UnsupportedAlgorithm:
        weak = True
    if weak:
        raise VerificationError("a root key's certificate is signed with a weak hash", reason=Reason.INVALID_SIGNATURE)


def is_ca(certificate: x509.Certificate) -> bool:
    """Return whether a certificate is of a CA by its basic constraints; False if these cannot be read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def _check_name(leaf: x509.Certificate, gun: str) -> None:
    try:
        names = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, UserWarning):  # the last for names of an odd length, where warnings are errors
        names = []
    name = names[0] if len(names) == 1 and isinstance(names[0], str) else ""
    covered = gun.startswith(name.rstrip(_WILDCARD)) if name.endswith(_WILDCARD) else name == gun
    if not covered:
        msg = f"the root's certificate is made out to {quote(name)} and not to {gun}"
        raise VerificationError(msg, reason=Reason.REPOSITORY_MISMATCH)


def _malformed(message: str) -> VerificationError:
    return VerificationError(message, reason=Reason.MALFORMED_EVIDENCE)
