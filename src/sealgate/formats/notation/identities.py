"""Trusted identities: which signers count, of all those that a trusted CA has certified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.distinguished_names import ATTRIBUTES, parse_distinguished_name
from sealgate.errors import VerificationError
from sealgate.formats.notation.certificates import UNREADABLE, name_of
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography import x509

#: Any signer that the trust store certifies.
ANY = "*"
#: What identities begin with that are subjects of certificates.
SUBJECT_PREFIX = "x509.subject:"


@dataclass(frozen=True, slots=True)
class TrustedIdentities:
    """The signers that count.

    Attributes:
        subjects: attributes that a signer's subject must have, each with exactly that value; one of these is enough.
            None for any signer.
    """

    subjects: tuple[Mapping[str, str], ...] | None

    @classmethod
    def of(cls, texts: Iterable[str]) -> TrustedIdentities:
        """Return the identities that a policy writes, checked by its model."""
        written = tuple(texts)
        if ANY in written:
            return cls(None)
        return cls(tuple(parse_distinguished_name(text.removeprefix(SUBJECT_PREFIX)) for text in written))

    def check(self, certificate: x509.Certificate) -> None:
        """Check the subject of a signer's certificate.

        Raises:
            VerificationError: it is not trusted.
        """
        if self.subjects is None:
            return
        subject = _subject(certificate)
        if not any(wanted.items() <= subject.items() for wanted in self.subjects):
            msg = f"{name_of(certificate)} of its signer is not one of the trusted identities of the authenticator"
            raise VerificationError(msg, reason=Reason.IDENTITY_MISMATCH)


def _subject(certificate: x509.Certificate) -> Mapping[str, str]:
    """Return the attributes of a subject by their short names; those without one cannot be asked for.

    Raises:
        VerificationError: it can be read in several ways: an attribute twice, or several in one.
    """
    found: dict[str, str] = {}
    try:
        for part in certificate.subject.rdns:
            attributes = list(part)
            name = ATTRIBUTES.get(attributes[0].oid.dotted_string)
            value = attributes[0].value
            if len(attributes) > 1 or name in found:
                raise _ambiguous(certificate)
            if name is not None and isinstance(value, str):
                found[name] = value
    except UNREADABLE as error:
        raise _ambiguous(certificate) from error
    return found


def _ambiguous(certificate: x509.Certificate) -> VerificationError:
    msg = f"the subject of {name_of(certificate)} has an attribute twice, or several in one: it names no one signer"
    return VerificationError(msg, reason=Reason.IDENTITY_MISMATCH)
