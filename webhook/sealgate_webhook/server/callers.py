"""Who may send reviews.

A review names a namespace, and the webhook uses that namespace's pull secrets, returns digests and verdicts, and writes
Events there. Only the API server has a reason to send one. Where client certificates are required, a review is
answered only if the TLS connection it came over presented a certificate that

- leads to the configured CA (checked in the handshake, see `sealgate_webhook.server.client_certificates`),
- has the extended key usage clientAuth and is within its validity period, and
- carries one of the configured names, compared exactly.

The decision is made for each request, before its body is read. Everything else is refused with HTTP 403. The caller's
identity reaches the application in the WSGI environment under a key that no HTTP header can set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sealgate.clocks import Clock

#: WSGI environment key of the `Caller`; absent or None where the connection presented no usable certificate. Headers
#: become keys that begin with HTTP_, so no client can set it.
CALLER: Final = "sealgate.caller"
#: The most names of a certificate that a message shows.
MAX_SHOWN_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a client certificate that the handshake verified.

    Attributes:
        names: the subject's common name, and the DNS names, URIs and email addresses of the subject alternative name.
        not_before: start of the validity period.
        not_after: end of the validity period.
        client_auth: whether the extended key usage says clientAuth.
        self_test: whether it is the self-test's certificate, which opens the self-test's endpoint and nothing else.
    """

    names: frozenset[str]
    not_before: datetime
    not_after: datetime
    client_auth: bool
    self_test: bool = False


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
        now = self._clock.now()
        if not caller.not_before <= now <= caller.not_after:
            return "the client certificate is outside its validity period"
        if not caller.client_auth:
            return "the client certificate does not have the extended key usage clientAuth"
        if caller.self_test:
            return "" if self_test else "the certificate of the self-test is good for the self-test only"
        if caller.names & self._names:
            return ""
        shown = ", ".join(quote(name, 64) for name in sorted(caller.names)[:MAX_SHOWN_NAMES]) or "none"
        return f"the client certificate is not permitted: no permitted name among its names ({shown})"
