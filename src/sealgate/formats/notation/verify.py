"""A Notation authenticator, ready to verify images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.errors import InvalidKeyError, in_field
from sealgate.formats.interface import hash_content
from sealgate.formats.notation.certificates import UNREADABLE, fingerprint_of, is_ca
from sealgate.formats.notation.crl import read_lists
from sealgate.formats.notation.envelopes import EnvelopeRules
from sealgate.formats.notation.identities import TrustedIdentities
from sealgate.formats.notation.revocation import RevocationRules
from sealgate.formats.notation.search import Search
from sealgate.formats.notation.wire.envelope import Scheme
from sealgate.timestamps.verify import Authorities

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.notation import NotationMaterial, NotationSpec
    from sealgate.findings import Verified
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.formats.notation.crl import RevocationList
    from sealgate.keys.resolvers import KeyResolver

# Part of `content`: raise it when the same certificates and options come to mean something else.
_RULES_VERSION = 1
#: Limit for the certificates in one text.
MAX_CERTIFICATES = 64
_BEGIN = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class NotationCheck:
    """One Notation authenticator's rules. Immutable, thread-safe.

    Attributes:
        rules: what an envelope must be, and say.
        content: see `sealgate.formats.interface.Check`.
        format: "notation".
        depends_on_tag: False: what is signed is a digest.
    """

    rules: EnvelopeRules
    content: str
    format: str = "notation"
    depends_on_tag: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """None: signatures are in the image's own repository."""
        return frozenset()

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return None: a CA chooses the keys, by the certificates that it issues."""
        del now
        return None

    def budget_host(self, image: Image) -> str:
        """Return the image's registry, which holds the signatures."""
        return image.reference.repository.registry

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures; see `sealgate.formats.interface.Check`.

        Raises:
            VerificationError: no signature counts; carries every signature seen.
            UnavailableError: no signature counts, and one could not be fetched, or its revocation not be asked for.
        """
        return Search(self.rules, image, sources).run()


def build(spec: NotationSpec, keys: KeyResolver) -> NotationCheck:
    """Turn the `notation` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: a certificate or a revocation list cannot be accepted.
        UnavailableError: a Secret is not there (yet).
    """
    stores = spec.trust_stores
    trusted = {
        Scheme.X509: _read_store(stores.ca, "ca", keys),
        Scheme.SIGNING_AUTHORITY: _read_store(stores.signing_authority, "signingAuthority", keys),
    }
    authorities = _read_store(stores.tsa, "tsa", keys)
    lists = _read_lists(spec.revocation.lists, keys)
    fingerprints = {scheme: frozenset(map(_fingerprint, found)) for scheme, found in trusted.items()}
    rules = EnvelopeRules(
        trusted=fingerprints,
        identities=TrustedIdentities.of(spec.trusted_identities),
        authorities=Authorities(authorities) if authorities else None,
        timestamp_after_expiry_only=spec.verify_timestamp == "AfterCertExpiry",
        accept_expired=spec.accept_expired,
        annotations=dict(spec.annotations),
        revocation=RevocationRules(lists, frozenset(spec.revocation.hosts), spec.revocation.accept_unknown),
    )
    content = {
        "format": "notation",
        "rules": _RULES_VERSION,
        "trusted": {scheme.value: sorted(found) for scheme, found in fingerprints.items()},
        "tsa": sorted(map(_fingerprint, authorities)),
        "lists": [fingerprint_of(each.crl.public_bytes(Encoding.DER)) for each in lists],
        # The spec has everything but what is in Secrets.
        "spec": spec.model_dump(mode="json"),
    }
    return NotationCheck(rules, hash_content(content))


def _fingerprint(certificate: x509.Certificate) -> str:
    return fingerprint_of(certificate.public_bytes(Encoding.DER))


def _read_store(entries: Sequence[NotationMaterial], name: str, keys: KeyResolver) -> tuple[x509.Certificate, ...]:
    found: list[x509.Certificate] = []
    for number, entry in enumerate(entries):
        with in_field(f"notation.trustStores.{name}[{number}]"):
            found += _read_certificates(_text_of(entry, keys))
    return tuple(dict.fromkeys(found))


def _read_lists(entries: Sequence[NotationMaterial], keys: KeyResolver) -> tuple[RevocationList, ...]:
    found: list[RevocationList] = []
    for number, entry in enumerate(entries):
        with in_field(f"notation.revocation.lists[{number}]"):
            found += read_lists(_text_of(entry, keys))
    return tuple(found)


def _text_of(entry: NotationMaterial, keys: KeyResolver) -> str:
    if entry.secret_ref is None:
        return entry.pem or ""
    # Text that is not ASCII is not PEM, which the reading of blocks reports.
    return keys.secret(entry.secret_ref).decode("ascii", "replace")


def _read_certificates(pem: str) -> list[x509.Certificate]:
    _, *blocks = pem.split(_BEGIN)
    if not 1 <= len(blocks) <= MAX_CERTIFICATES:
        raise InvalidKeyError(
            f"{len(blocks)} PEM blocks where there should be 1 to {MAX_CERTIFICATES} certificates; each begins with "
            "-----BEGIN CERTIFICATE-----"
        )
    return [_read_certificate(_BEGIN + block) for block in blocks]


def _read_certificate(pem: str) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        anchor = is_ca(certificate) or certificate.issuer == certificate.subject
    except UNREADABLE as error:
        raise InvalidKeyError("the PEM block does not hold a certificate; copy the whole block again") from error
    if not anchor:
        raise InvalidKeyError(
            "it has a certificate that is neither of a CA nor self-signed; trust its CA, and name the signer in "
            "trustedIdentities"
        )
    return certificate
