"""What was found out: signatures seen, findings of authenticators, and what they rest on.

These are plain values. Formats make `Verified` (or raise), the verifier turns that into a `Finding`, and the
decision combines findings into verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sealgate.reasons import TRANSIENT_REASONS, Reason


class Outcome(StrEnum):
    """The result of asking one authenticator about one subject."""

    VERIFIED = "verified"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class SeenSignature:
    """One signature that was looked at, and whether it counted.

    Attributes:
        source: where it was, as a person would look for it ("tag sha256-4a4a….sig, layer 1").
        reason: `Reason.VERIFIED` if it counted, else why not.
        message: the same for a person, one sentence.
        fingerprint: of the key that made it, `sha256:<hex>` of the SubjectPublicKeyInfo (for OpenPGP the
            signing key's own fingerprint, upper-case hex); None when no accepted key made it.
    """

    source: str
    reason: Reason
    message: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a format returns when at least one signature counted. There is no unverified form of it.

    Attributes:
        fingerprints: every distinct key that verified, in the order seen; never empty.
        signatures: every signature that was looked at, those that did not count included.
    """

    fingerprints: tuple[str, ...]
    signatures: tuple[SeenSignature, ...]

    def __post_init__(self) -> None:
        """Refuse the empty result, which would be a flag instead of an exception."""
        if not self.fingerprints:
            msg = "a verified result names at least one key"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of asking one authenticator about one subject.

    Attributes:
        authenticator: the authenticator's name.
        format: its format, as in the object's field ("cosign").
        outcome: verified, refused or unavailable.
        reason: `Reason.VERIFIED`, or why not.
        message: the same for a person, one sentence.
        fingerprints: every distinct key that verified; empty unless `outcome` is verified.
        signatures: every signature that was looked at.
    """

    authenticator: str
    format: str
    outcome: Outcome
    reason: Reason
    message: str
    fingerprints: tuple[str, ...] = ()
    signatures: tuple[SeenSignature, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a signature beside those that counted could not be looked at: further keys may have verified."""
        return any(signature.reason in TRANSIENT_REASONS for signature in self.signatures)
