"""Images signed in the simple-signing format: the registry with the fixtures' image, now, and keys that sign."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sealgate.clocks import Deadline
from sealgate.formats.signing import SigningContext, SigningResult
from sealgate.formats.simple_signing.sign import SimpleSigner
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from tests.support.environments.simple_signing import REGISTRY, SimpleSigningEnvironment, simple_check
from tests.support.signers.simple_signing import Signer, subject

if TYPE_CHECKING:
    from sealgate.formats.interface import Image
    from sealgate.formats.simple_signing.storing import WritableStore
    from sealgate.registry.credentials import CredentialProvider
    from tests.support.simulators.http import HTTPSimulator

OPENPGP = Signer()
FOLDER_NAME = f"team/api@{subject().replace(':', '=')}"


def no_passphrase() -> str | None:
    return None


def secret_key(signer: Signer = OPENPGP) -> SecretKeyFile:
    return SecretKeyFile(signer.secret.encode(), "the key file release.asc", datetime.now(UTC), no_passphrase)


def fingerprint_of(signer: Signer) -> str:
    return secret_key(signer).fingerprint


class SigningEnvironment(SimpleSigningEnvironment):
    """The registry with the fixtures' image, now, and images signed in it.

    Args:
        registry: the arguments of the simulator.
    """

    def __init__(self, **registry: Any) -> None:
        super().__init__(datetime.now(UTC), **registry)

    def trust(self, server: HTTPSimulator) -> None:
        """List a server as insecure, as is needed for this machine's own addresses."""
        settings = self.client.settings
        self.client.close()
        self.client = RegistryClient(replace(settings, insecure=settings.insecure | {server.host}))

    def context(self, credentials: CredentialProvider | None = None) -> SigningContext:
        deadline = Deadline.after(self.clock, 30)
        writer = self.client.writer(credentials or NoCredentials(), deadline, frozenset({REGISTRY}))
        return SigningContext(self.sources(credentials), writer)

    def here(self, tag: str = "1.4") -> Image:
        """Return the image under the registry's own name, since nothing is written to a mirror."""
        return self.image(f"{self.registry.host}/team/api:{tag}")

    def sign(
        self,
        store: WritableStore,
        image: Image | None = None,
        *,
        key: Signer = OPENPGP,
        credentials: CredentialProvider | None = None,
        **more: Any,
    ) -> SigningResult:
        signer = SimpleSigner(secret_key(key), store, **more)
        return signer.sign(image or self.here(), self.context(credentials))

    def verified(self, image: Image | None = None, key: Signer = OPENPGP, **fields: Any) -> tuple[str, ...]:
        check = simple_check(key.public, **fields)
        return check.verify(image or self.here(), self.sources()).fingerprints
