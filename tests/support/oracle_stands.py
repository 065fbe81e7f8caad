"""The service of image signatures with records of one image, and `oracle` authenticators asked about that image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats import build_check
from sealgate.formats.interface import Image, Sources
from sealgate.formats.oracle import OracleCheck
from sealgate.keys.sources import StandaloneKeys
from sealgate.policies.models import API_VERSION, Authenticator
from sealgate.references import Digest, parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.settings import RegistrySettings
from sealgate.service_secrets import StandaloneServiceSecrets
from tests.support.cosign_signing import new_key, public_pem
from tests.support.ocir_simulator import COMPARTMENT, KEY_ID, REGION, OCIRSimulator, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.errors import Reason
    from sealgate.findings import Verified
    from tests.support.cosign_signing import PrivateKey

IMAGE = "phx.ocir.io/ansh81vru1zp/project01/acme-web-app:v2.0.test"
REPOSITORY = "project01/acme-web-app"
DIGEST = Digest("sha256:" + "4a" * 32)
OTHER_DIGEST = Digest("sha256:" + "5b" * 32)
KEY = new_key("RSA 2048", "oracle")
STRANGER = new_key("RSA 2048", "oracle-stranger")
#: Seconds after which a test calls something hung; nothing that works takes any of it.
PATIENCE = 30.0


def trusted(key: PrivateKey = KEY, *versions: str, key_id: str = KEY_ID, **fields: Any) -> dict[str, Any]:
    """Return an entry of `trustedKeys`."""
    return {"keyId": key_id, "keyVersionIds": list(versions), "pem": public_pem(key), **fields}


class OracleStand:
    """The service; a context manager.

    Attributes:
        server: the simulator.
        secrets: what `credentialsSecret` finds.
        seconds: how long a verification has.
    """

    def __init__(self, **server: Any) -> None:
        self.server = OCIRSimulator(**server)
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
            "region": REGION,
            "endpoint": self.server.url,
            "compartmentId": COMPARTMENT,
            "trustedKeys": list(keys) or [trusted()],
            **({"ca": {"pem": self.server.ca_pem}} if self.server.ca_pem else {}),
            **fields,
        }
        document = {
            "apiVersion": API_VERSION,
            "kind": "Authenticator",
            "metadata": {"name": "ocir-release"},
            "spec": {"oracle": spec},
        }
        return Authenticator.model_validate(document)

    def check(self, *keys: dict[str, Any], **fields: Any) -> OracleCheck:
        """Return the check of that object."""
        check = build_check(self.authenticator(*keys, **fields), StandaloneKeys({}))
        assert isinstance(check, OracleCheck)
        return check

    def image(self, text: str = IMAGE, digest: Digest = DIGEST) -> Image:
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

    def sign(self, key: PrivateKey = KEY, record: Mapping[str, Any] | None = None, **message: Any) -> dict[str, Any]:
        """Store a signature of the image; `record` changes members of the record, `message` those of the message."""
        return self.server.sign(message_of(DIGEST, REPOSITORY, **message), key, **(record or {}))

    def verify(self, check: OracleCheck | None = None, image: Image | None = None) -> Verified:
        return (check or self.check()).verify(image or self.image(), self.sources())

    def refuses(
        self, reason: Reason, check: OracleCheck | None = None, image: Image | None = None
    ) -> VerificationError:
        """Require that the image is refused for that reason."""
        with pytest.raises(VerificationError) as caught:
            self.verify(check, image)
        assert caught.value.reason is reason, caught.value.message
        return caught.value

    def unavailable(self, check: OracleCheck | None = None) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            self.verify(check)
        return caught.value
