"""The one tree of errors that sealgate raises.

::

    SealgateError                     everything below; carries a machine reason and a human message
    ├── VerificationError             the evidence was seen and is not good enough: a refusal, final for now
    ├── UnavailableError              nothing could be found out: ask again; never cached, never "verified"
    │   ├── DeadlineError             the review's time ran out
    │   ├── RateLimitedError          a budget or a registry's 429 said "later" (carries `retry_after`, seconds)
    │   ├── NotFoundError             the registry or service has no such thing
    │   ├── UnauthorizedError         the registry or service wants other credentials
    │   ├── KeyRefusedError           a key is known, and must not be used
    │   └── ForbiddenAddressError     the request would have gone where none may go
    ├── InvalidInputError             somebody wrote something that cannot be meant
    │   ├── InvalidReferenceError     an image reference outside the grammar
    │   ├── InvalidPatternError       an image pattern outside the pattern language
    │   ├── InvalidKeyError           a public key that does not parse, is too weak or does not fit its algorithm
    │   │   └── NoKeyError            an authenticator without any key
    │   ├── InvalidWorkloadError      an object whose images cannot be told
    │   └── PolicyError               policy files that are wrong (carries every problem found)
    └── ConfigError                   sealgate itself is set up wrongly (options, files, certificates)

Verifying functions raise; they never return a flag. Whatever is raised, in this tree or not, means *not verified*.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.findings import SeenSignature
    from sealgate.policies.problems import Problem


class Reason(StrEnum):
    """Why a finding, a verdict or a condition is what it is; stable, for machines, one word for one thing."""

    VERIFIED = "Verified"
    # Refusals: the evidence was seen.
    NO_SIGNATURE = "NoSignature"
    INVALID_SIGNATURE = "InvalidSignature"
    UNKNOWN_KEY = "UnknownKey"
    DIGEST_MISMATCH = "DigestMismatch"
    REPOSITORY_MISMATCH = "RepositoryMismatch"
    TYPE_MISMATCH = "TypeMismatch"
    ANNOTATION_MISMATCH = "AnnotationMismatch"
    IDENTITY_MISMATCH = "IdentityMismatch"
    MALFORMED_EVIDENCE = "MalformedEvidence"
    EVIDENCE_TOO_LARGE = "EvidenceTooLarge"
    EXPIRED = "Expired"
    REVOKED = "Revoked"
    ROLLBACK = "Rollback"
    UNSUPPORTED_IMAGE = "UnsupportedImage"
    # Nothing could be found out.
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
    # Wrong input.
    INVALID_REFERENCE = "InvalidReference"
    INVALID_PATTERN = "InvalidPattern"
    INVALID_KEY = "InvalidKey"
    INVALID_WORKLOAD = "InvalidWorkload"
    INVALID_POLICY = "InvalidPolicy"
    INVALID_CONFIG = "InvalidConfig"
    # Verdicts that no finding explains.
    NO_POLICY_MATCHES = "NoPolicyMatches"
    EXEMPT = "Exempt"
    POLICY_NOT_SATISFIED = "PolicyNotSatisfied"


#: Reasons that may be gone the next time somebody asks.
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


class SealgateError(Exception):
    """The root of the tree.

    Args:
        message: one sentence for a person: what, why, and where it helps, what to do next. Never a secret;
            foreign text in it is escaped by whoever composed it (`sealgate.messages.quote`).
        reason: the machine-readable reason; each class has its usual one.
    """

    reason: Reason = Reason.INTERNAL_ERROR

    def __init__(self, message: str, *, reason: Reason | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class VerificationError(SealgateError):
    """The evidence was seen and does not verify the subject.

    Args:
        message: see `SealgateError`.
        reason: one of the refusals.
        signatures: every signature that was looked at, each with why it did not count.
    """

    reason = Reason.INVALID_SIGNATURE

    def __init__(self, message: str, *, reason: Reason | None = None, signatures: Sequence[SeenSignature] = ()) -> None:
        super().__init__(message, reason=reason)
        self.signatures = tuple(signatures)


class UnavailableError(SealgateError):
    """No finding could be made. Never cached as a finding and never treated as verified."""

    reason = Reason.REGISTRY_UNAVAILABLE


class DeadlineError(UnavailableError):
    """The total time for this review, or for this verification, ran out."""

    reason = Reason.DEADLINE_EXCEEDED


class RateLimitedError(UnavailableError):
    """A budget of sealgate's own or the other side's (HTTP 429) asks to come back later.

    Args:
        message: see `SealgateError`.
        retry_after: seconds until it makes sense to ask again.
    """

    reason = Reason.RATE_LIMITED

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFoundError(UnavailableError):
    """The registry or service answered that it has no such manifest, blob or record."""

    reason = Reason.NOT_FOUND


class UnauthorizedError(UnavailableError):
    """The registry or service refused the credentials, or wants some where there are none."""

    reason = Reason.REGISTRY_UNAUTHORIZED


class KeyRefusedError(UnavailableError):
    """Where a key is kept says that it must not be used (disabled, deleted, of another usage), or that it is none."""

    reason = Reason.AUTHENTICATOR_NOT_READY


class ForbiddenAddressError(UnavailableError):
    """The host, one of its addresses, its scheme or a redirect is one that no request may go to."""

    reason = Reason.ADDRESS_FORBIDDEN


class InvalidInputError(SealgateError):
    """Somebody wrote something that cannot be meant; the message says what and where."""


class InvalidReferenceError(InvalidInputError):
    """An image reference outside the docker grammar."""

    reason = Reason.INVALID_REFERENCE


class InvalidPatternError(InvalidInputError):
    """An image pattern outside the pattern language, or larger than it may be."""

    reason = Reason.INVALID_PATTERN


class InvalidKeyError(InvalidInputError):
    """A public key that does not parse, is too weak, or does not fit the algorithm asked of it."""

    reason = Reason.INVALID_KEY


class NoKeyError(InvalidKeyError):
    """An authenticator without any key."""


class InvalidWorkloadError(InvalidInputError):
    """A Kubernetes object whose images cannot be told (a container list that is no list, a missing image)."""

    reason = Reason.INVALID_WORKLOAD


class PolicyError(InvalidInputError):
    """Policy files, or objects, that are wrong.

    Args:
        message: a summary in one line.
        problems: everything that is wrong, each with file, line and field.
    """

    reason = Reason.INVALID_POLICY

    def __init__(self, message: str, *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class ConfigError(SealgateError):
    """sealgate itself is set up wrongly: an option, a file, a certificate."""

    reason = Reason.INVALID_CONFIG
