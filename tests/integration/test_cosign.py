"""The real cosign signs into the real docker-registry; sealgate verifies what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.attestations import PREDICATE_TYPES
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import VerificationError
from sealgate.formats.interface import Image, Sources
from sealgate.http.settings import HostSettings
from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST
from tests.data.cosign import generate
from tests.support.builders.cosign_layouts import DEMO, RECORDED, entries, load_layout
from tests.support.environments.cosign import PATIENCE, cosign_check
from tests.support.real_tools.cosign import Cosign
from tests.support.real_tools.docker_registry import DockerRegistry
from tests.support.signers.cosign import BUNDLE_TYPE, BundleOf, Classic, push_bundle, push_classic
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.references import Digest

pytestmark = pytest.mark.real

#: The keys, by the names that files have. That cosign makes and imports such keys is what its fixtures show.
KINDS = {
    "p256": "ECDSA P-256",
    "p384": "ECDSA P-384",
    "p521": "ECDSA P-521",
    "rsa2048": "RSA 2048",
    "ed25519": "Ed25519",
}


@dataclass
class Workshop:
    """A registry, cosign with a key of each kind, and a client.

    Attributes:
        registry: docker-registry.
        cosign: with the keys in `keys`, by kind, and one called `stranger`.
        keys: key entries as policies have them.
        client: sealgate's.
        home: cosign's folder.
    """

    registry: DockerRegistry
    cosign: Cosign
    keys: dict[str, dict[str, Any]]
    client: RegistryClient
    home: Path

    def push(self, repository: str) -> str:
        """Push an image and return its reference by digest."""
        return f"{self.registry.host}/{repository}@{generate.push_image(self.registry, repository, '1')}"

    def verify(self, image: str, *kinds: str, **fields: Any) -> Verified:
        """Verify an image with those keys."""
        return self.ask(image, *(self.keys[kind] for kind in kinds), **fields)

    def ask(self, image: str, *entries: dict[str, Any], **fields: Any) -> Verified:
        """Verify an image with those key entries."""
        clock = SystemClock()
        deadline = Deadline.after(clock, PATIENCE)
        session = self.client.session(NoCredentials(), deadline)
        sources = Sources(session, self.client.services(deadline), clock, deadline)
        reference = parse_reference(image)
        assert reference.digest is not None
        return cosign_check(*entries, **fields).verify(Image(reference, reference.digest), sources)

    def reason(self, image: str, *kinds: str, **fields: Any) -> Reason:
        """Return why an image is refused."""
        with pytest.raises(VerificationError) as caught:
            self.verify(image, *kinds, **fields)
        return caught.value.reason


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    home = tmp_path_factory.mktemp("cosign")
    cosign = Cosign(home)
    keys: dict[str, dict[str, Any]] = {name: {"pem": cosign.add_key(name, kind)} for name, kind in KINDS.items()}
    keys["ed25519"]["algorithm"] = "ED25519_PH"
    keys["stranger"] = {"pem": cosign.add_key("stranger")}
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as registry:
        client = RegistryClient(HostSettings(insecure=frozenset({registry.host})))
        with client:
            yield Workshop(registry, cosign, keys, client, home)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_what_cosign_signs_verifies(workshop: Workshop, layout: str, kind: str) -> None:
    image = workshop.push(f"made/{layout}-{kind}")
    assert workshop.reason(image, kind) is Reason.NO_SIGNATURE
    workshop.cosign.sign(image, kind, bundle=layout == "bundle")
    assert workshop.verify(image, kind).fingerprints == (load_public_key(workshop.keys[kind]["pem"]).fingerprint,)
    assert workshop.reason(image, "stranger") in (Reason.INVALID_SIGNATURE, Reason.UNKNOWN_KEY)


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_annotations_and_several_keys(workshop: Workshop, layout: str) -> None:
    image = workshop.push(f"annotated/{layout}")
    workshop.cosign.sign(image, "p256", "-a", "env=prod", bundle=layout == "bundle")
    workshop.cosign.sign(image, "p384", "-a", "env=dev", bundle=layout == "bundle")
    assert len(workshop.verify(image, "p256", "p384").fingerprints) == 2
    found = workshop.verify(image, "p256", "p384", annotations={"env": "prod"})
    assert found.fingerprints == (load_public_key(workshop.keys["p256"]["pem"]).fingerprint,)
    assert workshop.reason(image, "p256", annotations={"env": "pro"}) is Reason.ANNOTATION_MISMATCH


def test_a_referrer_in_the_classic_layout(workshop: Workshop) -> None:
    image = workshop.push("referrer/classic")
    workshop.cosign.sign_as_referrer(image, "p256")
    workshop.verify(image, "p256")


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_a_signature_repository_as_cosign_writes_it(workshop: Workshop, layout: str) -> None:
    image, repository = workshop.push(f"apart/{layout}"), f"{workshop.registry.host}/signatures/{layout}"
    workshop.cosign.sign(image, "p256", bundle=layout == "bundle", environment={"COSIGN_REPOSITORY": repository})
    workshop.verify(image, "p256", signatureRepository=repository)
    assert workshop.reason(image, "p256") is Reason.NO_SIGNATURE


def test_the_repository_that_cosign_writes_matches(workshop: Workshop) -> None:
    image = workshop.push("match/mine")
    workshop.cosign.sign(image, "p256", bundle=False)
    workshop.verify(image, "p256", matchRepository=True)


def test_an_attestation_is_no_signature(workshop: Workshop) -> None:
    image = workshop.push("attested/only")
    workshop.cosign.attest(image, "p256", "slsaprovenance1")
    assert workshop.reason(image, "p256") is Reason.TYPE_MISMATCH
    workshop.cosign.sign(image, "p256", bundle=True)
    workshop.verify(image, "p256")


#: A predicate for each type that cosign makes, and a condition that it meets.
SCANNED = "2026-01-01T00:00:00Z"
PREDICATES: dict[str, tuple[Any, str]] = {
    "slsaprovenance": ({"builder": {"id": "b"}, "buildType": "t"}, "predicate.builder.id == 'b'"),
    "slsaprovenance1": ({"buildDefinition": {"buildType": "t"}}, "has(predicate.buildDefinition)"),
    "spdxjson": ({"spdxVersion": "SPDX-2.3"}, "predicate.spdxVersion == 'SPDX-2.3'"),
    "cyclonedx": ({"bomFormat": "CycloneDX"}, "predicate.bomFormat == 'CycloneDX'"),
    "vuln": (
        {"scanner": {"uri": "s"}, "metadata": {"scanStartedOn": SCANNED, "scanFinishedOn": SCANNED}},
        f"timestamp(predicate.metadata.scanFinishedOn) == timestamp('{SCANNED}')",
    ),
    "openvex": ({"statements": []}, "size(predicate.statements) == 0"),
    "custom": ({"a": 1}, "predicate.Data.contains('a')"),
    "https://example.org/review/v1": ({"approved": True}, "predicate.approved"),
}


@pytest.mark.parametrize(
    ("layout", "names"),
    [("classic", tuple(PREDICATES)), ("bundle", ("slsaprovenance", "https://example.org/review/v1"))],
    ids=["classic", "bundle"],
)
def test_what_cosign_attests_meets_conditions(workshop: Workshop, layout: str, names: tuple[str, ...]) -> None:
    image = workshop.push(f"attested/{layout}")
    required = []
    for name in names:
        predicate, condition = PREDICATES[name]
        workshop.cosign.attest(image, "p256", name, predicate, bundle=layout == "bundle")
        required.append({"predicateType": PREDICATE_TYPES.get(name, name), "conditions": [condition]})
    workshop.verify(image, "p256", attestations=required, signatures="NotRequired", matchRepository=True)
    wrong = [{**required[0], "conditions": ["predicate.builder.id == 'c'"]}]
    assert workshop.reason(image, "p256", attestations=wrong, signatures="NotRequired") is Reason.PREDICATE_MISMATCH
    assert workshop.reason(image, "stranger", attestations=required, signatures="NotRequired") in {
        Reason.INVALID_SIGNATURE,
        Reason.UNKNOWN_KEY,
    }


@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_signing_every_platform_signs_every_platform(workshop: Workshop, layout: str) -> None:
    repository = f"platforms/{layout}"
    index = generate.push_index(workshop.registry, repository)
    image = f"{workshop.registry.host}/{repository}@{index}"
    workshop.cosign.sign(image, "p256", "--recursive", bundle=layout == "bundle")
    workshop.verify(image, "p256")
    digest = generate.push_image(workshop.registry, repository, "amd64", "amd64")
    workshop.verify(f"{workshop.registry.host}/{repository}@{digest}", "p256")


@pytest.mark.parametrize("kind", ["ECDSA P-256", "RSA 2048"])
@pytest.mark.parametrize("layout", ["classic", "bundle"])
def test_cosign_verifies_what_the_tests_sign(workshop: Workshop, layout: str, kind: str) -> None:
    image = workshop.push(f"ours/{layout}-{kind[:3].lower()}")
    repository, _, digest = image.removeprefix(f"{workshop.registry.host}/").partition("@")
    key = new_key(kind)
    (workshop.home / "ours.pub").write_text(public_pem(key))
    if layout == "classic":
        push_classic(workshop.registry, repository, Classic(digest, key, optional={"env": "prod"}))
    else:
        referrer = push_bundle(workshop.registry, repository, BundleOf(digest, key, annotations={"env": "prod"}))
        list_referrer(workshop.registry, repository, digest, referrer)
    workshop.cosign.verify(image, "ours", "-a", "env=prod", bundle=layout == "bundle")
    workshop.ask(image, {"pem": public_pem(key)}, annotations={"env": "prod"})


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_fixtures_can_be_made_again(tmp_path: Path) -> None:
    generate.main(tmp_path)
    for layout in (DEMO, RECORDED):
        made = entries(tmp_path / layout.name)
        assert set(made) == set(entries(layout))
        # Images come out the same; signatures are by new keys.
        images = [name for name in made if not name.partition(":")[2].startswith("sha256-")]
        assert [made[name]["digest"] for name in images] == [entries(layout)[name]["digest"] for name in images]
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        path.name for path in (DEMO.parent / "keys").iterdir()
    }


def test_the_fixtures_load_into_a_real_registry(workshop: Workshop) -> None:
    load_layout(DEMO, workshop.registry)
    digest = entries(DEMO)["demo/signed:1"]["digest"]
    pem = (DEMO.parent / "keys" / "release.pub").read_text()
    workshop.ask(f"{workshop.registry.host}/demo/signed@{digest}", {"pem": pem})


def list_referrer(registry: DockerRegistry, repository: str, subject: str, referrer: Digest) -> None:
    """Write the fallback tag, as clients do where there is no referrers API."""
    size = len(registry.manifest(repository, referrer, OCI_MANIFEST)[1])
    entry = {"mediaType": OCI_MANIFEST, "digest": referrer, "size": size, "artifactType": BUNDLE_TYPE}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    registry.push_manifest(repository, subject.replace(":", "-"), encode(index), OCI_INDEX)
