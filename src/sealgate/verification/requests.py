"""What one caller of the verifier brings along."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealgate.registry.callers import Caller
from sealgate.verification.repository_caller import RepositoryCaller
from sealgate.verification.tasks import Requester

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.clocks import Deadline
    from sealgate.policies.matching import Namespace
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.network import Network
    from sealgate.verification.policy_sets import PolicySet

    CurrentPolicies = Callable[[], PolicySet | None]


@dataclass(frozen=True, slots=True)
class VerificationRequest:
    """What one caller of the verifier brings along: for one AdmissionReview, or for one run of the command line.

    Attributes:
        policies: the snapshot of policies and authenticators that decides.
        namespace: the namespace of the images.
        credentials: for the registries of the images.
        deadline: the moment by which the request must be answered.
        current_policies: returns the policies in force, for what is verified in the background after the request was
            refused because it could not wait; None if nothing is, because such a request is not repeated.
        caller: the credentials as this request has read them.
    """

    policies: PolicySet
    namespace: Namespace
    credentials: CredentialProvider
    deadline: Deadline
    current_policies: CurrentPolicies | None = field(default=None, repr=False, compare=False)
    caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the caller."""
        object.__setattr__(self, "caller", Caller(self.credentials))

    @property
    def requester(self) -> Requester:
        """Whose share the work for this request takes."""
        return Requester(self.namespace.name, id(self))

    def caller_at(self, network: Network, repository: Repository) -> RepositoryCaller:
        """Return the caller of this request at one repository."""
        return RepositoryCaller(network, self.caller, repository, self.namespace.name)
