"""Who is at the other end of a connection: the holder of a client certificate.

The identity reaches applications in the ASGI scope and the WSGI environment, under a key that no HTTP header can set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

#: Key of the `Caller` in scope and environment; absent or None where the connection presented no usable certificate.
#: Headers become keys that begin with HTTP_, so no client can set it.
CALLER: Final = "sealgate.caller"


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

    def problem(self, now: datetime) -> str:
        """Return why the certificate cannot be used at a time; empty if it can."""
        if not self.not_before <= now <= self.not_after:
            return "the client certificate is outside its validity period"
        if not self.client_auth:
            return "the client certificate does not have the extended key usage clientAuth"
        return ""
