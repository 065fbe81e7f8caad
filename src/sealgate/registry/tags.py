"""The tags of a repository, page by page, for people; verification never needs them.

A mirror is not asked: it has the tags that were pulled through it, not those that there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.http.client import Follow
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.messages import quote
from sealgate.parsing import evidence
from sealgate.reasons import Reason
from sealgate.registry.names import check_repository
from sealgate.registry.referrers import next_page
from sealgate.registry.requests import Location, Query, RegistryRequests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.http.client import RequestPolicy
    from sealgate.http.interface import Response
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState

#: Tags that are asked for at once; registries may send fewer, or all of them.
PAGE_SIZE = 1000
#: Maximum number of pages of one list.
MAX_PAGES = 1000

_OK, _NOT_FOUND, _UNAUTHORIZED = 200, 404, (401, 403)


class TagLists:
    """Reads of lists of tags with one set of credentials, under one deadline.

    Args:
        state: what all users of one client share.
        credentials: the caller's credentials for each repository.
        policy: deadline, and the hosts that the configuration names literally.
    """

    def __init__(self, state: SharedState, credentials: CredentialProvider, policy: RequestPolicy) -> None:
        self._policy = policy
        self._requests = RegistryRequests(state, credentials)

    def tags(self, repository: Repository, limit: int) -> tuple[str, ...]:
        """Return the tags of a repository, each once, in the registry's order.

        Args:
            repository: the repository.
            limit: the most tags to accept.

        Raises:
            InvalidReferenceError: the repository is not valid.
            NotFoundError: the registry does not have the repository.
            VerificationError: there are more than `limit`, or the list is malformed.
            UnavailableError: the registry could not be asked (and its subclasses).
        """
        check_repository(repository)
        what, found = f"the list of tags of {quote(repository.name)}", dict[str, None]()
        for page in self._pages(Location(repository, self._policy), what):
            found.update(dict.fromkeys(_read_page(page, what)))
            if len(found) > limit:
                raise VerificationError(f"{what} has more than {limit} tags", reason=Reason.EVIDENCE_TOO_LARGE)
        return tuple(found)

    def _pages(self, location: Location, what: str) -> Iterator[bytes]:
        target = location.target(f"tags/list?n={PAGE_SIZE}")
        for _ in range(MAX_PAGES):
            # Pages are links of this registry, so that a redirect elsewhere would lead them out of its rights.
            query = Query(target, MAX_RESPONSE_BYTES, "application/json", Follow.SAME_ORIGIN)
            answer = self._requests.send(location, query)
            _expect_ok(location, answer.response, what)
            yield answer.response.body
            following = next_page(answer.url, answer.response.headers.get("link"))
            if following is None:
                return
            target = following.target
        raise VerificationError(f"{what} has more than {MAX_PAGES} pages", reason=Reason.EVIDENCE_TOO_LARGE)


def _read_page(body: bytes, what: str) -> Iterator[str]:
    document = evidence.parse_object(body, what, limit=MAX_RESPONSE_BYTES)
    if document.get("tags") is None:
        return  # a repository without tags, in some registries
    for tag in evidence.list_member(document, "tags", what):
        if not isinstance(tag, str):
            raise evidence.malformed(what, "a tag is not a string")
        yield tag


def _expect_ok(location: Location, response: Response, what: str) -> None:
    host, status = quote(location.host), response.status
    if status == _OK:
        return
    if status == _NOT_FOUND:
        raise NotFoundError(f"{host} does not have {what}; check the repository's name")
    if status in _UNAUTHORIZED:
        raise UnauthorizedError(f"{host} does not give out {what} (status {status}); check the credentials")
    raise UnavailableError(f"{host} answers with status {status} when asked for {what}")
