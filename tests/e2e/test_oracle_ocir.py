"""Oracle Cloud's OCIR and Vault: signature records and keys from simulators over TLS that check every API key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import condition, eventually, get
from tests.e2e.objects import pod
from tests.e2e.servers import ca_of, secrets, serve
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.ocir import COMPARTMENT, REGION, APIKey, OCIRSimulator, foreign_api_key, message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team
    from tests.support.signers.private_keys import PrivateKey

INLINE, IN_VAULT = "ocid1.key.oc1.phx.inline.abyh", "ocid1.key.oc1.phx.vault.abyh"
VERSIONS = {INLINE: "ocid1.keyversion.oc1.phx.inline.acy6", IN_VAULT: "ocid1.keyversion.oc1.phx.vault.acy6"}
KEYS = {key_id: new_key("RSA 2048", version) for key_id, version in VERSIONS.items()}
UNTRUSTED_KEY = new_key("RSA 2048", "ocir untrusted")
PROJECT = "project01/acme-web-app"


@dataclass(frozen=True, slots=True)
class OCIR:
    """Images in a registry, the service with their records, a vault, and a namespace that requires a signature.

    Attributes:
        service: the simulator of the signature records.
        vault: the simulator of the vault.
        team: the namespace.
        images: by their tags.
    """

    service: OCIRSimulator
    vault: OCIVaultSimulator
    team: Team
    images: dict[str, Image]

    def sign(self, image: Image, key_id: str, key: PrivateKey | None = None, **record: Any) -> None:
        """Store a record of an image."""
        named = {"kmsKeyId": key_id, "kmsKeyVersionId": VERSIONS[key_id]}
        self.service.sign(message_of(image.digest, PROJECT, **named), key or KEYS[key_id], **record)

    def spec(self, credentials: str) -> Object:
        """Return the spec of an Authenticator."""
        vault = {
            "keyId": IN_VAULT,
            "endpoint": self.vault.url,
            "ca": ca_of(self.vault),
            "credentialsSecret": {"name": "e2e-vault"},
        }
        return {
            "oracle": {
                "region": REGION,
                "endpoint": self.service.url,
                "ca": ca_of(self.service),
                "compartmentId": COMPARTMENT,
                "credentialsSecret": {"name": credentials},
                "trustedKeys": [
                    {"keyId": INLINE, "keyVersionIds": [VERSIONS[INLINE]], "pem": public_pem(KEYS[INLINE])},
                    {"keyId": IN_VAULT, "kms": {"oracle": vault}},
                ],
            }
        }

    def key(self) -> Any:
        """Return the status of the key in the vault."""
        (found,) = get("authenticator", self.team.name)["status"]["keys"]
        return found


@pytest.fixture(scope="module")
def ocir(image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]) -> Iterator[OCIR]:
    """Start the services, sign the images and wait until the policy is in force."""
    api_key = APIKey()
    with (
        serve(OCIRSimulator, "ocir.test", api_key=api_key) as service,
        serve(OCIVaultSimulator, "vault.test") as vault,
        secrets(e2e_ocir=api_key.secret, e2e_ocir_wrong=foreign_api_key().secret, e2e_vault=vault.secret),
    ):
        vault.add(IN_VAULT, "RSA 2048", VERSIONS[IN_VAULT])
        tags = ("inline", "vault", "unsigned", "deleted", "untrusted", "moved")
        # The registry's first folder stands for the tenancy's namespace, which signatures do not contain.
        images = {tag: image_builder.push(f"{repository}/{PROJECT}:{tag}", tag) for tag in tags}
        ocir = OCIR(service, vault, new_module_team(), images)
        ocir.sign(images["inline"], INLINE)
        ocir.sign(images["vault"], IN_VAULT)
        ocir.sign(images["deleted"], INLINE, lifecycleState="DELETED")
        ocir.sign(images["untrusted"], INLINE, UNTRUSTED_KEY)
        ocir.team.require(ocir.spec("e2e-ocir"))
        eventually(
            lambda: condition("authenticator", ocir.team.name).get("status") == "True", "the authenticator is Ready"
        )
        ocir.team.wait_for_decision(images["vault"].tagged, admitted=True)
        ocir.team.wait_for_decision(images["unsigned"].tagged, admitted=False)
        yield ocir


def test_images_signed_with_inline_or_vault_key_run(ocir: OCIR) -> None:
    ocir.team.expect_running(ocir.images["inline"], ocir.images["vault"])
    assert (ocir.key()["state"], ocir.key()["keyVersion"]) == ("Accepted", VERSIONS[IN_VAULT])
    assert ocir.key()["source"] == f"kms oracle {IN_VAULT} at {ocir.vault.url}"


def test_image_without_record_is_denied(ocir: OCIR) -> None:
    ocir.team.expect_denied(ocir.images["unsigned"].tagged, "NoSignature")


def test_deleted_record_is_not_accepted(ocir: OCIR) -> None:
    ocir.team.expect_denied(ocir.images["deleted"].tagged, "Revoked")


def test_record_with_signature_of_another_key_is_denied(ocir: OCIR) -> None:
    ocir.team.expect_denied(ocir.images["untrusted"].tagged, "InvalidSignature")


def test_record_of_another_image_is_denied(ocir: OCIR) -> None:
    ocir.service.honours_filter = False
    try:
        ocir.team.expect_denied(ocir.images["moved"].tagged, "DigestMismatch")
    finally:
        ocir.service.honours_filter = True


def test_wrong_api_key_denies_images(ocir: OCIR, new_team: Callable[[], Team]) -> None:
    team = new_team()
    team.require(ocir.spec("e2e-ocir-wrong"))
    eventually(
        lambda: condition("authenticator", team.name).get("status") == "True", "the authenticator is Ready nevertheless"
    )
    team.wait_for_decision(ocir.images["inline"].tagged, admitted=False)
    team.expect_denied(ocir.images["inline"].tagged, "RegistryUnauthorized", "ocir.test")


def test_disabled_vault_key_is_dropped(ocir: OCIR) -> None:
    ocir.vault.keys[IN_VAULT].state = "DISABLED"
    eventually(lambda: ocir.key()["state"] == "Refused", "the status says so")
    assert ocir.key()["reason"] == "Disabled"
    ocir.team.wait_for_decision(ocir.images["vault"].tagged, admitted=False)
    ocir.team.expect_denied(ocir.images["vault"].tagged, "UnknownKey")
    ocir.team.create(pod("other", ocir.images["inline"].tagged), dry_run=True).checked()
