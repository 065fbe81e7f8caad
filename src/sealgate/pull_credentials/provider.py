"""The platform's pull credentials as a credential provider: exactly for the hosts that the settings list."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from sealgate.registry.credentials import Candidate, Credentials, Exactness

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from sealgate.references import Repository
    from sealgate.registry.credentials import Lease


class PlatformCredentialProvider:
    """Has one candidate for each of its hosts, and none for others; see `CredentialProvider`. Never waits.

    Args:
        leases: identity and lease by registry, as references spell it.
        token_services: by registry the hosts besides itself that its secret may go to; none by default.
    """

    def __init__(
        self,
        leases: Mapping[str, tuple[tuple[str, ...], Lease]],
        token_services: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        self._candidates = {
            host: (
                Candidate(
                    Exactness(literal=True, registry=len(host), path=0),
                    # Neither another host nor a token service elsewhere that the registry names gets the secret.
                    Credentials(
                        identity=("platform", host, *identity),
                        lease=lease,
                        hosts=token_services.get(host, frozenset()) | {host},
                    ),
                ),
            )
            for host, (identity, lease) in leases.items()
        }

    @property
    def source(self) -> Hashable:
        """The object itself; there is one for the process."""
        return self

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the candidate for the repository's registry; the secret is obtained only when a registry asks."""
        return self._candidates.get(repository.registry, ())

    def cached(self, repository: Repository) -> Sequence[Candidate]:
        """Return the same."""
        return self.candidates(repository)
