"""A Grafeas server with attestations of one image, and `grafeas` authenticators asked about that image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats import build_check
from sealgate.formats.grafeas import GrafeasCheck
from sealgate.formats.interface import Image, Sources
from sealgate.keys.sources import StandaloneKeys
from sealgate.policies.models import API_VERSION, Authenticator
from sealgate.references import Digest, parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.settings import RegistrySettings
from sealgate.service_secrets import StandaloneServiceSecrets
from tests.support.cosign_signing import fingerprint, new_key, public_pem
from tests.support.grafeas_simulator import NOTE, GrafeasSimulator, payload_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.errors import Reason
    from sealgate.findings import Verified
    from tests.support.cosign_signing import PrivateKey
    from tests.support.simple_signing import Signer

REPOSITORY = "demo-registry.example.org/ns/app"
DIGEST = Digest("sha256:" + "4a" * 32)
OTHER_DIGEST = Digest("sha256:" + "5b" * 32)
KEY = new_key("ECDSA P-256", "grafeas")
STRANGER = new_key("ECDSA P-256", "grafeas-stranger")
#: Seconds after which a test calls something hung; nothing that works takes any of it.
PATIENCE = 30.0


def key_entry(key: PrivateKey, algorithm: str | None = None, key_id: str | None = None) -> dict[str, Any]:
    """Return an entry of `keys`."""
    entry: dict[str, Any] = {"id": fingerprint(key) if key_id is None else key_id, "pem": public_pem(key)}
    return entry if algorithm is None else entry | {"algorithm": algorithm}


def pgp_entry(signer: Signer) -> dict[str, Any]:
    """Return an entry of `keys` for an OpenPGP key."""
    return {"id": signer.fingerprint, "pgp": signer.public}


def uri(digest: str = DIGEST, repository: str = REPOSITORY) -> str:
    """Return what occurrences call an image."""
    return f"https://{repository}@{digest}"


class GrafeasStand:
    """A Grafeas server; a context manager.

    Attributes:
        server: the simulator.
        secrets: what `credentialsSecret` finds.
        seconds: how long a verification has.
    """

    def __init__(self, version: str = "v1", **server: Any) -> None:
        self.server = GrafeasSimulator(version=version, **server)
        self.secrets: Mapping[str, Mapping[str, bytes]] = {}
        self.seconds = PATIENCE
        self._client = RegistryClient(RegistrySettings(insecure=frozenset({self.server.host})))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.server.close()
        self._client.close()

    def authenticator(self, *keys: dict[str, Any], **fields: Any) -> Authenticator:
        """Return the object; `fields` are of the spec, as in YAML, instead of or beside those given here."""
        spec = {
            "server": self.server.url,
            "apiVersion": self.server.version,
            "note": NOTE,
            "keys": list(keys) or [key_entry(KEY)],
            **({"ca": {"pem": self.server.ca_pem}} if self.server.ca_pem else {}),
            **fields,
        }
        document = {
            "apiVersion": API_VERSION,
            "kind": "Authenticator",
            "metadata": {"name": "acr-qa"},
            "spec": {"grafeas": spec},
        }
        return Authenticator.model_validate(document)

    def check(self, *keys: dict[str, Any], **fields: Any) -> GrafeasCheck:
        """Return the check of that object."""
        check = build_check(self.authenticator(*keys, **fields), StandaloneKeys({}))
        assert isinstance(check, GrafeasCheck)
        return check

    def image(self, text: str = f"{REPOSITORY}:1.4", digest: Digest = DIGEST) -> Image:
        return Image(parse_reference(text), digest)

    def sources(self) -> Sources:
        clock = SystemClock()
        deadline = Deadline.after(clock, self.seconds)
        return Sources(
            registry=self._client.session(NoCredentials(), deadline),
            services=self._client.services(deadline),
            clock=clock,
            deadline=deadline,
            secrets=StandaloneServiceSecrets(self.secrets),
        )

    def attest(self, key: PrivateKey = KEY, payload: bytes | None = None, **members: Any) -> dict[str, Any]:
        """Store an attestation of the image; `members` as in `GrafeasSimulator.attest`."""
        signed = payload_of(DIGEST, REPOSITORY) if payload is None else payload
        return self.server.attest(members.pop("uri", uri()), signed, key, **members)

    def verify(self, check: GrafeasCheck | None = None, image: Image | None = None) -> Verified:
        return (check or self.check()).verify(image or self.image(), self.sources())

    def refusal(self, check: GrafeasCheck | None = None, image: Image | None = None) -> VerificationError:
        with pytest.raises(VerificationError) as caught:
            self.verify(check, image)
        return caught.value

    def refuses(self, reason: Reason, check: GrafeasCheck | None = None) -> VerificationError:
        """Require that the image is refused for that reason."""
        error = self.refusal(check)
        assert error.reason is reason, error.message
        return error

    def unavailable(self, check: GrafeasCheck | None = None) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            self.verify(check)
        return caught.value
