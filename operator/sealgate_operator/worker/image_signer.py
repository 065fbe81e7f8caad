"""Signs one image under a policy: the digest that its tag names now, and only while this replica leads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import NotFoundError
from sealgate.formats.interface import Image, Sources
from sealgate.formats.signing import RenewingSigner, SigningContext
from sealgate.messages import quote
from sealgate.references import Reference
from sealgate.signing.discovery import Discovery
from sealgate_operator.worker.guards import FencedServices, FencedWriter

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from sealgate.formats.signing import SigningResult
    from sealgate.kubernetes.lease import Fence
    from sealgate.references import Digest, Repository
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.trusted_state.stores import TrustedState
    from sealgate_operator.worker.policy_states import OpenPolicy

#: Seconds for one image, all requests and waits included, and for one list of a registry.
TIMEOUT = 60.0


class MovedError(Exception):
    """A tag does not name the digest that was to be signed, or is gone.

    Args:
        message: what it names, for a person.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class ImageSigner:
    """Signs images. Thread-safe.

    Attributes:
        client: reaches registries; it has no mirrors, which may be older than the registry.
        credentials: for each repository.
        state: store of the highest versions of trust data seen.
        fence: whether this replica may write.
        clock: source of the time.
    """

    client: RegistryClient
    credentials: CredentialProvider
    state: TrustedState
    fence: Fence
    clock: Clock

    def discovery(self, policy: OpenPolicy) -> Discovery:
        """Return a search for the images that a policy covers."""
        return Discovery(policy.coverage, self.client, self.credentials, self.clock, TIMEOUT)

    def lane(self, policy: OpenPolicy, repository: Repository, tag: str, digest: Digest) -> str:
        """Return what only one signer may write to at a time."""
        return policy.signer.lock_name(Image(Reference(repository, tag, None), digest)) or repository.name

    def sign(self, policy: OpenPolicy, repository: Repository, tag: str, digest: Digest) -> SigningResult:
        """Sign a digest, if the registry says that the tag names it now.

        Raises:
            MovedError: the tag names another digest, or is gone.
            NotLeadingError: this replica lost the Lease.
            SigningError: see `Signer.sign`.
            VerificationError: see `Signer.sign`.
            UnavailableError: see `Signer.sign` (and its subclasses).
        """
        context = self._context(policy, repository)
        try:
            named = context.sources.registry.resolve(repository, tag)
        except NotFoundError as error:
            raise MovedError(error.message) from error
        if named != digest:
            raise MovedError(f"the tag {quote(tag)} names {named} now, and not {digest}; a push of its own signs that")
        return policy.signer.sign(Image(Reference(repository, tag, None), digest), context)

    def renew(self, policy: OpenPolicy, repository: Repository) -> tuple[str, ...]:
        """Sign anew what ends soon in a repository, for formats whose signatures end; return what, for a person.

        Raises:
            NotLeadingError: this replica lost the Lease.
            SealgateError: see `RenewingSigner.renew`.
        """
        signer = policy.signer
        return signer.renew(repository, self._context(policy, repository)) if isinstance(signer, RenewingSigner) else ()

    def _context(self, policy: OpenPolicy, repository: Repository) -> SigningContext:
        deadline = Deadline.after(self.clock, TIMEOUT)
        hosts = policy.named_hosts | {repository.registry}
        sources = Sources(
            registry=self.client.session(self.credentials, deadline, hosts),
            services=FencedServices(policy.store.services(deadline), self.fence),
            clock=self.clock,
            deadline=deadline,
            state=self.state,
            secrets=policy.secrets,
        )
        return SigningContext(sources, FencedWriter(self.client.writer(self.credentials, deadline, hosts), self.fence))
