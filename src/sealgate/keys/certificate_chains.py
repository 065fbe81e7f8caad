"""Certificate chains at a given time, for a given purpose (RFC 5280, 6.1).

`cryptography` builds and verifies the path; what it leaves to its caller is checked here, on the path that it found:
every certificate is valid at that time, the root included, and every issuer is a CA that may certify for the purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

#: What `cryptography` raises for certificates and their keys that are malformed; warnings where they are errors.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UserWarning,
)

#: Limit for the certificates of one chain, without its root.
MAX_CHAIN = 16


def verify_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    purpose: x509.ObjectIdentifier,
) -> tuple[x509.Certificate, ...]:
    """Return the chain from a certificate to one of the roots.

    Args:
        leaf: the certificate; it must be for signatures, and not of a CA.
        intermediates: further certificates, which may be needed or not; untrusted, at most `MAX_CHAIN`.
        roots: the trusted ones, at least one.
        at: the time at which all certificates of the chain must be valid.
        purpose: the extended key usage that the leaf must have, and that each issuer must have or not limit.

    Raises:
        VerificationError: there is no such chain; reason *Expired* where only the time is wrong.
    """
    if len(intermediates) > MAX_CHAIN:
        msg = f"there are more than {MAX_CHAIN} certificates beside the signer's"
        raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
    _check_time(leaf, at)
    anything = verification.ExtensionPolicy.permit_all()
    issuer = anything.require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(at)
    try:
        verifier = policy.extension_policies(ca_policy=issuer, ee_policy=anything).build_client_verifier()
        chain = tuple(verifier.verify(leaf, list(intermediates)).chain)
        _check_leaf(leaf, purpose)
        for below, certificate in enumerate(chain[1:]):
            _check_issuer(certificate, purpose, below)
    except (verification.VerificationError, *UNREADABLE) as error:
        msg = f"its certificate does not lead to a trusted root: {_why(error)}"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY) from error
    for certificate in chain:
        _check_time(certificate, at)
    return chain


def _check_time(certificate: x509.Certificate, at: datetime) -> None:
    try:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError as error:  # a year that no calendar has
        msg = "a certificate has a validity that cannot be read"
        raise VerificationError(msg, reason=Reason.MALFORMED_EVIDENCE) from error
    if not begins <= at <= ends:
        name = quote(certificate.subject.rfc4514_string() or f"serial number {certificate.serial_number:x}", 100)
        msg = f"the certificate {name} is valid from {begins:%Y-%m-%d %H:%M:%S} to {ends:%Y-%m-%d %H:%M:%S} UTC, and "
        msg += f"the signature was made at {at:%Y-%m-%d %H:%M:%S} UTC"
        raise VerificationError(msg, reason=Reason.EXPIRED)


def _check_leaf(leaf: x509.Certificate, purpose: x509.ObjectIdentifier) -> None:
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise ValueError("it is the certificate of a CA")
    usage = _extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise ValueError("its key usage does not include digitalSignature")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is None or purpose not in purposes:
        raise ValueError(f"its extended key usage does not include {_NAMES.get(purpose, purpose.dotted_string)}")


def _check_issuer(issuer: x509.Certificate, purpose: x509.ObjectIdentifier, below: int) -> None:
    """Check a certificate that issued another.

    Args:
        issuer: the certificate.
        purpose: what the leaf is for.
        below: the number of intermediates between it and the leaf.
    """
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise ValueError("an issuer is not a CA")
    if constraints.path_length is not None and below > constraints.path_length:
        raise ValueError("a CA has more intermediates below it than it may have")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key usage of an issuer does not include keyCertSign")
    purposes = _extension(issuer, x509.ExtendedKeyUsage)
    if purposes is not None and not {purpose, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        raise ValueError(f"an issuer may not certify for {_NAMES.get(purpose, purpose.dotted_string)}")


_NAMES = {ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning", ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping"}


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _why(error: Exception) -> str:
    text = str(error).partition(" (encountered processing")[0].removeprefix("validation failed: ")
    text = text.removeprefix("candidates exhausted: ")
    return quote(text.replace("all candidates exhausted with no interior errors", "its issuer is not there"), 200)
