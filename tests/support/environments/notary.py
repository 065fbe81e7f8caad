"""A DTR with one signed image, and the `notary` format in front of it, as a user would have them.

The tag `1.4` is signed the UCP way: in `targets/releases` by alice and in `targets/admin` by bob.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import VerificationError
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notary.verify import build
from sealgate.http.settings import HostSettings
from sealgate.keys.resolvers import FileKeys
from sealgate.references import Digest, parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.clocks import FakeClock
from tests.support.signers.notary import NOW, Signer, certified
from tests.support.simulators.notary import NotaryRepository, NotarySimulator

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock
    from sealgate.findings import Verified
    from sealgate.formats.notary.verify import NotaryCheck
    from sealgate.reasons import Reason
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.trusted_state.stores import TrustedState

PATH = "dev/nginx"
TAG = "1.4"
RELEASES = "targets/releases"
ADMIN = "targets/admin"
#: Timeout of a wait, in seconds; reached only on a failure.
PATIENCE = 30.0


@dataclass
class NotaryEnvironment:
    """A DTR on loopback, one repository in it, and sealgate; a context manager.

    Attributes:
        dtr_options: of the registry that is also the notary server.
        credentials: the pod's registry credentials.
        state: trusted state of the verifier.
        clock: what time it is for expiry.
        trust_registry: whether the settings trust the CA of its TLS certificate.
    """

    dtr_options: dict[str, Any] = field(default_factory=dict)
    credentials: CredentialProvider = field(default_factory=NoCredentials)
    state: TrustedState = field(default_factory=MemoryTrustedState)
    clock: Clock = field(default_factory=lambda: FakeClock(NOW))
    trust_registry: bool = True

    def __post_init__(self) -> None:
        self.dtr = NotarySimulator(**self.dtr_options)
        self.alice = certified("alice")
        self.bob = certified("bob")
        self.mallory = certified("mallory")
        self.digest = self.dtr.push_image(PATH, TAG)
        self.other = self.dtr.push_image(PATH, "1.5")
        self.manifest = self.dtr.manifest(PATH, self.digest)[1]
        self.repository = self.dtr.host_repository(NotaryRepository(f"{self.dtr.host}/{PATH}"))
        self.repository.delegate(RELEASES, self.alice)
        self.repository.delegate(ADMIN, self.bob)
        self.repository.sign_tag(TAG, self.manifest, RELEASES, ADMIN)
        self.repository.publish()
        self.root = self.repository.signers["root"][0]
        # Listed as insecure because it is on loopback; what shows a certificate is checked all the same.
        ca = {self.dtr.host: self.dtr.ca_pem} if self.dtr.ca_pem and self.trust_registry else {}
        self.client = RegistryClient(HostSettings(insecure=frozenset({self.dtr.host}), ca=ca))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.dtr.close()
        self.client.close()

    def spec(self, **fields: Any) -> NotarySpec:
        """Return the authenticator's spec: pinned root, both roles; fields in YAML's spelling replace or add."""
        written = {"server": self.dtr.url, "root": {"pem": self.root.certificate_pem}, "roles": self.roles(), **fields}
        return NotarySpec.model_validate_json(json.dumps(written))

    def roles(self) -> list[dict[str, Any]]:
        """Return the two roles and their signers as a policy has them."""
        return [role(RELEASES, self.alice), role(ADMIN, self.bob)]

    def check(self, **fields: Any) -> NotaryCheck:
        """Return the check of that spec."""
        return build(self.spec(**fields), FileKeys({}))

    def image(self, reference: str = f":{TAG}", digest: str | None = None) -> Image:
        """Return an image of the repository: what follows its name, and the digest if it is not 1.4's."""
        return self.image_of(f"{self.dtr.host}/{PATH}{reference}", digest)

    def image_of(self, reference: str, digest: str | None = None) -> Image:
        """Return any image."""
        return Image(parse_reference(reference), Digest(digest or self.digest))

    def sources(self, seconds: float = PATIENCE) -> Sources:
        """Return sources for one verification."""
        deadline = Deadline.after(SystemClock(), seconds)
        return Sources(
            registry=self.client.session(self.credentials, deadline),
            services=self.client.services(deadline),
            clock=self.clock,
            deadline=deadline,
            state=self.state,
        )

    def verify(self, image: Image | None = None, **fields: Any) -> Verified:
        """Verify an image, by default 1.4."""
        return self.check(**fields).verify(image or self.image(), self.sources())

    def refuses(self, reason: Reason, image: Image | None = None, **fields: Any) -> VerificationError:
        """Return the refusal that verifying ends in, and expect its reason."""
        with pytest.raises(VerificationError) as caught:
            self.verify(image, **fields)
        assert caught.value.reason is reason, caught.value.message
        return caught.value


def role(name: str, *signers: Signer) -> dict[str, Any]:
    """Return a role and its signers as a policy has them."""
    pems = [signer.certificate_pem if signer.certificates else signer.public_pem for signer in signers]
    return {"name": name, "keys": [{"pem": pem} for pem in pems]}
