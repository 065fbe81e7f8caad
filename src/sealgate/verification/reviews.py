"""What one review brings along to the verifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.policies.matching import Namespace
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.registry.interface import Registry
    from sealgate.verification.engines import Engine
    from sealgate.verification.policy_sets import PolicySet


@dataclass(frozen=True, slots=True)
class Review:
    """What one review brings along.

    Attributes:
        policies: the snapshot that decides.
        namespace: the namespace its images are for.
        credentials: for its images' registries.
        deadline: by when it must have been answered.
    """

    policies: PolicySet
    namespace: Namespace
    credentials: CredentialProvider
    deadline: Deadline

    def session(self, engine: Engine, deadline: Deadline) -> Registry:
        """Return reads of registries for work on behalf of this review, under the work's own deadline."""
        return engine.network.session(self.credentials, deadline, self.policies.literal_hosts)
