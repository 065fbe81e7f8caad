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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.findings import SeenSignature


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


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a policy file or object.

    Attributes:
        file: the file's path as given, `-` for standard input, or the object's name where there is no file.
        line: 1 for the first; 0 where there are no lines.
        field: the path of the field ("spec.images[0].repository"), empty for the whole object.
        message: what is wrong, one sentence.
        suggestion: what to write instead; may be empty.
    """

    file: str
    line: int
    field: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        """Return `file:line: field: message (suggestion)`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f" {self.field}:" if self.field else ""
        suggestion = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}:{field} {self.message}{suggestion}"
