"""The record of one verification: which signatures were looked at, which counted, what could not be fetched."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sealgate.errors import UnavailableError, VerificationError
from sealgate.findings import SeenSignature, Verified
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.other_hashes import HashTrials
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey

# Which refusal explains most, when several signatures were refused for several reasons: one by an accepted key
# that says the wrong thing before one by a stranger, a stranger's before something that is no signature.
_TELLING = (
    Reason.EVIDENCE_TOO_LARGE,
    Reason.ANNOTATION_MISMATCH,
    Reason.REPOSITORY_MISMATCH,
    Reason.DIGEST_MISMATCH,
    Reason.INVALID_SIGNATURE,
    Reason.UNKNOWN_KEY,
    Reason.MALFORMED_EVIDENCE,
    Reason.TYPE_MISMATCH,
)


class TooManyError(VerificationError):
    """There are more candidates than may be looked at."""

    reason = Reason.EVIDENCE_TOO_LARGE


class Attempts:
    """What came of each signature so far. Not thread-safe; one verification has one.

    Args:
        keys: the authenticator's keys.
        deadline: when the verification must be over.
    """

    def __init__(self, keys: tuple[PublicKey, ...], deadline: Deadline) -> None:
        self._keys = keys
        self._deadline = deadline
        self._candidates = 0
        self._seen: list[SeenSignature] = []
        self._verified: dict[str, None] = {}
        self._unavailable: list[UnavailableError] = []
        self._trials = HashTrials()

    @property
    def complete(self) -> bool:
        """Whether every key of the authenticator has verified, so that no further signature can add one."""
        return all(key.fingerprint in self._verified for key in self._keys)

    @property
    def room(self) -> int:
        """How many more candidates may be looked at."""
        return MAX_SIGNATURES - self._candidates

    def count(self, candidates: int) -> None:
        """Count candidates before looking at them.

        Raises:
            TooManyError: there are now more than `MAX_SIGNATURES`.
        """
        self._candidates += candidates
        if self._candidates > MAX_SIGNATURES:
            msg = f"there are more than {MAX_SIGNATURES} candidate signatures for this image; remove the useless ones"
            raise TooManyError(msg)

    @contextmanager
    def looking_at(self, source: str) -> Iterator[None]:
        """Record what goes wrong with one source, and go on after it.

        Args:
            source: where it is, for people ("tag sha256-4a4a….sig, layer 1").
        """
        try:
            yield
        except TooManyError:
            raise
        except VerificationError as error:
            self._seen.append(SeenSignature(source, error.reason, error.message))
        except UnavailableError as error:
            self._unavailable.append(error)
            self._seen.append(SeenSignature(source, error.reason, error.message))

    def judge(
        self,
        source: str,
        signature: bytes,
        signed: bytes,
        claims: Callable[[], None],
        stranger: VerificationError,
    ) -> None:
        """Find the key that made a signature, then check what it signed.

        Args:
            source: where it is, for people.
            signature: decoded.
            signed: the exact bytes that it is over.
            claims: raises `VerificationError` unless the signed text says what it must.
            stranger: what to raise if none of the authenticator's keys made it.

        Raises:
            VerificationError: none of the keys made it.
            DeadlineError: there is no time left to try keys.
        """
        self._deadline.check("looking at signatures")
        key = _signer(self._keys, signature, signed)
        if key is None:
            self._trials.keep(self._keys, signature, signed)
            raise stranger
        try:
            claims()
        except VerificationError as error:
            self._seen.append(SeenSignature(source, error.reason, error.message, key.fingerprint))
            return
        self._verified[key.fingerprint] = None
        message = f"made by the {key.kind} key {key.fingerprint} with {key.algorithm}"
        self._seen.append(SeenSignature(source, Reason.VERIFIED, message, key.fingerprint))

    def conclude(self, nothing: str, too_many: TooManyError | None = None) -> Verified:
        """Return the result of all attempts.

        Args:
            nothing: the message if there was no signature at all.
            too_many: what ended the search early, if something did.

        Raises:
            VerificationError: signatures were seen, or none is there, and no one counts.
            UnavailableError: none counts, and one could not be fetched.
        """
        if too_many is not None:
            self._seen.append(SeenSignature("all candidates", too_many.reason, too_many.message))
        if self._verified:
            return Verified(tuple(self._verified), tuple(self._seen))
        if too_many is None and self._unavailable:
            raise self._unavailable[0]
        if not self._seen:
            raise VerificationError(nothing, reason=Reason.NO_SIGNATURE)
        best = min(self._seen, key=_telling)
        more = f" (and {len(self._seen) - 1} more that do not count)" if len(self._seen) > 1 else ""
        hint = self._trials.hint() if best.reason is Reason.INVALID_SIGNATURE else ""
        msg = f"{best.source}: {best.message}{more}{hint}"
        raise VerificationError(msg, reason=best.reason, signatures=self._seen)


def _signer(keys: Iterable[PublicKey], signature: bytes, signed: bytes) -> PublicKey | None:
    for key in keys:
        with suppress(VerificationError):
            key.verify(signature, signed)
            return key
    return None


def _telling(seen: SeenSignature) -> int:
    return _TELLING.index(seen.reason) if seen.reason in _TELLING else len(_TELLING)
