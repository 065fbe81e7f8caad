"""What signers of policies are opened with: Secrets, the network, Authenticators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.kms.credentials import Identities
from sealgate.kms.signing import KMSSigningKeys

if TYPE_CHECKING:
    from sealgate.budgets import Budgets
    from sealgate.clocks import Clock
    from sealgate.http.interface import ServiceSource
    from sealgate.policies.signing_keys import Authenticators
    from sealgate.service_secrets import ServiceSecrets


@dataclass(frozen=True, slots=True)
class SigningAccess:
    """Sources of keys and credentials. Thread-safe.

    Attributes:
        network: client for key management services; must stay open as long as the keys sign.
        secrets: the Secrets that policies may name.
        clock: source of the time.
        budgets: of key management services; all keys of a process share one set.
        authenticators: returns the spec of the Authenticator of a name; None if there is none, or it is not valid.
        folders: whether policies may store signatures in folders of this machine.
        identities: of the process; none by default.
    """

    network: ServiceSource
    secrets: ServiceSecrets
    clock: Clock
    budgets: Budgets
    authenticators: Authenticators
    folders: bool = False
    identities: Identities = field(default_factory=Identities)

    @property
    def kms(self) -> KMSSigningKeys:
        """Opens keys in key management services."""
        return KMSSigningKeys(self.network, self.secrets, self.clock, self.budgets, self.identities)
