"""What a notary server says to a write: stored, another writer was faster, or refused and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sealgate.errors import ConflictError, SealgateError, SigningError, UnavailableError
from sealgate.messages import quote
from sealgate.parsing.strict_json import MalformedError, parse

if TYPE_CHECKING:
    from sealgate.http.interface import Response

_OK, _NOT_FOUND, _SERVER_ERROR = 200, 404, 500
#: Codes with which a server says that another writer's files came between: a version below the stored one, or, with a
#: real database behind it, a transaction that could not be made.
_CONFLICTS = frozenset({"VERSION", "UPDATING"})
_NO_SNAPSHOT_KEY = "ErrBadHierarchy"
_HINTS = {
    "INVALID_ROLE": "a server built with Go 1.17 or later reads only the last part of a role's name unless it has the "
    "fix of notary's pull request 1635; update the server",
    "INVALID_GUN": "this server does not serve repositories of that name",
}


class _Refusal(NamedTuple):
    """The first error of a response.

    Attributes:
        code: as the server states it; empty if the response has none.
        name: the class of the error in the detail of INVALID_UPDATE; empty otherwise.
        why: the server's words, quoted.
    """

    code: str
    name: str
    why: str


def check_written(response: Response, gun: str, server: str) -> None:
    """Return if a server stored what was posted.

    Args:
        response: to the POST or DELETE.
        gun: full name of the repository.
        server: address of the server, for messages.

    Raises:
        ConflictError: another writer was faster.
        SigningError: the server refuses the files.
        UnavailableError: the server failed.
    """
    if response.status != _OK:
        raise _error_of(response, gun, server)


def _error_of(response: Response, gun: str, server: str) -> SealgateError:
    refusal = _read(response.body)
    if refusal.code in _CONFLICTS:
        return ConflictError(f"another writer changed the trust data of {gun} at the same time ({refusal.code})")
    said = f"the notary server {server} answered {response.status}{f' {refusal.code}' if refusal.code else ''}"
    if response.status >= _SERVER_ERROR:
        return UnavailableError(f"{said} when the trust data of {gun} was posted{refusal.why}; try again")
    if refusal.name == _NO_SNAPSHOT_KEY:
        return SigningError(
            f"{said}: it does not hold the snapshot key of {gun}, and neither do you, so that only the key's holder "
            f"can publish. The repository's owner gives it to the server once: sealgate notary rotate {gun} snapshot"
        )
    if response.status == _NOT_FOUND:
        return SigningError(f"{said}: there is no notary server at that address; check --server")
    hint = _HINTS.get(refusal.code)
    return SigningError(f"{said} and refused the trust data of {gun}{refusal.why}{f'; {hint}' if hint else ''}")


def _read(body: bytes) -> _Refusal:
    try:
        document = parse(body, "the server's response")
    except MalformedError:
        return _Refusal("", "", "")
    error = _member(_first(_member(document, "errors")))
    detail = _member(document=error, name="detail")
    message = _member(_member(detail, "Error"), "Msg") or detail or _member(error, "message")
    name = _member(detail, "Name")
    why = f": {quote(message)}" if message else ""
    return _Refusal(quote(_member(error, "code") or "", 40), name if isinstance(name, str) else "", why)


def _first(items: object) -> object:
    return items[0] if isinstance(items, list) and items else None


def _member(document: object, name: str | None = None) -> object:
    if not isinstance(document, dict):
        return None
    return document if name is None else document.get(name)
