"""What one review brings along to the verifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.registry.callers import Caller
from sealgate.verification.askers import Asker

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.policies.matching import Namespace
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.network import Network
    from sealgate.verification.policy_sets import PolicySet


@dataclass(frozen=True, slots=True)
class Review:
    """What one review brings along.

    Attributes:
        policies: the snapshot that decides.
        namespace: the namespace its images are for.
        credentials: for its images' registries.
        deadline: by when it must have been answered.
        caller: the credentials as this review has read them.
    """

    policies: PolicySet
    namespace: Namespace
    credentials: CredentialProvider
    deadline: Deadline
    caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the caller."""
        object.__setattr__(self, "caller", Caller(self.credentials))

    def asker(self, network: Network, repository: Repository) -> Asker:
        """Return the review's caller as one repository sees it."""
        return Asker(network, self.caller, repository)
