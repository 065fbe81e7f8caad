"""The image signature service with records of one image, and `oracle` authenticators to verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.formats.oracle.verify import OracleCheck
from sealgate.references import Digest
from tests.support.environments.stores import StoreEnvironment
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, OCIRSimulator, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.signers.private_keys import PrivateKey

IMAGE = "phx.ocir.io/ansh81vru1zp/project01/acme-web-app:v2.0.test"
REPOSITORY = "project01/acme-web-app"
DIGEST = Digest("sha256:" + "4a" * 32)
OTHER_DIGEST = Digest("sha256:" + "5b" * 32)
KEY = new_key("RSA 2048", "oracle")
STRANGER = new_key("RSA 2048", "oracle-stranger")


def trusted(key: PrivateKey = KEY, *versions: str, key_id: str = KEY_ID, **fields: Any) -> dict[str, Any]:
    """Return an entry of `trustedKeys`."""
    return {"keyId": key_id, "keyVersionIds": list(versions), "pem": public_pem(key), **fields}


class OracleEnvironment(StoreEnvironment[OCIRSimulator]):
    """The service; see `StoreEnvironment`."""

    def __init__(self, **server: Any) -> None:
        super().__init__(OCIRSimulator(**server), "oracle", "ocir-release", IMAGE, DIGEST)

    def spec(self, *keys: dict[str, Any]) -> dict[str, Any]:
        """See `StoreEnvironment.spec`."""
        store = {"region": REGION, "endpoint": self.server.url, "compartmentId": COMPARTMENT}
        return {**store, "trustedKeys": list(keys) or [trusted()]}

    def check(self, *keys: dict[str, Any], **fields: Any) -> OracleCheck:
        """Return the check of that object."""
        check = super().check(*keys, **fields)
        assert isinstance(check, OracleCheck)
        return check

    def sign(self, key: PrivateKey = KEY, record: Mapping[str, Any] | None = None, **message: Any) -> dict[str, Any]:
        """Store a signature of the image; `record` changes members of the record, `message` those of the message."""
        return self.server.sign(message_of(DIGEST, REPOSITORY, **message), key, **(record or {}))
