"""What an envelope must be, and say, to count as a signature of an image.

In this order: it parses, its chain is trusted for its signing scheme, the key of its certificate made the signature,
and the signer has a trusted identity; then it is about the image, with the annotations that are asked for, not expired,
signed while its certificates were valid, and none of these is revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sealgate.clocks import earliest
from sealgate.errors import VerificationError
from sealgate.formats.notation.certificates import check_validity, ends_of, fingerprint_of, name_of, verify_chain
from sealgate.formats.notation.signatures import check_algorithm, signer_key
from sealgate.formats.notation.wire.cose import parse_cose
from sealgate.formats.notation.wire.envelope import COSE_TYPE, JWS_TYPE, Scheme, parse_payload
from sealgate.formats.notation.wire.jws import parse_jws
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.timestamps.verify import verify_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from cryptography import x509

    from sealgate.formats.notation.identities import TrustedIdentities
    from sealgate.formats.notation.revocation import RevocationChecks, RevocationRules
    from sealgate.formats.notation.signatures import SignerKey
    from sealgate.formats.notation.wire.envelope import Envelope, Target
    from sealgate.registry.interface import Manifest
    from sealgate.timestamps.verify import Authorities

#: The kinds of envelopes by the type of their layer.
PARSERS: Mapping[str, Callable[[bytes], Envelope]] = {JWS_TYPE: parse_jws, COSE_TYPE: parse_cose}
#: How far the clock of a signing authority may be ahead.
_SKEW = timedelta(minutes=5)
_STORES = {Scheme.X509: "ca", Scheme.SIGNING_AUTHORITY: "signingAuthority"}


@dataclass(frozen=True, slots=True)
class Authenticated:
    """An envelope whose signature was made by a trusted signer.

    Attributes:
        envelope: the envelope.
        chain: its certificates, the signer's first.
        vouched: those up to the first trusted one, and its issuer. What comes above is chosen by the sender of the
            envelope: without the key of a CA it can certify the key of the trusted certificate's issuer anew.
        key: the signer's key.
    """

    envelope: Envelope
    chain: tuple[x509.Certificate, ...]
    vouched: tuple[x509.Certificate, ...]
    key: SignerKey


@dataclass(frozen=True, slots=True)
class EnvelopeRules:
    """What a policy asks of envelopes.

    Attributes:
        trusted: fingerprints of the trusted certificates, by signing scheme.
        identities: the signers that count.
        authorities: trusted timestamp authorities; None to go by the current time alone.
        timestamp_after_expiry_only: whether a timestamp is asked for only once a certificate has expired.
        accept_expired: whether a signature counts after the end that it states itself.
        annotations: signed metadata that it must have, each with exactly that value.
        revocation: see `RevocationRules`.
    """

    trusted: Mapping[Scheme, frozenset[str]]
    identities: TrustedIdentities
    authorities: Authorities | None
    timestamp_after_expiry_only: bool
    accept_expired: bool
    annotations: Mapping[str, str]
    revocation: RevocationRules

    def authenticate(self, media_type: str, data: bytes) -> Authenticated:
        """Verify who made an envelope; its times, revocation and payload are not checked.

        Args:
            media_type: of its layer, one of `PARSERS`.
            data: the exact bytes.

        Raises:
            VerificationError: it is malformed, not by a trusted signer, or was changed.
        """
        envelope = PARSERS[media_type](data)
        trusted = self.trusted[envelope.scheme]
        chain = verify_chain(envelope.chain, trusted, _STORES[envelope.scheme])
        key = signer_key(chain[0])
        check_algorithm(envelope.algorithm, key)
        key.verify(envelope.signature, envelope.signed)
        self.identities.check(chain[0])
        anchor = next(index for index, der in enumerate(envelope.chain) if fingerprint_of(der) in trusted)
        return Authenticated(envelope, chain, chain[: anchor + 2], key)

    def check(
        self,
        found: Authenticated,
        digest: str,
        manifest: Callable[[], Manifest],
        now: datetime,
        revocation: RevocationChecks,
    ) -> datetime | None:
        """Check that an envelope is about an image, and counts now.

        Args:
            found: see `authenticate`.
            digest: of the image.
            manifest: returns the image's manifest; called only if the digest fits.
            now: the time, UTC.
            revocation: the checks of this verification, by the same policy.

        Returns:
            When it ceases to count, by what is known now; None if nothing that it depends on ends.

        Raises:
            VerificationError: it does not.
            UnavailableError: manifest or revocation could not be asked for.
        """
        target = parse_payload(found.envelope.payload)
        if target.digest != digest:
            msg = f"it signs {quote(target.digest, 100)}, not {digest}: it belongs to another image"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        self._check_annotations(target)
        _check_descriptor(target, manifest())
        return earliest(
            self._check_expiry(found.envelope, now),
            self._check_time(found, now, revocation),
            revocation.check(found.vouched),
        )

    def _check_annotations(self, target: Target) -> None:
        for name, wanted in self.annotations.items():
            if target.annotations.get(name) != wanted:
                there = target.annotations.get(name)
                state = f"is {quote(there, 100)}" if name in target.annotations else "is missing"
                msg = f"the annotation {quote(name, 100)} {state}; the authenticator asks for {quote(wanted, 100)}"
                raise VerificationError(msg, reason=Reason.ANNOTATION_MISMATCH)

    def _check_expiry(self, envelope: Envelope, now: datetime) -> datetime | None:
        if self.accept_expired:
            return None
        if envelope.expiry is not None and envelope.expiry <= now:
            msg = f"it expired on {envelope.expiry:%Y-%m-%dT%H:%M:%SZ}, as its signer has set; sign the image again"
            raise VerificationError(msg, reason=Reason.EXPIRED)
        return envelope.expiry

    def _check_time(self, found: Authenticated, now: datetime, revocation: RevocationChecks) -> datetime | None:
        envelope = found.envelope
        if envelope.signing_time is not None:
            if envelope.signing_time > now + _SKEW:
                msg = f"it says that it was signed on {envelope.signing_time:%Y-%m-%dT%H:%M:%SZ}, which is not yet"
                raise VerificationError(msg, reason=Reason.EXPIRED)
            check_validity(found.chain, envelope.signing_time, envelope.signing_time, "when it was signed")
            return None
        if self.authorities is None or (self.timestamp_after_expiry_only and not _has_expired(found.chain, now)):
            check_validity(found.chain, now, now, "now")
            return ends_of(found.chain)
        return _check_timestamp(found, self.authorities, revocation)


def describe(found: Authenticated) -> str:
    """Return how a signature was made, for a person."""
    return f"made by {name_of(found.chain[0])} with {found.key.algorithm}"


def _check_timestamp(found: Authenticated, authorities: Authorities, revocation: RevocationChecks) -> datetime | None:
    if not found.envelope.timestamp:
        msg = "it has no timestamp, and the trust store tsa asks for one; sign with a timestamp authority"
        raise VerificationError(msg, reason=Reason.EXPIRED)
    stamp = verify_token(found.envelope.timestamp, found.envelope.signature, authorities)
    check_validity(found.chain, stamp.time - stamp.accuracy, stamp.time + stamp.accuracy, "when it was timestamped")
    return revocation.check(stamp.chain)


def _has_expired(chain: tuple[x509.Certificate, ...], now: datetime) -> bool:
    return any(now > certificate.not_valid_after_utc for certificate in chain)


def _check_descriptor(target: Target, manifest: Manifest) -> None:
    if (target.media_type, target.size) != (manifest.media_type, len(manifest.body)):
        msg = (
            f"it signs {target.size} bytes of {quote(target.media_type, 100)}, and the image's manifest has "
            f"{len(manifest.body)} bytes of {quote(manifest.media_type, 100)}"
        )
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
