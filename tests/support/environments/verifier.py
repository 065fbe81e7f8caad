"""A registry simulator, signing keys, policies and a verifier, put together as a user would have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.clocks import Deadline, SystemClock
from sealgate.http.settings import HostSettings
from sealgate.keys.resolvers import FileKeys
from sealgate.policies.decisions import UnmatchedImages
from sealgate.policies.matching import Namespace
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.verification.policy_sets import build_policy_set
from sealgate.verification.requests import VerificationRequest
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
    from sealgate.clocks import Clock
    from sealgate.http.dns import Resolver
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Digest
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.verification.observers import VerifierObserver
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.requests import CurrentPolicies
    from tests.support.signers.private_keys import PrivateKey

KEY = new_key("ECDSA P-256", "release")
STRANGER = new_key("ECDSA P-256", "stranger")
REPOSITORY = "team/app"
#: Timeout of a wait, in seconds; reached only on a failure.
PATIENCE = 30.0


def policy_set(
    authenticators: Iterable[Authenticator],
    policies: Iterable[VerificationPolicy],
    unmatched: UnmatchedImages = UnmatchedImages.ADMIT,
) -> PolicySet:
    """Compile policies without Secrets."""
    return build_policy_set(authenticators, policies, lambda _: FileKeys({}), unmatched)


#: Every image must be signed by KEY.
RELEASE = policy_set([authenticator_model("release", KEY)], [policy_model("production")])


@dataclass
class VerifierEnvironment:
    """One registry and one verifier that uses it; a context manager.

    Attributes:
        settings: the verifier's limits.
        clock: clock of the verifier and the registry client.
        observer: observer of the verifier.
        registry: the simulated registry.
        resolver: resolves names; the system's by default.
        insecure: further hosts that may be asked over plain HTTP.
        verifier: the verifier under test.
    """

    settings: VerifierSettings = field(default_factory=VerifierSettings)
    clock: Clock = field(default_factory=SystemClock)
    observer: VerifierObserver | None = None
    registry: RegistrySimulator = field(default_factory=RegistrySimulator)
    resolver: Resolver | None = None
    insecure: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.client = RegistryClient(
            HostSettings(insecure=self.insecure | {self.registry.host, "localhost:1"}),
            clock=self.clock,
            resolver=self.resolver,
        )
        self.verifier = Verifier(self.client, self.clock, self.settings, self.observer)

    def __enter__(self) -> Self:
        self.registry.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The registry is closed first, which releases the requests that hang on it.
        self.registry.__exit__(kind, error, traceback)
        self.verifier.close()
        self.client.close()

    def image(self, tag: str = "v1", repository: str = REPOSITORY) -> str:
        """Return the reference of an image in the registry."""
        return f"{self.registry.host}/{repository}:{tag}"

    def push_signed(self, tag: str = "v1", key: PrivateKey = KEY, repository: str = REPOSITORY) -> Digest:
        """Push an image of its own and sign it."""
        digest = self.registry.push_image(repository, tag)
        push_classic(self.registry, repository, Classic(digest, key))
        return digest

    def review(
        self,
        policies: PolicySet = RELEASE,
        seconds: float = PATIENCE,
        namespace: Namespace | None = None,
        credentials: CredentialProvider | None = None,
        current_policies: CurrentPolicies | None = None,
    ) -> VerificationRequest:
        """Return what a review brings along."""
        deadline = Deadline.after(self.clock, seconds)
        return VerificationRequest(
            policies, namespace or Namespace("default"), credentials or NoCredentials(), deadline, current_policies
        )

    def verify(self, *images: str, **review: Any) -> tuple[ImageVerdict, ...]:
        """Verify images in a review of their own."""
        return self.verifier.verify(images, self.review(**review))
