"""Results of verification as plain values: signatures seen, findings of authenticators.

A format returns `Verified` or raises; the verifier turns that into a `Finding`; `sealgate.policies.decisions` combines
findings into verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sealgate.reasons import TRANSIENT_REASONS, Reason

if TYPE_CHECKING:
    from datetime import datetime


class Outcome(StrEnum):
    """The result of asking one authenticator about one subject."""

    VERIFIED = "verified"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class SeenSignature:
    """One signature that was checked, and whether it counted.

    Attributes:
        source: where it was found, in words that help to find it ("tag sha256-4a4a….sig, layer 1").
        reason: `Reason.VERIFIED` if it counted, otherwise why it did not.
        message: the same for a person, one sentence.
        fingerprint: fingerprint of the signing key, `sha256:<hex>` of the SubjectPublicKeyInfo (for OpenPGP the
            signing key's own fingerprint, upper-case hex); None if no accepted key made the signature.
    """

    source: str
    reason: Reason
    message: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a format returns when at least one signature counted. There is no unverified form of it.

    Attributes:
        fingerprints: fingerprint of every distinct key that verified, in the order seen; never empty.
        signatures: every signature that was checked, including those that did not count.
        valid_until: when the first thing ends that it depends on and that is judged by the current time, such as a
            certificate, a revocation list or signed metadata, UTC; None if none of them ends.
    """

    fingerprints: tuple[str, ...]
    signatures: tuple[SeenSignature, ...]
    valid_until: datetime | None = None

    def __post_init__(self) -> None:
        """Reject an empty result, which would be a flag where an exception is required."""
        if not self.fingerprints:
            msg = "a verified result must name at least one key"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of asking one authenticator about one subject.

    Attributes:
        authenticator: the authenticator's name.
        format: its format, as in the object's field ("cosign").
        outcome: verified, refused or unavailable.
        reason: `Reason.VERIFIED`, or why it is not verified.
        message: the same for a person, one sentence.
        fingerprints: fingerprint of every distinct key that verified; empty unless `outcome` is verified.
        signatures: every signature that was checked.
        valid_until: see `Verified`; no cache returns the finding from then on.
    """

    authenticator: str
    format: str
    outcome: Outcome
    reason: Reason
    message: str
    fingerprints: tuple[str, ...] = ()
    signatures: tuple[SeenSignature, ...] = ()
    valid_until: datetime | None = None

    @property
    def partial(self) -> bool:
        """Whether some signature could not be fetched or checked, so that further keys may have verified."""
        return any(signature.reason in TRANSIENT_REASONS for signature in self.signatures)
