"""Signatures of the Notary Project: admitted, and denied with one wrong thing each; the CA comes from a Secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE, COSE_TYPE, JWS_TYPE
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.e2e import release
from tests.e2e.images import PlainRegistry
from tests.e2e.kube import condition, eventually
from tests.e2e.servers import secrets
from tests.support.signers.notation import IDENTITY, YEAR, Authority, EnvelopeOf, payload_for, push_envelope
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.images import Image, ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Notation:
    """Images, and a namespace that requires a signature by the CA's signer.

    Attributes:
        team: the namespace.
        images: by their tags.
    """

    team: Team
    images: dict[str, Image]


class Signers:
    """A CA with its signers, and a registry that has their signatures."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.registry = PlainRegistry(release.REGISTRY)
        self.authority = Authority("root", now - DAY, YEAR)
        self.key, self.chain = self.authority.issue()

    def sign(self, image: Image, kind: str = JWS_TYPE, **members: Any) -> None:
        """Store a signature of an image, and list it under the fallback tag, which this registry needs."""
        payload = payload_for(self.registry.manifest(image), image.digest)
        good = {"key": self.key, "chain": self.chain, "payload": payload, "time": self.now}
        envelope = EnvelopeOf(**{**good, **members}).of(kind)
        digest = push_envelope(self.registry, image.path, image.digest, envelope, kind)
        entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "artifactType": ARTIFACT_TYPE}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        self.registry.push_manifest(image.path, image.digest.replace(":", "-"), encode(index), OCI_INDEX)

    def revoke(self, certificate: x509.Certificate) -> str:
        """Return a revocation list with a certificate."""
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(self.now)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.authority.certificate.subject)
        builder = builder.last_update(self.now - DAY).next_update(self.now + DAY).add_revoked_certificate(entry.build())
        return builder.sign(self.authority.key, SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="module")
def notation(image_builder: ImageBuilder, repository: str, new_module_team: Callable[[], Team]) -> Iterator[Notation]:
    """Sign the images and wait until the policy is in force."""
    signers = Signers(datetime.now(UTC).replace(microsecond=0))
    tags = ("jws", "cose", "unsigned", "chain", "identity", "expired", "revoked")
    images = {tag: image_builder.push(f"{repository}/notation:{tag}", tag) for tag in tags}
    signers.sign(images["jws"])
    signers.sign(images["cose"], COSE_TYPE)
    stranger, chain = Authority("root", signers.now - DAY, YEAR).issue()
    signers.sign(images["chain"], key=stranger, chain=chain)
    other, chain = signers.authority.issue(subject={"C": "US", "ST": "WA", "O": "other"})
    signers.sign(images["identity"], key=other, chain=chain)
    signers.sign(images["expired"], expiry=signers.now - timedelta(hours=1))
    revoked, chain = signers.authority.issue()
    signers.sign(images["revoked"], key=revoked, chain=chain)
    spec: Object = {
        "trustStores": {"ca": [{"secretRef": {"name": "e2e-notation", "key": "ca.pem"}}]},
        "trustedIdentities": [IDENTITY],
        "revocation": {"lists": [{"pem": signers.revoke(chain[0])}]},
    }
    with secrets(e2e_notation={"ca.pem": signers.authority.pem.encode()}):
        notation = Notation(new_module_team(), images)
        notation.team.require({"notation": spec})
        ready = lambda: condition("authenticator", notation.team.name).get("status") == "True"  # noqa: E731
        eventually(ready, "the authenticator is Ready")
        notation.team.wait_for_decision(images["jws"].tagged, admitted=True)
        notation.team.wait_for_decision(images["unsigned"].tagged, admitted=False)
        yield notation


def test_signed_images_run(notation: Notation) -> None:
    notation.team.expect_running(notation.images["jws"], notation.images["cose"])


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("unsigned", "NoSignature"),
        ("chain", "UnknownKey"),
        ("identity", "IdentityMismatch"),
        ("expired", "Expired"),
        ("revoked", "Revoked"),
    ],
)
def test_image_with_one_wrong_thing_is_denied(notation: Notation, tag: str, reason: str) -> None:
    notation.team.expect_denied(notation.images[tag].tagged, reason)
