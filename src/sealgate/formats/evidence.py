"""The evidence collected by one verification: every signature seen, and the outcome that follows from all of them.

Every format collects in the same way. One good signature is enough for `Verified`, even if all others are refused.
Without one, a search that ended early, or a source that could not be fetched, decides before the refusals of signatures
that were seen; of those, the refusal that explains most is the message and the reason.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from sealgate.clocks import earliest
from sealgate.errors import UnavailableError, VerificationError
from sealgate.findings import SeenSignature, Verified
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.other_hashes import HashTrials, StrangerError
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey

_T = TypeVar("_T")

#: Limit for the records that are not candidates and are reported one by one; the others are only counted.
MAX_PASSED_OVER = 16

# The refusal that explains most comes first: a limit; then what an accepted key signed, which says the wrong thing;
# then an accepted key that may not sign any more; then unknown keys; then data that is not a signature.
_PRECEDENCE = (
    Reason.EVIDENCE_TOO_LARGE,
    Reason.PREDICATE_MISMATCH,
    Reason.ANNOTATION_MISMATCH,
    Reason.IDENTITY_MISMATCH,
    Reason.REPOSITORY_MISMATCH,
    Reason.DIGEST_MISMATCH,
    Reason.REVOKED,
    Reason.REVOCATION_UNKNOWN,
    Reason.EXPIRED,
    Reason.INVALID_SIGNATURE,
    Reason.UNKNOWN_KEY,
    Reason.MALFORMED_EVIDENCE,
    Reason.TYPE_MISMATCH,
)


class TooManyError(VerificationError):
    """There are more candidates than the limit."""

    reason = Reason.EVIDENCE_TOO_LARGE


class SearchEndedError(VerificationError):
    """The search ended at a limit, or at a listing that is malformed; further signatures were not seen."""


class Evidence:
    """The evidence of one verification. Not thread-safe.

    Args:
        deadline: the end of the verification.
        keys: fingerprints of all keys that can verify; None if they are not known beforehand.
        max_passed_over: limit for the records that are not candidates and are reported one by one.
    """

    def __init__(
        self, deadline: Deadline, keys: frozenset[str] | None, *, max_passed_over: int = MAX_PASSED_OVER
    ) -> None:
        self._deadline = deadline
        self._keys = keys
        self._candidates = 0
        self._passed_over = 0
        self._max_passed_over = max_passed_over
        self._seen: list[SeenSignature] = []
        self._verified: dict[str, None] = {}
        self._valid_until: datetime | None = None
        self._unavailable: UnavailableError | None = None
        self._ended: VerificationError | UnavailableError | None = None
        self._trials = HashTrials()

    @property
    def seen(self) -> tuple[SeenSignature, ...]:
        """Every signature so far, in order."""
        return tuple(self._seen)

    @property
    def verified(self) -> bool:
        """Whether a signature has verified."""
        return bool(self._verified)

    @property
    def complete(self) -> bool:
        """Whether every key has verified, so that no further signature can add one."""
        return self._keys is not None and self._keys <= self._verified.keys()

    @property
    def room(self) -> int:
        """The number of further candidates within the limit."""
        return MAX_SIGNATURES - self._candidates

    def count(self, candidates: int) -> None:
        """Count candidates before they are verified.

        Raises:
            TooManyError: there are now more than `MAX_SIGNATURES`.
        """
        self._candidates += candidates
        if self._candidates > MAX_SIGNATURES:
            msg = f"there are more than {MAX_SIGNATURES} candidate signatures for this image; remove the useless ones"
            raise TooManyError(msg)

    @contextmanager
    def search(self, rest: str) -> Iterator[None]:
        """Run a whole search; keep an error that ends it early for `conclude`.

        Args:
            rest: name of the part that was not searched, for a person ("the rest of the listing").
        """
        try:
            yield
        except (VerificationError, UnavailableError) as error:
            self.end(error, rest)

    def end(self, error: VerificationError | UnavailableError, rest: str) -> None:
        """Record what ended the search early; see `search`."""
        self._ended = error
        self._seen.append(SeenSignature(rest, error.reason, error.message))

    @contextmanager
    def source(self, name: str) -> Iterator[None]:
        """Read one source of several; record an error as the outcome of this source and go on.

        Args:
            name: name of the source for a person ("tag sha256-4a4a….sig, layer 1").

        Raises:
            TooManyError: the search as a whole must end.
        """
        try:
            yield
        except TooManyError:
            raise
        except VerificationError as error:
            self._seen.append(SeenSignature(name, error.reason, error.message))
        except UnavailableError as error:
            self._unavailable = self._unavailable or error
            self._seen.append(SeenSignature(name, error.reason, error.message))

    def pass_over(self, source: str, reason: Reason, message: str) -> None:
        """Record something that is not a candidate, and why; only the first `max_passed_over` are listed."""
        self._passed_over += 1
        if self._passed_over <= self._max_passed_over:
            self._seen.append(SeenSignature(source, reason, message))

    def judge(
        self,
        source: str,
        verify: Callable[[], tuple[str, str, bytes]],
        claims: Callable[[bytes], datetime | None],
    ) -> None:
        """Verify one candidate, then check what it signed, and record the outcome.

        Args:
            source: name of the candidate for a person.
            verify: returns the signer's fingerprint, how the signature was made (for a person), and the exact bytes
                that it is over; raises `VerificationError` if no accepted key made it.
            claims: raises `VerificationError` unless those bytes say what they must; returns when the candidate ceases
                to count, or None if the passing of time does not change that.

        Raises:
            DeadlineError: the deadline has passed.
        """
        self._deadline.check("checking signatures")
        signer = None
        try:
            signer, how, signed = verify()
            ends = claims(signed)
        except VerificationError as error:
            if isinstance(error, StrangerError):
                self._trials.keep(error.keys, error.signature, error.signed)
            self._seen.append(SeenSignature(source, error.reason, error.message, signer))
            return
        self._verified[signer] = None
        # Also where a further signature by the same key ends later: the image is then verified once more.
        self._valid_until = earliest(self._valid_until, ends)
        self._seen.append(SeenSignature(source, Reason.VERIFIED, how, signer))

    def conclude(self, nothing: str, reason: Reason = Reason.NO_SIGNATURE) -> Verified:
        """Return the outcome of all evidence.

        Args:
            nothing: the message if there was no signature at all.
            reason: the reason of that.

        Raises:
            SearchEndedError: no signature counts, and the search ended early.
            VerificationError: no signature counts.
            UnavailableError: no signature counts, and not everything could be fetched.
        """
        if self._verified:
            return Verified(tuple(self._verified), self.seen, self._valid_until)
        if isinstance(self._ended, VerificationError):
            raise SearchEndedError(self._ended.message, reason=self._ended.reason, signatures=self._seen)
        unavailable = self._ended or self._unavailable
        if unavailable is not None:
            raise unavailable
        if not self._seen:
            raise VerificationError(nothing, reason=reason)
        best = min(self._seen, key=_precedence)
        more = f" (and {len(self._seen) - 1} more that do not count)" if len(self._seen) > 1 else ""
        hint = self._trials.hint() if best.reason is Reason.INVALID_SIGNATURE else ""
        msg = f"{best.source}: {best.message}{more}{hint}"
        raise VerificationError(msg, reason=best.reason, signatures=self._seen)


def once(ask: Callable[[], _T]) -> Callable[[], _T]:
    """Return a function that asks when it is first called, and has the same outcome each time; not thread-safe.

    Args:
        ask: what is asked; a `VerificationError` that it raises is raised each time, any other error is not kept.
    """
    kept: list[_T] = []
    refused: list[VerificationError] = []

    def outcome() -> _T:
        if refused:
            raise refused[0]
        if not kept:
            try:
                kept.append(ask())
            except VerificationError as error:
                refused.append(error)
                raise
        return kept[0]

    return outcome


def verify_detached(
    keys: Sequence[PublicKey], signature: bytes, signed: bytes, stranger: VerificationError
) -> tuple[str, str, bytes]:
    """Verify a signature with the first of several keys that made it, as `Evidence.judge` wants it.

    Args:
        keys: the accepted keys.
        signature: decoded.
        signed: the exact bytes that it is over.
        stranger: message and reason of the refusal if none of the keys made it.

    Raises:
        StrangerError: none of the keys made it.
    """
    for key in keys:
        with suppress(VerificationError):
            key.verify(signature, signed)
            return key.fingerprint, f"made by the {key.kind} key {key.fingerprint} with {key.algorithm}", signed
    raise StrangerError(stranger.message, keys, signature, signed, reason=stranger.reason)


def _precedence(seen: SeenSignature) -> int:
    return _PRECEDENCE.index(seen.reason) if seen.reason in _PRECEDENCE else len(_PRECEDENCE)
