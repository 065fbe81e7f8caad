"""Several webhooks that use one simulated registry, each with caches and connections of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.http.settings import HostSettings
from sealgate.policies.matching import Namespace
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.verification.requests import VerificationRequest
from sealgate.verification.verifier import Verifier
from tests.support.environments.registry_clients import login
from tests.support.environments.registry_history import USERS
from tests.support.environments.verifier import PATIENCE, REPOSITORY

if TYPE_CHECKING:
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.settings import VerifierSettings
    from tests.support.clocks import FakeClock
    from tests.support.simulators.registry import RegistrySimulator


class Replica:
    """A webhook's verifier with a registry client of its own; to be closed.

    Args:
        registry: the registry that holds all images.
        clock: clock of all parts.
        limits: the verifier's limits.
    """

    def __init__(self, registry: RegistrySimulator, clock: FakeClock, limits: VerifierSettings) -> None:
        self._registry = registry
        self._clock = clock
        self.client = RegistryClient(HostSettings(insecure=frozenset({registry.host})), clock=clock)
        self.verifier = Verifier(self.client, clock, limits)

    def ask(self, policies: PolicySet, caller: str, image: str) -> ImageVerdict:
        """Return the verdict on one image.

        Args:
            policies: the policies in force.
            caller: a user of the registry, "anonymous", or any other name for a caller with a wrong password.
            image: tag or digest of an image of `REPOSITORY`, as `:tag` or `@digest`.
        """
        deadline = Deadline.after(self._clock, PATIENCE)
        request = VerificationRequest(policies, Namespace("shop"), self._credentials(caller), deadline)
        (verdict,) = self.verifier.verify([f"{self._registry.host}/{REPOSITORY}{image}"], request)
        return verdict

    def close(self) -> None:
        """Stop the verifier and close its connections."""
        self.verifier.close()
        self.client.close()

    def _credentials(self, caller: str) -> CredentialProvider:
        if caller == "anonymous":
            return NoCredentials()
        # A caller that guesses has a right name and a wrong password.
        return login(self._registry, caller if caller in USERS else "robot", USERS.get(caller, "a guess"))
