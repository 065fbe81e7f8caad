"""Formats that keep signatures as records of a service: listing them page by page, and what came of each.

Such a listing may hold other images' records too, so there are two bounds: on everything that is listed, and on the
candidates, the signatures that are about to be verified for the subject. Evidence beyond either bound is refused.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.findings import SeenSignature, Verified
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.other_hashes import HashTrials, StrangerError
from sealgate.parsing.evidence import malformed
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealgate.clocks import Deadline
    from sealgate.http.interface import Response

#: The most records of one listing, and the most pages, those without records among them.
MAX_RECORDS = 10_000
MAX_PAGES = 1_000
#: How many records that are no candidates are told of one by one.
MAX_PASSED_OVER = 16

_OK, _NOT_FOUND = 200, 404
_UNAUTHORIZED = frozenset({401, 403})

# Which refusal explains most: one by an accepted key that says the wrong thing before one by a stranger, a stranger's
# before something that is no signature.
_TELLING = (
    Reason.EVIDENCE_TOO_LARGE,
    Reason.ANNOTATION_MISMATCH,
    Reason.IDENTITY_MISMATCH,
    Reason.REPOSITORY_MISMATCH,
    Reason.DIGEST_MISMATCH,
    Reason.REVOKED,
    Reason.EXPIRED,
    Reason.INVALID_SIGNATURE,
    Reason.UNKNOWN_KEY,
    Reason.MALFORMED_EVIDENCE,
    Reason.TYPE_MISMATCH,
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        records: as they stand there.
        next: the token of the next page; empty on the last.
    """

    records: Sequence[object]
    next: str


def list_records(fetch: Callable[[str], Page], deadline: Deadline) -> Iterator[object]:
    """Yield the records of every page, each fetched when it is needed.

    Args:
        fetch: returns the page of a token; the empty token is the first page's.
        deadline: when all of it must be over.

    Raises:
        VerificationError: there are too many records or pages, or the pages go round in circles.
        UnavailableError: a page could not be fetched.
    """
    token, known, count = "", {""}, 0
    for _ in range(MAX_PAGES):
        deadline.check("listing signatures")
        page = fetch(token)
        for record in page.records:
            count += 1
            if count > MAX_RECORDS:
                raise _too_many(f"the listing has more than {MAX_RECORDS} records")
            yield record
        token = page.next
        if not token:
            return
        if token in known:
            raise malformed("the listing", "a page names one before it as the next")
        known.add(token)
    raise _too_many(f"the listing has more than {MAX_PAGES} pages")


def require_success(response: Response, what: str) -> bytes:
    """Return the body of a good answer.

    Args:
        response: the answer.
        what: who was asked for what, foreign text already quoted ("grafeas.example.org: listing occurrences").

    Raises:
        NotFoundError: there is no such thing.
        UnauthorizedError: the credentials do not do.
        UnavailableError: any other status.
    """
    if response.status == _OK:
        return response.body
    if response.status == _NOT_FOUND:
        raise NotFoundError(f"{what} is answered with status 404; check the names in the authenticator")
    if response.status in _UNAUTHORIZED:
        raise UnauthorizedError(f"{what} is answered with status {response.status}; check credentialsSecret")
    raise UnavailableError(f"{what} is answered with status {response.status}")


@dataclass(slots=True)
class Tally:
    """What came of each record so far. Not thread-safe; one verification has one.

    Attributes:
        deadline: when the verification must be over.
        everybody: the fingerprints of all keys that could verify; None where they are not known beforehand.
    """

    deadline: Deadline
    everybody: frozenset[str] | None
    _seen: list[SeenSignature] = field(default_factory=list)
    _verified: dict[str, None] = field(default_factory=dict)
    _candidates: int = 0
    _passed_over: int = 0
    _ended: VerificationError | UnavailableError | None = None
    _trials: HashTrials = field(default_factory=HashTrials)

    @property
    def complete(self) -> bool:
        """Whether every key has verified, so that no further record can add one."""
        return self.everybody is not None and self.everybody <= self._verified.keys()

    @contextmanager
    def listing(self) -> Iterator[None]:
        """Go through a listing; what ends it early is kept for `conclude`."""
        try:
            yield
        except (VerificationError, UnavailableError) as error:
            self._ended = error

    def pass_over(self, source: str, reason: Reason, message: str) -> None:
        """Note a record that is no candidate, and why."""
        self._passed_over += 1
        if self._passed_over <= MAX_PASSED_OVER:
            self._seen.append(SeenSignature(source, reason, message))

    def judge(self, source: str, verify: Callable[[], tuple[str, str, bytes]], claims: Callable[[bytes], None]) -> None:
        """Verify one candidate, then look at what it signed, and record what came of it.

        Args:
            source: where it is, for people.
            verify: returns the signer's fingerprint, how it was made (for people), and the exact bytes it is over.
            claims: raises `VerificationError` unless those bytes say what they must.

        Raises:
            VerificationError: it is one candidate too many.
            DeadlineError: there is no time left.
        """
        self.deadline.check("looking at signatures")
        self._candidates += 1
        if self._candidates > MAX_SIGNATURES:
            raise _too_many(f"there are more than {MAX_SIGNATURES} candidate signatures for this image")
        signer = None
        try:
            signer, how, signed = verify()
            claims(signed)
        except VerificationError as error:
            if isinstance(error, StrangerError):
                self._trials.keep(error.keys, error.signature, error.signed)
            self._seen.append(SeenSignature(source, error.reason, error.message, signer))
            return
        self._verified[signer] = None
        self._seen.append(SeenSignature(source, Reason.VERIFIED, how, signer))

    def conclude(self, nothing: str) -> Verified:
        """Return the result of all records.

        Args:
            nothing: the message if there was no signature at all.

        Raises:
            VerificationError: no signature counts, or there are too many of them.
            UnavailableError: none counts, and not all could be fetched.
        """
        if self._ended is not None:
            self._seen.append(SeenSignature("the rest of the listing", self._ended.reason, self._ended.message))
        if self._verified:
            return Verified(tuple(self._verified), tuple(self._seen))
        if isinstance(self._ended, UnavailableError):
            raise self._ended
        if not self._seen:
            raise VerificationError(nothing, reason=Reason.NO_SIGNATURE)
        if isinstance(self._ended, VerificationError):
            raise VerificationError(self._ended.message, reason=self._ended.reason, signatures=self._seen)
        best = min(self._seen, key=_telling)
        more = f" (and {len(self._seen) - 1} more that do not count)" if len(self._seen) > 1 else ""
        hint = self._trials.hint() if best.reason is Reason.INVALID_SIGNATURE else ""
        msg = f"{best.source}: {best.message}{more}{hint}"
        raise VerificationError(msg, reason=best.reason, signatures=self._seen)


def _too_many(what: str) -> VerificationError:
    return VerificationError(f"{what}; remove the useless ones", reason=Reason.EVIDENCE_TOO_LARGE)


def _telling(seen: SeenSignature) -> int:
    return _TELLING.index(seen.reason) if seen.reason in _TELLING else len(_TELLING)
