"""Asks a registry whether it is one (`GET /v2/`, OCI distribution specification, "Determining Support")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.http.client import Follow
from sealgate.references import Repository
from sealgate.registry.requests import Location, Query, RegistryRequests

if TYPE_CHECKING:
    from sealgate.http.client import RequestPolicy
    from sealgate.http.interface import Response
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.state import SharedState

_TARGET: Final = "/v2/"
#: The most bytes of the response; what it says does not matter.
_MAX_BYTES: Final = 64 << 10


def ping(state: SharedState, credentials: CredentialProvider, policy: RequestPolicy, registry: str) -> Response:
    """Return a registry's response, after its own token flow; redirects to another host are not followed.

    Args:
        state: what all users of one client share.
        credentials: the caller's credentials; those for a whole registry are sent, to it and its token service only.
        policy: deadline, and the hosts that may have private addresses.
        registry: its host, as references spell it.

    Raises:
        UnauthorizedError: it accepts neither the credentials nor anonymous callers.
        VerificationError: its response is too large for a registry.
        UnavailableError: it could not be asked (and its subclasses).
    """
    location = Location(Repository(registry, ""), policy)
    query = Query(_TARGET, _MAX_BYTES, follow=Follow.SAME_ORIGIN)
    return RegistryRequests(state, credentials).send(location, query).response
