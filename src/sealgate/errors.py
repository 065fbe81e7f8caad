"""The tree of errors that sealgate raises.

::

    SealgateError                     everything below; carries a machine reason and a human message
    ├── VerificationError             the evidence was seen and does not verify: a refusal, which may be cached
    ├── UnavailableError              no finding could be made: retry; never cached, never "verified"
    │   ├── DeadlineError             the review's time ran out
    │   ├── RateLimitedError          a budget or an HTTP 429 response says to retry later (carries `retry_after`)
    │   ├── UnreachableError          the other side cannot be connected to, gives no answer, or answers with 5xx
    │   ├── NotFoundError             the registry or service has no such manifest, blob or record
    │   ├── UnauthorizedError         the registry or service rejects the credentials
    │   ├── KeyRefusedError           a key is known and must not be used
    │   └── ForbiddenAddressError     the request's destination is not allowed
    ├── InvalidInputError             what a user wrote is not valid
    │   ├── InvalidReferenceError     an image reference outside the grammar
    │   ├── InvalidPatternError       an image pattern outside the pattern language
    │   ├── InvalidKeyError           a public key that does not parse, is too weak or does not fit its algorithm
    │   │   └── NoKeyError            an authenticator without any key
    │   ├── InvalidWorkloadError      an object whose images cannot be determined
    │   └── PolicyError               policy files that are not valid (carries every problem found)
    ├── SigningError                  a signature was not made, or must not be stored
    │   ├── ConflictError             another writer was faster: read again and repeat
    │   └── ImmutableTagError         the registry does not let a tag be changed
    └── ConfigError                   sealgate itself is misconfigured (options, files, certificates)

Verifying functions raise; they never return a flag. Any exception, in this tree or not, means *not verified*.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.findings import SeenSignature


class SealgateError(Exception):
    """Base class of sealgate's errors.

    Args:
        message: one sentence for a person: what is wrong, where, and what to do. Never a secret; the code that
            composes it escapes foreign text (`sealgate.messages.quote`).
        reason: the machine-readable reason; None for the class's default.
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
        reason: one of the refusals in `Reason`; None for `INVALID_SIGNATURE`.
        signatures: every signature that was checked, each with why it did not count.
    """

    reason = Reason.INVALID_SIGNATURE

    def __init__(self, message: str, *, reason: Reason | None = None, signatures: Sequence[SeenSignature] = ()) -> None:
        super().__init__(message, reason=reason)
        self.signatures = tuple(signatures)


class UnavailableError(SealgateError):
    """No finding could be made. Never cached as a finding and never treated as verified."""

    reason = Reason.REGISTRY_UNAVAILABLE


class DeadlineError(UnavailableError):
    """The deadline of the review, or of the verification, has passed."""

    reason = Reason.DEADLINE_EXCEEDED


class UnreachableError(UnavailableError):
    """The name does not resolve, the host cannot be connected to or breaks off, or it answers with a status of 5xx.

    Nothing was said about what was asked for. A timeout is a `DeadlineError`. A host that asks to retry later (429, or
    503 with Retry-After) has answered: that is a `RateLimitedError`.
    """


class RateLimitedError(UnavailableError):
    """A budget of sealgate, or the other side (HTTP 429), asks to retry later.

    Args:
        message: see `SealgateError`.
        retry_after: seconds to wait before the next attempt; 0 or more.
    """

    reason = Reason.RATE_LIMITED

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFoundError(UnavailableError):
    """The registry or service answered that it has no such manifest, blob or record."""

    reason = Reason.NOT_FOUND


class UnauthorizedError(UnavailableError):
    """The registry or service rejected the credentials, or requires some and none are configured."""

    reason = Reason.REGISTRY_UNAUTHORIZED


class KeyRefusedError(UnavailableError):
    """The key's store says that the key must not be used (disabled, deleted, wrong usage), or that it is not a key."""

    reason = Reason.AUTHENTICATOR_NOT_READY


class ForbiddenAddressError(UnavailableError):
    """The host, one of its addresses, its scheme or a redirect target is not allowed for requests."""

    reason = Reason.ADDRESS_FORBIDDEN


class PrivateAddressError(ForbiddenAddressError):
    """The host has a private address, and nothing that counts names it literally."""


class InvalidInputError(SealgateError):
    """What a user wrote is not valid; the message says what and where.

    Attributes:
        field: the field that is wrong, as a path below an object's spec ("cosign.keys[0]"); empty if it is not known.
    """

    field: str = ""


class InvalidReferenceError(InvalidInputError):
    """An image reference outside the docker grammar."""

    reason = Reason.INVALID_REFERENCE


class InvalidPatternError(InvalidInputError):
    """An image pattern outside the pattern language, or larger than the limits."""

    reason = Reason.INVALID_PATTERN


class InvalidKeyError(InvalidInputError):
    """A public key that does not parse, is too weak, or does not fit its algorithm."""

    reason = Reason.INVALID_KEY


class NoKeyError(InvalidKeyError):
    """An authenticator without any key."""


class InvalidWorkloadError(InvalidInputError):
    """A Kubernetes object whose images cannot be determined (`containers` is not a list, `image` is missing)."""

    reason = Reason.INVALID_WORKLOAD


class PolicyError(InvalidInputError):
    """Policy files or objects that are not valid.

    Args:
        message: a summary in one line.
        problems: every problem found, each with file, line and field; empty if the message says it all.
    """

    reason = Reason.INVALID_POLICY

    def __init__(self, message: str, *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@contextmanager
def in_field(field: str) -> Iterator[None]:
    """Name a field in errors about what a user wrote; one that already names a field is left as it is.

    Args:
        field: path below the object's spec ("cosign.keys[0]").
    """
    try:
        yield
    except InvalidInputError as error:
        if error.field:
            raise
        named = type(error)(f"{field}: {error.message}")
        named.field = field
        raise named from error


class SigningError(SealgateError):
    """A signature was not made, or must not be stored: the key, the store or the registry does not permit it."""

    reason = Reason.NOT_SIGNED


class ConflictError(SigningError):
    """Another writer changed what was to be replaced; read it again and repeat."""


class ImmutableTagError(SigningError):
    """The registry does not let a tag be changed; nothing was changed."""


class ConfigError(SealgateError):
    """sealgate itself is misconfigured: an option, a file, a certificate."""

    reason = Reason.INVALID_CONFIG


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem in a policy file or object.

    Attributes:
        file: the file's path as given, `-` for standard input, or the object's name if it was not read from a file.
        line: 1 for the first; 0 if there are no lines.
        field: the path of the field ("spec.images[0].repository"), empty for the whole object.
        message: what is wrong, one sentence.
        suggestion: what to write instead; empty if there is none.
    """

    file: str
    line: int
    field: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        """Return `file:line: field: message (suggestion)`."""
        location = f"{self.file}:{self.line}" if self.line else self.file
        field = f" {self.field}:" if self.field else ""
        suggestion = f" ({self.suggestion})" if self.suggestion else ""
        return f"{location}:{field} {self.message}{suggestion}"
