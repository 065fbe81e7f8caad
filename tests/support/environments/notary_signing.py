"""A DTR that takes trust data, and sealgate as its writer: an owner with a trust directory, and delegates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealgate.clocks import Deadline
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notary.locations import NotaryServer
from sealgate.formats.notary.pins import FirstUsePin
from sealgate.formats.notary.private_keys.files import local_key
from sealgate.formats.notary.private_keys.stores import OneKey, TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.publishing.publisher import Publisher
from sealgate.formats.notary.sign import NotarySigner
from sealgate.formats.signing import SigningContext
from sealgate.http.settings import HostSettings
from sealgate.references import Digest, parse_reference, parse_repository
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.clocks import FakeClock
from tests.support.signers.notary import NOW, certified
from tests.support.simulators.notary_writes import WritableNotary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock
    from sealgate.formats.notary.publishing.file_signing import KeyStore
    from sealgate.formats.signing import SigningResult
    from sealgate.registry.credentials import CredentialProvider
    from tests.support.signers.notary import Signer
    from tests.support.simulators.notary import NotaryRepository

PATH = "dev/nginx"
RELEASES = "targets/releases"
ADMIN = "targets/admin"
PASSPHRASE = "correct horse"


@dataclass(frozen=True)
class FixedPassphrases:
    """Passphrases that are the same for every key; none where there are no candidates."""

    candidates: tuple[str, ...] = (PASSPHRASE,)
    sources: str = "the test's own list"

    def of(self, role: str, name: str) -> Iterator[str]:
        del role, name
        yield from self.candidates

    def new(self, role: str) -> str:
        del role
        return self.candidates[0]


@dataclass
class NotarySigning:
    """A DTR on loopback and sealgate in front of it; a context manager.

    Attributes:
        folder: for the trust directory.
        dtr_options: of the registry that is also the notary server.
        credentials: the signer's registry credentials.
        clock: what time it is; sleeping moves it.
    """

    folder: Path
    dtr_options: dict[str, Any] = field(default_factory=dict)
    credentials: CredentialProvider = field(default_factory=NoCredentials)
    clock: Clock = field(default_factory=lambda: FakeClock(NOW))

    def __post_init__(self) -> None:
        self.dtr = WritableNotary(**self.dtr_options)
        self.digest = self.dtr.push_image(PATH, "1.4")
        self.other = self.dtr.push_image(PATH, "1.5")
        self.gun = f"{self.dtr.host}/{PATH}"
        self.repository = parse_repository(self.gun)
        self.state = MemoryTrustedState()
        self.client = RegistryClient(HostSettings(insecure=frozenset({self.dtr.host})))
        self.server = NotaryServer(self.dtr.url)
        self.directory = TrustDirectory(self.folder / "trust", FixedPassphrases())
        self.alice = certified("alice")
        self.bob = certified("bob")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.dtr.close()
        self.client.close()

    @property
    def context(self) -> SigningContext:
        """What one piece of work may use."""
        deadline = Deadline.after(self.clock, 600)
        session = self.client.session(self.credentials, deadline)
        sources = Sources(session, self.client.services(deadline), self.clock, deadline, self.state)
        return SigningContext(sources, self.client.writer(self.credentials, deadline))

    @property
    def publisher(self) -> Publisher:
        """Writes with the keys of the trust directory."""
        return Publisher(self.repository, self.server, FirstUsePin(), self.directory, self.context)

    @property
    def owner(self) -> Owner:
        """The owner, whose keys are in the trust directory."""
        return Owner(self.publisher, self.directory)

    @property
    def trust(self) -> NotaryRepository:
        """What the server has of the repository."""
        return self.dtr.trust.repositories[self.gun]

    def delegated(self, *roles: str) -> NotarySigning:
        """Begin the repository and delegate roles to alice, releases and admin by default; return itself."""
        self.owner.initialise()
        self.owner.delegate(roles or (RELEASES, ADMIN), self.alice.certificates)
        return self

    def image(self, tag: str = "1.4", digest: str | None = None) -> Image:
        """Return an image of the repository."""
        return Image(parse_reference(f"{self.gun}:{tag}"), Digest(digest or self.digest))

    def signer(self, keys: KeyStore | None = None, **options: Any) -> NotarySigner:
        """Return a signer, with the keys of the trust directory by default."""
        return NotarySigner(self.server, FirstUsePin(), keys or self.directory, **options)

    def sign(self, tag: str = "1.4", keys: KeyStore | None = None, **options: Any) -> SigningResult:
        """Sign an image by a tag."""
        digest = options.pop("digest", None) or self.digest
        media_type, body = self.dtr.manifest(PATH, digest)
        self.dtr.push_manifest(PATH, tag, body, media_type)
        return self.signer(keys, **options).sign(self.image(tag, digest), self.context)

    def tags(self, role: str) -> dict[str, Any]:
        """Return what the server's file of a role names."""
        found: dict[str, Any] = self.trust.signed[role]["targets"]
        return found


def only(signer: Signer, name: str = "the test's key") -> OneKey:
    """Return a store with a signer's key alone."""
    return OneKey(local_key(signer.private, name))
