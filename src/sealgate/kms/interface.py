"""The interface between key management services and everything else.

One module here speaks to one provider: it has a function `fetch` that asks the service for a key and says what it
found, and has a line in `PROVIDERS` of `sealgate.kms.resolve`. What a found key is worth (whether it parses, is
strong enough, fits its algorithm) is judged there, the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.service_secrets import ServiceSecrets

#: The most versions of one key that are read.
MAX_VERSIONS = 64

S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class KMSKey:
    """One version of a key, as its service describes it. Without a PEM it is refused.

    Attributes:
        version: the version's id; empty where keys have none.
        state: the service's own word for the state it is in ("ENABLED").
        pem: the public key.
        kind: what the service says the key is, in the words of `PublicKey.kind` ("ECDSA P-256").
        reason: why it is refused, one word for machines ("Disabled"); empty if it is not.
        message: the same for a person, with what to do.
    """

    version: str
    state: str
    pem: str | None = None
    kind: str = ""
    reason: str = ""
    message: str = ""


class Fetch(Protocol[S_contra]):
    """How one provider is asked."""

    def __call__(
        self, source: S_contra, secrets: ServiceSecrets, services: Services, clock: Clock
    ) -> tuple[KMSKey, ...]:
        """Ask for a key.

        Only versions that are enabled and made for signing, of a kind that is supported, come with a PEM; the others
        say why not. A key that is not there at all is one refused version.

        Args:
            source: which key.
            secrets: where the credentials are.
            services: how the service is asked, and until when.
            clock: the time, which requests are signed with.

        Raises:
            UnavailableError: nothing could be found out: the service, the credentials or the Secret is not there.
        """


def refused(version: str, state: str, reason: str, message: str) -> tuple[KMSKey, ...]:
    """Return the one refused version that represents a key without usable ones; see `KMSKey`."""
    return (KMSKey(version, state, reason=reason, message=message),)
