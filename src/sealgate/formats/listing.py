"""Formats that keep signatures as records of a service: listing them page by page, and what came of each.

Such a listing may hold other images' records too, so there are two bounds: on everything that is listed, and on the
candidates, the signatures that are about to be verified for the subject. Evidence beyond either bound is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, SigningError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.parsing import strict_json
from sealgate.parsing.evidence import malformed
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealgate.clocks import Deadline
    from sealgate.http.interface import Response

#: The most records of one listing, and the most pages, those without records among them.
MAX_RECORDS = 10_000
MAX_PAGES = 1_000

_OK, _NOT_FOUND = 200, 404
_UNAUTHORIZED = frozenset({401, 403})
_DELETED, _NO_DELETES = frozenset({200, 202, 204}), frozenset({405, 501})
#: The service understood the request and will not take it, however often it is repeated.
_INVALID = frozenset({400, 409, 412, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        records: the records of the page, not parsed.
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
        NotFoundError: the service has no such record or note.
        UnauthorizedError: the credentials do not do.
        UnavailableError: any other status.
    """
    if response.status == _OK:
        return response.body
    if response.status == _NOT_FOUND:
        raise NotFoundError(f"{what} is answered with status 404; check the names that were asked for")
    if response.status in _UNAUTHORIZED:
        raise UnauthorizedError(f"{what} is answered with status {response.status}; check the credentials")
    raise UnavailableError(f"{what} is answered with status {response.status}")


def stored_record(response: Response, what: str, name: str) -> str:
    """Return the name of a record that a service has stored.

    Args:
        response: the answer to the request that stores it.
        what: which request, foreign text already quoted ("storing an occurrence at grafeas.example.org").
        name: the member of the answer that names the record.

    Raises:
        SigningError: the service refuses the record, or its answer names none.
        NotFoundError: the service does not know what the record belongs to.
        UnauthorizedError: the credentials do not do.
        UnavailableError: any other status.
    """
    said = f"{what} is answered with status {response.status}"
    if response.status in _INVALID:
        raise SigningError(f"{said}: the service refuses the record; nothing was stored")
    if response.status == _NOT_FOUND:
        raise NotFoundError(said)
    if response.status in _UNAUTHORIZED:
        raise UnauthorizedError(said)
    if response.status != _OK:
        raise UnavailableError(said)
    try:
        return strict_json.text_member(strict_json.parse_object(response.body, "it"), name, "it")
    except strict_json.MalformedError as error:
        msg = f"{what}: the response names no record ({error}); check what is stored, and repeat"
        raise SigningError(msg) from error


def require_deleted(response: Response, what: str) -> None:
    """Require that a service has deleted a record.

    Args:
        response: the answer to the request that deletes it.
        what: which request, foreign text already quoted ("deleting an occurrence at grafeas.example.org").

    Raises:
        SigningError: the service does not delete the record.
        NotFoundError: the service does not have it, or hides it.
        UnauthorizedError: the credentials do not do.
        UnavailableError: any other status.
    """
    said = f"{what} is answered with status {response.status}"
    if response.status in _DELETED:
        return
    if response.status in _INVALID | _NO_DELETES:
        raise SigningError(f"{said}: the service does not delete the record")
    if response.status == _NOT_FOUND:
        raise NotFoundError(said)
    if response.status in _UNAUTHORIZED:
        raise UnauthorizedError(said)
    raise UnavailableError(said)


def _too_many(what: str) -> VerificationError:
    return VerificationError(f"{what}; remove the useless ones", reason=Reason.EVIDENCE_TOO_LARGE)
