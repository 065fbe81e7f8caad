"""Machine-readable reasons of findings, verdicts and conditions."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Machine-readable reason of a finding, a verdict or a condition. The values are API and stay stable."""

    VERIFIED = "Verified"
    # Refusals: the evidence was seen.
    NO_SIGNATURE = "NoSignature"
    INVALID_SIGNATURE = "InvalidSignature"
    UNKNOWN_KEY = "UnknownKey"
    DIGEST_MISMATCH = "DigestMismatch"
    REPOSITORY_MISMATCH = "RepositoryMismatch"
    TYPE_MISMATCH = "TypeMismatch"
    ANNOTATION_MISMATCH = "AnnotationMismatch"
    PREDICATE_MISMATCH = "PredicateMismatch"
    NO_ATTESTATION = "NoAttestation"
    IDENTITY_MISMATCH = "IdentityMismatch"
    MALFORMED_EVIDENCE = "MalformedEvidence"
    EVIDENCE_TOO_LARGE = "EvidenceTooLarge"
    EXPIRED = "Expired"
    REVOKED = "Revoked"
    REVOCATION_UNKNOWN = "RevocationUnknown"
    ROLLBACK = "Rollback"
    UNSUPPORTED_IMAGE = "UnsupportedImage"
    # Unavailable: no finding could be made.
    IMAGE_NOT_FOUND = "ImageNotFound"
    NOT_FOUND = "NotFound"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    REGISTRY_UNAUTHORIZED = "RegistryUnauthorized"
    RATE_LIMITED = "RateLimited"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ADDRESS_FORBIDDEN = "AddressForbidden"
    AUTHENTICATOR_NOT_FOUND = "AuthenticatorNotFound"
    AUTHENTICATOR_NOT_READY = "AuthenticatorNotReady"
    STATE_UNAVAILABLE = "StateUnavailable"
    INTERNAL_ERROR = "InternalError"
    NOT_PINNED = "NotPinned"
    # Not signed: a signature could not be made or stored.
    NOT_SIGNED = "NotSigned"
    # Invalid input.
    INVALID_REFERENCE = "InvalidReference"
    INVALID_PATTERN = "InvalidPattern"
    INVALID_KEY = "InvalidKey"
    INVALID_WORKLOAD = "InvalidWorkload"
    INVALID_POLICY = "InvalidPolicy"
    INVALID_CONFIG = "InvalidConfig"
    # Verdicts without a finding.
    NO_POLICY_MATCHES = "NoPolicyMatches"
    EXEMPT = "Exempt"
    POLICY_NOT_SATISFIED = "PolicyNotSatisfied"


#: Reasons that may no longer hold at the next attempt, so that a retry makes sense.
TRANSIENT_REASONS = frozenset(
    {
        Reason.IMAGE_NOT_FOUND,
        Reason.NOT_FOUND,
        Reason.REGISTRY_UNAVAILABLE,
        Reason.REGISTRY_UNAUTHORIZED,
        Reason.RATE_LIMITED,
        Reason.DEADLINE_EXCEEDED,
        Reason.ADDRESS_FORBIDDEN,
        Reason.AUTHENTICATOR_NOT_FOUND,
        Reason.AUTHENTICATOR_NOT_READY,
        Reason.STATE_UNAVAILABLE,
        Reason.NOT_PINNED,
        Reason.INTERNAL_ERROR,
    }
)
