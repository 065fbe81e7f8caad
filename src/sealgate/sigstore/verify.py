"""Signatures verified with sigstore's evidence: by a certified identity, or by a key with a transparency log.

The order: the signature itself; the log entry, and that it is about this signature; timestamps; the certificate at
every time that is proven, down to the trusted root; that the certificate was published; and the identity. A time counts
only if a log or a TSA has signed it, so *now* plays no part, and a signature stays valid after its certificate has
ended.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import VerificationError
from sealgate.keys.certificate_chains import verify_chain
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.sigstore.certificates import read_certificate, read_key, read_signer
from sealgate.sigstore.identities import check_identity
from sealgate.sigstore.log_bodies import Signed, check_body
from sealgate.sigstore.log_entries import prove
from sealgate.sigstore.scts import check_sct
from sealgate.timestamps.verify import Authorities, verify_response

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from sealgate.keys.public_keys import PublicKey
    from sealgate.sigstore.certificates import Signer
    from sealgate.sigstore.identities import Identity
    from sealgate.sigstore.material import Material
    from sealgate.sigstore.trusted_root import Authority, TrustedRoot


@dataclass(frozen=True, slots=True)
class Keyless:
    """Rules for signatures by identities.

    Attributes:
        root: the trusted root.
        identities: the accepted identities, at least one.
        require_log: whether a signature must be in a transparency log; else a timestamp of a TSA will do.
    """

    root: TrustedRoot
    identities: tuple[Identity, ...]
    require_log: bool

    def verify(self, material: Material, signature: bytes, message: bytes, payload: bytes | None) -> tuple[Signer, str]:
        """Verify one signature.

        Args:
            material: what is beside it, a certificate at least.
            signature: decoded.
            message: the exact bytes that the signature is over.
            payload: the payload of the DSSE envelope that it is in; None if it is in none.

        Returns:
            who signed, and how and when, for a person.

        Raises:
            VerificationError: it does not verify.
        """
        if material.certificate is None:
            raise VerificationError("it has no certificate", reason=Reason.UNKNOWN_KEY)
        leaf = read_certificate(material.certificate)
        _check_signature(leaf, signature, message)
        signed = Signed(message, signature, hashlib.sha256(material.certificate).digest(), payload)
        times = _prove_times(material, signed, self.root, require_log=self.require_log)
        for time in times:
            issuer = self._check_chain(leaf, time)
            check_sct(leaf, issuer, self.root.ct_logs)
        signer = read_signer(leaf)
        check_identity(signer, self.identities)
        how = f"made by {quote(signer.subject)} (issuer {quote(signer.issuer)}) at {times[0]:%Y-%m-%d %H:%M:%S} UTC"
        return signer, how

    def _check_chain(self, leaf: x509.Certificate, at: datetime) -> x509.Certificate:
        """Return the issuer of a certificate that leads to a trusted CA at a time."""
        refusal: VerificationError | None = None
        for authority in self.root.authorities:
            try:
                # Only certificates of the trusted root are between: an intermediate that has ended must not come back
                # with a signature, below a root that another CA still has.
                chain = verify_chain(leaf, authority.others, (authority.root,), at, ExtendedKeyUsageOID.CODE_SIGNING)
                authority.period.check(at, f"the CA {authority.name}")
            except VerificationError as error:
                # That a certificate had ended says more than that it is not of another CA.
                if refusal is None or error.reason is Reason.EXPIRED:
                    refusal = error
            else:
                return chain[-1] if len(chain) == 1 else chain[1]
        raise refusal or VerificationError("the trusted root has no CA of signers", reason=Reason.UNKNOWN_KEY)


@dataclass(frozen=True, slots=True)
class LoggedKeys:
    """The rule that signatures by keys must be in a transparency log.

    Attributes:
        root: the trusted root.
    """

    root: TrustedRoot

    def check(
        self, material: Material, signature: bytes, message: bytes, payload: bytes | None, fingerprint: str
    ) -> None:
        """Accept a signature, which a key has verified already.

        Args:
            material: what is beside it.
            signature: decoded.
            message: the exact bytes that the signature is over.
            payload: the payload of the DSSE envelope that it is in; None if it is in none.
            fingerprint: of the key.

        Raises:
            VerificationError: it is not in a trusted log, or the time of its entry is not proven.
        """
        signed = Signed(message, signature, bytes.fromhex(fingerprint.removeprefix("sha256:")), payload)
        _prove_times(material, signed, self.root, require_log=True)


def _check_signature(leaf: x509.Certificate, signature: bytes, message: bytes) -> None:
    key: PublicKey = read_key(leaf)
    try:
        key.verify(signature, message)
    except VerificationError as error:
        msg = "the key of its certificate did not make it, or it was changed afterwards"
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE) from error


def _prove_times(material: Material, signed: Signed, root: TrustedRoot, *, require_log: bool) -> tuple[datetime, ...]:
    """Return the times at which the signature existed, at least one, each signed by a log or a TSA of the trusted root.

    A log entry that is there must hold, needed or not.
    """
    if material.entry is None and require_log:
        msg = "it is not in a transparency log, which the authenticator requires (requireTransparencyLog)"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)
    stamped, refusal = _timestamps(material, signed.signature, root.timestamp_authorities)
    logged = None
    if material.entry is not None:
        logged = prove(material.entry, root.logs, stamped)
        check_body(material.entry.body, signed)
    times = (*(() if logged is None else (logged,)), *stamped)
    if not times:
        raise refusal
    return times


def _timestamps(
    material: Material, signature: bytes, authorities: Sequence[Authority]
) -> tuple[tuple[datetime, ...], VerificationError]:
    """Return the times of the timestamps that hold, and what to say if nothing proves a time."""
    times: list[datetime] = []
    refusal = VerificationError(
        "nothing proves when it was made: neither a log's promise (SET) nor a timestamp (RFC 3161) of a trusted TSA",
        reason=Reason.UNKNOWN_KEY,
    )
    for stamp in material.timestamps:
        try:
            times.append(_timestamp(stamp, signature, authorities))
        except VerificationError as error:
            refusal = error
    return tuple(times), refusal


def _timestamp(stamp: bytes, signature: bytes, authorities: Sequence[Authority]) -> datetime:
    refusal = VerificationError("the trusted root has no TSA for its timestamp", reason=Reason.UNKNOWN_KEY)
    for authority in authorities:
        try:
            return _timestamp_of(authority, stamp, signature)
        except VerificationError as error:
            refusal = error
    raise refusal


def _timestamp_of(authority: Authority, stamp: bytes, signature: bytes) -> datetime:
    # Where the chain is given, it is the whole: its root may have certified a TSA that has ended since.
    given = Authorities((authority.root,), authority.others, embedded_issuers=not authority.others)
    found = verify_response(stamp, signature, given)
    if not set(authority.others) <= set(found.chain):
        raise VerificationError(f"the timestamp was not made by the TSA {authority.name}", reason=Reason.UNKNOWN_KEY)
    authority.period.check(found.time, f"the TSA {authority.name}")
    return found.time
