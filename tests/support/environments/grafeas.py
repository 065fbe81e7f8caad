"""A Grafeas server with attestations of one image, and `grafeas` authenticators to verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.formats.grafeas.verify import GrafeasCheck
from sealgate.references import Digest
from tests.support.environments.stores import StoreEnvironment
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.simulators.grafeas import NOTE, GrafeasSimulator, payload_of

if TYPE_CHECKING:
    from tests.support.signers.private_keys import PrivateKey
    from tests.support.signers.simple_signing import Signer

REPOSITORY = "demo-registry.example.org/ns/app"
DIGEST = Digest("sha256:" + "4a" * 32)
OTHER_DIGEST = Digest("sha256:" + "5b" * 32)
KEY = new_key("ECDSA P-256", "grafeas")
STRANGER = new_key("ECDSA P-256", "grafeas-stranger")


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


class GrafeasEnvironment(StoreEnvironment[GrafeasSimulator]):
    """A Grafeas server; see `StoreEnvironment`."""

    def __init__(self, version: str = "v1", **server: Any) -> None:
        super().__init__(GrafeasSimulator(version=version, **server), "grafeas", "acr-qa", f"{REPOSITORY}:1.4", DIGEST)

    def spec(self, *keys: dict[str, Any]) -> dict[str, Any]:
        """See `StoreEnvironment.spec`."""
        store = {"server": self.server.url, "apiVersion": self.server.version, "note": NOTE}
        return {**store, "keys": list(keys) or [key_entry(KEY)]}

    def check(self, *keys: dict[str, Any], **fields: Any) -> GrafeasCheck:
        """Return the check of that object."""
        check = super().check(*keys, **fields)
        assert isinstance(check, GrafeasCheck)
        return check

    def attest(self, key: PrivateKey = KEY, payload: bytes | None = None, **members: Any) -> dict[str, Any]:
        """Store an attestation of the image; `members` as in `GrafeasSimulator.attest`."""
        signed = payload_of(DIGEST, REPOSITORY) if payload is None else payload
        return self.server.attest(members.pop("uri", uri()), signed, key, **members)
