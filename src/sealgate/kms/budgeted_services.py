"""Requests to key management services, at the pace of a budget for each host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.urls import parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Deadline
    from sealgate.http.interface import Response, Services

#: Requests a minute to one KMS, and how many of them may come at once. The services' own limits are far above.
REQUESTS_PER_MINUTE = 300.0
BURST = 60


class Budget(Protocol):
    """Places a minute for each host (`sealgate.budgets.Budgets` is one)."""

    def reserve(self, host: str, deadline: Deadline) -> float:
        """Take a place and return how many seconds to wait for it.

        Raises:
            RateLimitedError: it would come after the deadline.
        """


class BudgetedServices:
    """Services, each request of which takes a place in its host's budget; see `Services`.

    Args:
        services: who sends.
        budget: of all hosts; one for the process.
        deadline: when all of it must be over.
    """

    def __init__(self, services: Services, budget: Budget, deadline: Deadline) -> None:
        self._services = services
        self._budget = budget
        self._deadline = deadline

    def request(  # noqa: PLR0913 - the parts of an HTTP request are these
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
    ) -> Response:
        """Wait for a place and send the request; see `Services.request`.

        Raises:
            RateLimitedError: there is no place before the deadline.
        """
        delay = self._budget.reserve(parse_url(url).origin.authority, self._deadline)
        if delay > 0:
            self._deadline.clock.sleep(delay)
        return self._services.request(method, url, headers=headers, body=body, limit=limit, ca=ca)
