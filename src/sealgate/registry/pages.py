"""Lists of names that registries give out page by page: tags, and repositories; verification never needs them.

A mirror is not asked: it has what was pulled through it, not what there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.http.client import Follow
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.messages import quote
from sealgate.parsing import evidence
from sealgate.reasons import Reason
from sealgate.registry.referrers import next_page
from sealgate.registry.requests import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.http.interface import Response
    from sealgate.registry.requests import Location, RegistryRequests

#: Names that are asked for at once; registries may send fewer, or all of them.
PAGE_SIZE = 1000
#: Maximum number of pages of one list.
MAX_PAGES = 1000

_OK, _NOT_FOUND, _UNAUTHORIZED = 200, 404, (401, 403)


def read_names(  # noqa: PLR0913 - who is asked, for what, and how much of it
    requests: RegistryRequests, location: Location, target: str, member: str, what: str, limit: int
) -> tuple[str, ...]:
    """Return the names of a list, each once, in the registry's order.

    Args:
        requests: sends the requests.
        location: who is asked.
        target: path of the list.
        member: member of a page that has the names ("tags"); null where there are none.
        what: the list for messages.
        limit: the most names to accept.

    Raises:
        NotFoundError: the registry does not have the list.
        VerificationError: there are more than `limit` names or `MAX_PAGES` pages, or the list is malformed.
        UnavailableError: the registry could not be asked (and its subclasses).
    """
    found = dict[str, None]()
    for page in _pages(requests, location, target, what):
        found.update(dict.fromkeys(_read_page(page, member, what)))
        if len(found) > limit:
            raise VerificationError(f"{what} has more than {limit} entries", reason=Reason.EVIDENCE_TOO_LARGE)
    return tuple(found)


def _pages(requests: RegistryRequests, location: Location, target: str, what: str) -> Iterator[bytes]:
    target = f"{target}?n={PAGE_SIZE}"
    for _ in range(MAX_PAGES):
        # Pages are links of this registry, so that a redirect elsewhere would lead them out of its rights.
        query = Query(target, MAX_RESPONSE_BYTES, "application/json", Follow.SAME_ORIGIN)
        answer = requests.send(location, query)
        _expect_ok(location, answer.response, what)
        yield answer.response.body
        following = next_page(answer.url, answer.response.headers.get("link"))
        if following is None:
            return
        target = following.target
    raise VerificationError(f"{what} has more than {MAX_PAGES} pages", reason=Reason.EVIDENCE_TOO_LARGE)


def _read_page(body: bytes, member: str, what: str) -> Iterator[str]:
    document = evidence.parse_object(body, what, limit=MAX_RESPONSE_BYTES)
    if document.get(member) is None:
        return  # no names, in some registries
    for name in evidence.list_member(document, member, what):
        if not isinstance(name, str):
            raise evidence.malformed(what, "a name is not a string")
        yield name


def _expect_ok(location: Location, response: Response, what: str) -> None:
    host, status = quote(location.host), response.status
    if status == _OK:
        return
    if status == _NOT_FOUND:
        raise NotFoundError(f"{host} does not have {what}; check the name")
    if status in _UNAUTHORIZED:
        raise UnauthorizedError(f"{host} does not give out {what} (status {status}); check the credentials")
    raise UnavailableError(f"{host} answers with status {status} when asked for {what}")
