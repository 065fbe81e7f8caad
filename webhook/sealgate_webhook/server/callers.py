"""Who may send reviews.

A review names a namespace, and the webhook uses that namespace's pull secrets, returns digests and verdicts, and writes
Events there. Only the API server has a reason to send one. Where client certificates are required, a review is
answered only if the TLS connection it came over presented a certificate that

- leads to the configured CA (checked in the handshake, see `sealgate_webhook.transport.client_certificates`),
- has the extended key usage clientAuth and is within its validity period, and
- carries one of the configured names, compared exactly.

The decision is made for each request, before its body is read. Everything else is refused with HTTP 403.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.clocks import Clock
    from sealgate_webhook.transport.callers import Caller

#: The most names of a certificate that a message shows.
MAX_SHOWN_NAMES: Final = 3


class PermittedCallers:
    """The callers whose reviews are answered.

    Args:
        names: at least one; a certificate must carry one of them.
        clock: validity periods are compared with it.

    Raises:
        ConfigError: there is no name, or an empty one.
    """

    def __init__(self, names: Iterable[str], clock: Clock) -> None:
        self._names = frozenset(names)
        self._clock = clock
        if not self._names or not all(name.strip() for name in self._names):
            raise ConfigError("client certificates need at least one permitted name, and no name may be empty")

    def refusal(self, caller: Caller | None, *, self_test: bool = False) -> str:
        """Return why a caller is refused; empty if it is permitted.

        Args:
            caller: from the connection; None if it presented no usable certificate.
            self_test: whether the endpoint is the self-test's.
        """
        if caller is None:
            return "reviews need a client certificate of a permitted caller, and this connection has none"
        problem = caller.problem(self._clock.now())
        if problem:
            return problem
        if caller.self_test:
            return "" if self_test else "the certificate of the self-test is good for the self-test only"
        if caller.names & self._names:
            return ""
        shown = ", ".join(quote(name, 64) for name in sorted(caller.names)[:MAX_SHOWN_NAMES]) or "none"
        return f"the client certificate is not permitted: no permitted name among its names ({shown})"
