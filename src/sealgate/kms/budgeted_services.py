"""Requests to key management services, limited by a budget for each host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.urls import parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.budgets import Budgets
    from sealgate.clocks import Deadline
    from sealgate.http.interface import Response, Services

#: Requests a minute to one KMS, and how many of them may come at once. The services' own limits are far above.
REQUESTS_PER_MINUTE = 300.0
BURST = 60


class BudgetedServices:
    """Services whose requests are charged to the budget of their host; see `Services`.

    Args:
        services: sends the requests.
        budgets: the budgets of all hosts; one set for the process.
        deadline: the end of all requests together.
    """

    def __init__(self, services: Services, budgets: Budgets, deadline: Deadline) -> None:
        self._services = services
        self._budgets = budgets
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
        seconds: float | None = None,
    ) -> Response:
        """Wait until the budget allows it and send the request; see `Services.request`.

        Raises:
            RateLimitedError: the budget is exhausted until the deadline.
        """
        delay = self._budgets.reserve(parse_url(url).origin.authority, self._deadline)
        if delay > 0:
            self._deadline.clock.sleep(delay)
        return self._services.request(method, url, headers=headers, body=body, limit=limit, ca=ca, seconds=seconds)
