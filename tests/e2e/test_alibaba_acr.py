"""Alibaba Cloud ACR and KMS: attestations as kritis writes them, by a key in the authenticator and by one in KMS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import condition, eventually, get
from tests.e2e.servers import ca_of, secrets, serve
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.grafeas import GrafeasSimulator, payload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team
    from tests.support.signers.private_keys import PrivateKey

SIGNED, TESTED = "projects/prod/notes/acr-signed", "projects/prod/notes/acr-tested"
#: Key IDs by note: the first key is in KMS, the second inline in the authenticator.
IDS = {SIGNED: "key-hzz630494463ejqjx0000", TESTED: "key-hzz630494463ejqjx0001"}
INLINE = new_key("RSA 2048", "acr-tested")
UNTRUSTED_KEY = new_key("RSA 2048", "acr-untrusted")
PSS = "RSA_PSS_SHA_256"
TOKEN = "grafeas-very-secret"  # noqa: S105 - of a server that lives as long as these tests


@dataclass(frozen=True, slots=True)
class ACR:
    """Images in a registry, their Grafeas server, KMS, and a namespace that requires attestations by two notes.

    Attributes:
        grafeas: the simulator of the server.
        kms: the simulator of KMS.
        team: the namespace.
        images: by their tags.
    """

    grafeas: GrafeasSimulator
    kms: AlibabaKMSSimulator
    team: Team
    images: dict[str, Image]

    def attest(self, image: Image, note: str, key: PrivateKey | None = None, **what: str) -> None:
        """Attest an image; `what` replaces digest, repository or algorithm."""
        payload = payload_of(what.get("digest", image.digest), what.get("repository", image.name))
        signer = key or self.key(note)
        algorithm = what.get("algorithm", PSS)
        uri = f"https://{image.by_digest}"
        self.grafeas.attest(uri, payload, signer, algorithm, key_id=IDS[note], noteName=note)

    def key(self, note: str) -> PrivateKey:
        """Return the private key of a note."""
        if note == TESTED:
            return INLINE
        (key,) = self.kms.keys[IDS[SIGNED]].versions.values()
        return key  # type: ignore[return-value]  # an RSA key, as it was asked for

    def spec(self, note: str, credentials: str = "e2e-grafeas") -> Object:
        """Return the spec of an Authenticator for a note."""
        source: Object = {"pem": public_pem(INLINE)}
        if note == SIGNED:
            named = {"region": "cn-hongkong", "keyId": IDS[note], "credentialsSecret": {"name": "e2e-ram"}}
            source = {"kms": {"alibaba": {**named, "endpoint": self.kms.url, "ca": ca_of(self.kms)}}}
        return {
            "grafeas": {
                "server": self.grafeas.url,
                "ca": ca_of(self.grafeas),
                "note": note,
                "credentialsSecret": {"name": credentials},
                "keys": [{"id": IDS[note], **source, "algorithm": PSS}],
            }
        }


@pytest.fixture(scope="module")
def acr(image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]) -> Iterator[ACR]:
    """Start the servers, attest the images and wait until the policy is in force."""
    token = {"token": TOKEN.encode()}
    with (
        serve(GrafeasSimulator, "grafeas.test") as grafeas,
        serve(AlibabaKMSSimulator, "alibaba-kms.test") as kms,
        secrets(e2e_grafeas=token, e2e_unlisted=token, e2e_ram=kms.secret),
    ):
        grafeas.token = TOKEN
        kms.add(IDS[SIGNED], "RSA_2048", "version-1")
        tags = ("both", "none", "signed", "tested", "digest", "repository", "untrusted", "padding")
        images = {tag: image_builder.push(f"{repository}/acr:{tag}", tag) for tag in tags}
        acr = ACR(grafeas, kms, new_module_team(), images)
        for tag in ("both", "tested"):
            acr.attest(images[tag], TESTED)
        for tag in set(tags) - {"none", "tested"}:
            acr.attest(images[tag], SIGNED)
        acr.attest(images["digest"], TESTED, digest=images["both"].digest)
        acr.attest(images["repository"], TESTED, repository=f"{repository}/other")
        acr.attest(images["untrusted"], TESTED, UNTRUSTED_KEY)
        acr.attest(images["padding"], TESTED, algorithm="RSA_PKCS1_SHA_256")
        acr.team.require(acr.spec(TESTED), acr.spec(SIGNED))
        for name in acr.team.authenticators:
            eventually(lambda name=name: _ready(name), "the authenticator is Ready")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        acr.team.wait_for_decision(images["both"].tagged, admitted=True)
        acr.team.wait_for_decision(images["none"].tagged, admitted=False)
        yield acr


def _ready(name: str) -> bool:
    return bool(condition("authenticator", name).get("status") == "True")


def test_image_with_both_attestations_runs(acr: ACR) -> None:
    acr.team.expect_running(acr.images["both"])
    (key,) = get("authenticator", acr.team.authenticators[1])["status"]["keys"]
    assert (key["state"], key["algorithm"], key["keyVersion"]) == ("Accepted", PSS, "version-1")
    assert key["source"] == f"kms alibaba cn-hongkong/{IDS[SIGNED]} at {acr.kms.url}"


def test_image_without_attestation_is_denied(acr: ACR) -> None:
    acr.team.expect_denied(acr.images["none"].tagged, "NoSignature", "(0 of 2 met)", "there is no attestation of")


@pytest.mark.parametrize(("tag", "missing"), [("signed", TESTED), ("tested", SIGNED)])
def test_image_with_one_of_two_attestations_is_denied(acr: ACR, tag: str, missing: str) -> None:
    acr.team.expect_denied(acr.images[tag].tagged, "NoSignature", "(1 of 2 met)", missing)


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("digest", "DigestMismatch"),
        ("repository", "RepositoryMismatch"),
        ("untrusted", "InvalidSignature"),
        ("padding", "InvalidSignature"),
    ],
)
def test_attestation_that_does_not_match_is_denied(acr: ACR, tag: str, reason: str) -> None:
    acr.team.expect_denied(acr.images[tag].tagged, reason, "(1 of 2 met)")


def test_unlisted_secret_is_sent_to_no_store(acr: ACR, new_team: Callable[[], Team]) -> None:
    team = new_team()
    team.require(acr.spec(TESTED, "e2e-unlisted"))
    team.wait_for_decision(acr.images["both"].tagged, admitted=False)
    acr.grafeas.requests.clear()
    said = team.expect_denied(acr.images["both"].tagged, "AuthenticatorNotReady", "list it in webhook.serviceSecrets")
    assert TOKEN not in said
    assert acr.grafeas.requests == []
