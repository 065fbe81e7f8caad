"""`sealgate signatures delete` in the formats whose signatures are outside the image's repository."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import SystemClock
from sealgate.signing import deleting
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator
from tests.support.environments.notary_signing import ADMIN, PASSPHRASE, RELEASES, NotarySigning, only
from tests.support.environments.notary_signing import PATH as PATH_OF_DTR
from tests.support.signers.cosign import BundleOf, Classic, push_attestations, push_bundle, push_classic
from tests.support.signers.notation import IDENTITY, Authority, EnvelopeOf, payload_for, push_envelope
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.signers.simple_signing import Signer, payload
from tests.support.simulators.grafeas import NOTE, GrafeasSimulator, payload_of
from tests.support.simulators.lookaside import LookasideSimulator
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, OCIRSimulator, message_of
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from sealgate.references import Digest
    from tests.support.simulators.http import HTTPSimulator

PATH = "ns/team/app"
OURS, THEIRS = (new_key("RSA 2048", name) for name in ("deleted", "kept"))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "RECHECK_SECONDS", 0.0)


@dataclass(frozen=True)
class Listing:
    """An image, and one authenticator for it."""

    image: str
    policies: Path
    servers: tuple[HTTPSimulator, ...]

    def entries(self) -> list[dict[str, Any]]:
        """Return the signatures that are listed and can be deleted."""
        ran = sealgate("signatures", self.image, "-o", "json", *self.options)
        return [entry for entry in json.loads(ran.stdout)[0]["signatures"] if entry["id"]]

    def delete(self, *arguments: object) -> Result:
        return sealgate("signatures", "delete", self.image, *arguments, "--yes", *self.options)

    @property
    def options(self) -> list[object]:
        """The options that every command about the image takes."""
        insecure = [part for server in self.servers for part in ("--insecure-registry", server.host)]
        return ["--policies", self.policies, *insecure]


def listing(folder: Path, image: str, spec: dict[str, Any], *servers: HTTPSimulator) -> Listing:
    return Listing(image, write(folder / "policies.yaml", authenticator("qa", spec=spec)), servers)


# Notation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("referrers_api", [True, False], ids=["referrers API", "fallback tag"])
def test_notation_signatures_are_listed_and_deleted_alone(tmp_path: Path, referrers_api: bool) -> None:  # noqa: FBT001
    with RegistrySimulator(referrers_api=referrers_api) as registry:
        digest = registry.push_image(PATH, "1.0")
        body = registry.manifest(PATH, digest)[1]
        ours, stranger = Authority("root"), Authority("stranger")
        for authority, metadata in ((ours, {"env": "prod"}), (ours, {}), (stranger, {})):
            key, chain = authority.issue()
            envelope = EnvelopeOf(key, chain, payload_for(body, digest, annotations=metadata))
            push_envelope(registry, PATH, digest, envelope.jws())
        push_envelope(registry, PATH, digest, b"{}")
        spec = {"notation": {"trustStores": {"ca": [{"pem": ours.pem}]}, "trustedIdentities": [IDENTITY]}}
        image = listing(tmp_path, f"{registry.host}/{PATH}:1.0", spec, registry)
        entries = image.entries()
        assert sorted(entry["reason"] for entry in entries) == ["MalformedEvidence", "UnknownKey", *["Verified"] * 2]
        assert {entry["format"] for entry in entries} == {"notation"}
        (first, second) = (entry for entry in entries if entry["outcome"] == "verified")
        assert sorted([first["metadata"], second["metadata"]], key=len) == [{}, {"env": "prod"}]
        assert (first["statedKey"], first["algorithm"]) == (first["keyFingerprint"], "ES256")
        assert "CN=" in first["description"]
        ran = image.delete("--key", first["keyFingerprint"])
        assert ran.exit_code == 0, ran.output
        assert [entry["id"] for entry in image.entries()] == [
            entry["id"] for entry in entries if entry["id"] != first["id"]
        ]
        (malformed,) = (entry for entry in entries if entry["reason"] == "MalformedEvidence")
        assert image.delete("--id", malformed["id"][:12]).exit_code == 0
        assert len(registry.referrers(PATH, digest)) == 2


# Attestations ---------------------------------------------------------------------------------------------------


def test_attestations_are_listed_and_deleted_by_id_alone(registry: RegistrySimulator, tmp_path: Path) -> None:
    digest = registry.push_image(PATH, "1.0")
    other = registry.push_image(PATH, "1.1", content=b"other")
    provenance, sbom = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"
    tagged = [
        BundleOf(digest, OURS, predicate_type=provenance),
        BundleOf(other, OURS, predicate_type=provenance),
        BundleOf(digest, THEIRS, predicate_type=sbom),
    ]
    push_attestations(registry, PATH, *tagged)
    push_bundle(registry, PATH, BundleOf(digest, OURS, predicate_type=sbom))
    spec = {"cosign": {"keys": [{"pem": public_pem(OURS)}]}}
    image = listing(tmp_path, f"{registry.host}/{PATH}:1.0", spec, registry)
    entries = image.entries()
    assert [(entry["predicateType"], entry["reason"]) for entry in entries] == [
        (provenance, "Verified"),
        (provenance, "DigestMismatch"),
        (sbom, "InvalidSignature"),
        (sbom, "Verified"),
    ]
    # An attestation makes no image a signed one, and a key's signatures are not its attestations.
    assert sealgate("signatures", image.image, *image.options).exit_code == 1
    assert image.delete("--key", fingerprint(OURS)).exit_code == 2
    push_classic(registry, PATH, Classic(digest, OURS))
    ran = image.delete("--key", fingerprint(OURS))
    assert ran.exit_code == 0, ran.output
    assert image.entries() == entries
    for kept, chosen in ((entries[1:], entries[0]), (entries[1:3], entries[3])):
        ran = image.delete("--id", chosen["id"])
        assert ran.exit_code == 0, ran.output
        assert [entry["id"] for entry in image.entries()] == [entry["id"] for entry in kept]


# Grafeas --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["v1", "v1beta1"])
def grafeas(request: pytest.FixtureRequest) -> Iterator[GrafeasSimulator]:
    with GrafeasSimulator(version=request.param) as server:
        yield server


def attested(folder: Path, registry: RegistrySimulator, server: GrafeasSimulator) -> Listing:
    """Return an image with attestations of both keys, and another one's beside them."""
    digest, other = (registry.push_image(PATH, tag, content=tag.encode()) for tag in ("1.0", "1.1"))
    name = f"{registry.host}/{PATH}"
    for key in (OURS, THEIRS):
        for about in (digest, other):
            server.attest(f"https://{name}@{about}", payload_of(about, name), key)
    keys = [{"id": fingerprint(key), "pem": public_pem(key)} for key in (OURS, THEIRS)]
    spec = {"grafeas": {"server": server.url, "apiVersion": server.version, "note": NOTE, "keys": keys}}
    return listing(folder, f"{name}:1.0", spec, registry, server)


def test_occurrence_is_deleted_alone(registry: RegistrySimulator, grafeas: GrafeasSimulator, tmp_path: Path) -> None:
    image = attested(tmp_path, registry, grafeas)
    assert len(image.entries()) == 2
    ran = image.delete("--key", fingerprint(OURS))
    assert ran.exit_code == 0, ran.output
    assert [entry["keyFingerprint"] for entry in image.entries()] == [fingerprint(THEIRS)]
    assert [occurrence["name"] for occurrence in grafeas.occurrences] == [
        f"projects/prod/occurrences/{number}" for number in (2, 3, 4)
    ]


def test_server_that_permits_no_deletion_is_named(
    registry: RegistrySimulator, grafeas: GrafeasSimulator, tmp_path: Path
) -> None:
    image = attested(tmp_path, registry, grafeas)
    grafeas.deleters = False
    ran = image.delete("--id", image.entries()[0]["id"])
    assert ran.exit_code == 3
    assert "deleting needs the right to delete occurrences" in ran.stderr
    assert len(image.entries()) == 2


@pytest.mark.parametrize(
    "name", ["projects/prod/occurrences/../../../v1/projects/x/occurrences/1", "projects/../occurrences/1", "1", "", 7]
)
def test_name_that_leads_elsewhere_is_not_asked_for(
    registry: RegistrySimulator, grafeas: GrafeasSimulator, tmp_path: Path, name: object
) -> None:
    image = attested(tmp_path, registry, grafeas)
    for occurrence in grafeas.occurrences:
        occurrence["name"] = name
    assert image.entries() == []
    assert image.delete("--key", fingerprint(OURS)).exit_code == 2
    assert not [request for request in grafeas.requests if request.method == "DELETE"]


def test_attestation_with_several_signatures_goes_as_a_whole(
    registry: RegistrySimulator, grafeas: GrafeasSimulator, tmp_path: Path
) -> None:
    image = attested(tmp_path, registry, grafeas)
    first, second = (occurrence["attestation"] for occurrence in grafeas.occurrences[::2])
    for one, other in ((first, second), (first.get("attestation", {}), second.get("attestation", {}))):
        for member in (one, one.get("genericSignedAttestation", {})):
            if "signatures" in member:
                source = other.get("genericSignedAttestation", other)
                member["signatures"] = [*member["signatures"], *source["signatures"]]
    entries = image.entries()
    assert len(entries) == 3
    ran = image.delete("--id", entries[0]["id"])
    assert ran.exit_code == 1
    assert entries[1]["id"][:12] in ran.stderr
    assert len(image.entries()) == 3


# Oracle ---------------------------------------------------------------------------------------------------------


def recorded(folder: Path, registry: RegistrySimulator, service: OCIRSimulator) -> Listing:
    """Return an image with records of both keys, and others that the service lists beside them."""
    digest, other = (registry.push_image(PATH, tag, content=tag.encode()) for tag in ("1.0", "1.1"))
    service.honours_filter = False
    for key in (OURS, THEIRS):
        service.sign(message_of(digest, "team/app"), key)
    service.sign(message_of(other, "team/app"), OURS)
    service.sign(message_of(digest, "team/other"), OURS)
    spec = {
        "region": REGION,
        "endpoint": service.url,
        "compartmentId": COMPARTMENT,
        "trustedKeys": [{"keyId": KEY_ID, "pem": public_pem(OURS)}],
    }
    return listing(folder, f"{registry.host}/{PATH}:1.0", {"oracle": spec}, registry, service)


def test_record_is_deleted_alone(registry: RegistrySimulator, tmp_path: Path) -> None:
    with OCIRSimulator() as service:
        image = recorded(tmp_path, registry, service)
        ours, theirs = image.entries()
        ran = image.delete("--key", fingerprint(OURS)[:20])
        assert ran.exit_code == 0, ran.output
        assert [entry["id"] for entry in image.entries()] == [theirs["id"]]
        assert image.delete("--id", theirs["id"], "--id", ours["id"]).exit_code == 2
        states = [record["lifecycleState"] for record in service.records]
    assert states == ["DELETED", "AVAILABLE", "AVAILABLE", "AVAILABLE"]


@pytest.mark.parametrize("ocid", ["ocid1.containersignature.oc1..a/../../images/b", "ocid1.x.y?z=1", "..", "", 7])
def test_identifier_that_leads_elsewhere_is_not_asked_for(
    registry: RegistrySimulator, tmp_path: Path, ocid: object
) -> None:
    with OCIRSimulator() as service:
        image = recorded(tmp_path, registry, service)
        for record in service.records:
            record["id"] = ocid
        assert image.entries() == []
        assert image.delete("--key", fingerprint(OURS)).exit_code == 2


def test_missing_right_names_the_policy(registry: RegistrySimulator, tmp_path: Path) -> None:
    with OCIRSimulator() as service:
        image = recorded(tmp_path, registry, service)
        service.deleters = False
        ran = image.delete("--key", fingerprint(OURS))
        assert ran.exit_code == 3
        assert f"needs a policy that allows to manage repos in {COMPARTMENT}" in ran.stderr
        assert len(image.entries()) == 2


# Simple signing -------------------------------------------------------------------------------------------------


SIGNERS = tuple(Signer() for _ in range(4))


def messages(digest: Digest, image: str) -> list[bytes]:
    return [signer.sign(payload(digest, image)) for signer in SIGNERS]


def simple(store: dict[str, Any]) -> dict[str, Any]:
    keyring = "".join(signer.public for signer in SIGNERS)
    return {"simpleSigning": {"keyring": {"inline": keyring}, "store": store}}


@pytest.mark.parametrize("chosen", [(0,), (3,), (1, 2), (0, 3), (0, 1, 2, 3)])
def test_files_of_a_folder_stay_without_a_gap(
    registry: RegistrySimulator, tmp_path: Path, chosen: tuple[int, ...]
) -> None:
    digest = registry.push_image("team/api", "1.4")
    name = f"{registry.host}/team/api:1.4"
    folder = tmp_path / "lookaside" / f"team/api@{digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    stored = messages(digest, name)
    for number, message in enumerate(stored, 1):
        (folder / f"signature-{number}").write_bytes(message)
    image = listing(tmp_path, name, simple({"lookaside": {"url": f"file://{tmp_path}/lookaside"}}), registry)
    entries = image.entries()
    ran = image.delete(*(part for index in chosen for part in ("--id", entries[index]["id"][:12])))
    assert ran.exit_code == 0, ran.output
    kept = [message for index, message in enumerate(stored) if index not in chosen]
    names = [f"signature-{number}" for number in range(1, len(kept) + 1)]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert {(folder / each).read_bytes() for each in names} == set(kept)
    assert {entry["id"] for entry in image.entries()} == {
        entry["id"] for index, entry in enumerate(entries) if index not in chosen
    }


@pytest.fixture
def server() -> Iterator[LookasideSimulator]:
    with LookasideSimulator() as server:
        yield server


def served(folder: Path, registry: RegistrySimulator, server: LookasideSimulator) -> tuple[Listing, list[bytes]]:
    digest = registry.push_image("team/api", "1.4")
    name = f"{registry.host}/team/api:1.4"
    stored = messages(digest, name)
    for number, message in enumerate(stored, 1):
        server.files[f"/sigstore/team/api@{digest.replace(':', '=')}/signature-{number}"] = message
    store = {"lookaside": {"url": f"{server.url}/sigstore"}}
    return listing(folder, name, simple(store), registry, server), stored


@pytest.mark.parametrize("chosen", [(0,), (3,), (1, 2), (0, 1, 2, 3)])
def test_files_of_a_web_server_stay_without_a_gap(
    registry: RegistrySimulator, server: LookasideSimulator, tmp_path: Path, chosen: tuple[int, ...]
) -> None:
    image, stored = served(tmp_path, registry, server)
    entries = image.entries()
    ran = image.delete(*(part for index in chosen for part in ("--id", entries[index]["id"])))
    assert ran.exit_code == 0, ran.output
    kept = [message for index, message in enumerate(stored) if index not in chosen]
    assert sorted(path.rpartition("-")[2] for path in server.files) == [str(n) for n in range(1, len(kept) + 1)]
    assert set(server.files.values()) == set(kept)


@pytest.mark.parametrize("chosen", [0, 3])
def test_web_server_without_delete_keeps_everything(
    registry: RegistrySimulator, server: LookasideSimulator, tmp_path: Path, chosen: int
) -> None:
    image, _ = served(tmp_path, registry, server)
    before = dict(server.files)
    server.deletes = False
    ran = image.delete("--id", image.entries()[chosen]["id"])
    assert ran.exit_code == 1
    assert "was not deleted (status 405): the server does not take DELETE there" in ran.stderr
    assert server.files == before


def test_web_server_gets_credentials(registry: RegistrySimulator, tmp_path: Path) -> None:
    with LookasideSimulator(auth=Auth(mode="basic", users={"robot": "s3cret"})) as server:
        image, stored = served(tmp_path, registry, server)
        chosen = image.entries()[0]["id"]
        assert image.delete("--id", chosen).exit_code == 3
        assert len(server.files) == len(stored)
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {server.host: {"username": "robot", "password": "s3cret"}}}))
        ran = image.delete("--id", chosen, "--docker-config", config)
        assert ran.exit_code == 0, ran.output
        assert len(server.files) == len(stored) - 1


def test_file_that_another_writer_adds_meanwhile_is_found(
    registry: RegistrySimulator, server: LookasideSimulator, tmp_path: Path
) -> None:
    image, stored = served(tmp_path, registry, server)
    folder = next(iter(server.files)).rpartition("-")[0]
    late = b"another writer's"

    def add(_: str) -> None:
        server.after_put = lambda _: None
        server.files[f"{folder}-{len(stored) + 1}"] = late

    server.after_put = add
    assert image.delete("--id", image.entries()[0]["id"]).exit_code == 0
    assert server.files[f"{folder}-{len(stored)}"] == late
    assert len(server.files) == len(stored)


def test_openshift_names_the_command_that_deletes(tmp_path: Path) -> None:
    with OpenShiftSimulator() as registry:
        digest = registry.push_image("team/api", "1.4")
        name = f"{registry.host}/team/api:1.4"
        for message in messages(digest, name):
            registry.sign(digest, message)
        image = listing(tmp_path, name, simple({"openshift": {}}), registry)
        entries = image.entries()
        ran = image.delete("--id", entries[1]["id"])
        assert ran.exit_code == 1
        assert f"oc delete imagesignature {registry.signatures[digest][1]['name']}" in ran.stderr
        assert image.entries() == entries


# Notary ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotarySigning]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("ROOT", "REPOSITORY"):
        monkeypatch.setenv(f"DOCKER_CONTENT_TRUST_{name}_PASSPHRASE", PASSPHRASE)
    with NotarySigning(tmp_path, clock=SystemClock()) as signing:
        yield signing


def delegated(folder: Path, signing: NotarySigning, tag: str = "1.4") -> Listing:
    """Return an image that targets/releases and targets/admin name, and an authenticator that asks both."""
    root = signing.owner.initialise()
    signing.owner.delegate((RELEASES, ADMIN), signing.alice.certificates)
    signing.sign(tag, keys=only(signing.alice))
    roles = [{"name": name, "keys": [{"pem": signing.alice.certificate_pem}]} for name in (RELEASES, ADMIN)]
    spec = {"server": signing.dtr.url, "root": {"keyId": root.canonical_id}, "roles": roles}
    return listing(folder, f"{signing.gun}:{tag}", {"notary": spec}, signing.dtr)


def test_tag_is_taken_away_from_the_role_that_is_chosen(tmp_path: Path, signing: NotarySigning) -> None:
    image = delegated(tmp_path, signing)
    signing.directory.add(only(signing.alice).key, "alice")
    by_role = {entry["metadata"]["role"]: entry["id"] for entry in image.entries()}
    assert set(by_role) == {RELEASES, ADMIN}
    ran = image.delete("--id", by_role[ADMIN])
    assert ran.exit_code == 0, ran.output
    assert (set(signing.tags(RELEASES)), set(signing.tags(ADMIN))) == ({"1.4"}, set())
    assert [entry["id"] for entry in image.entries()] == [by_role[RELEASES]]


def test_every_role_of_a_key_loses_the_tag_and_no_other(tmp_path: Path, signing: NotarySigning) -> None:
    image = delegated(tmp_path, signing)
    signing.sign("1.5", keys=only(signing.alice), digest=signing.other)
    signing.directory.add(only(signing.alice).key, "alice")
    ran = image.delete("--key", image.entries()[0]["keyFingerprint"])
    assert ran.exit_code == 0, ran.output
    assert (set(signing.tags(RELEASES)), set(signing.tags(ADMIN))) == ({"1.5"}, {"1.5"})


def test_missing_key_of_a_role_names_the_command(tmp_path: Path, signing: NotarySigning) -> None:
    image = delegated(tmp_path, signing)
    before = image.entries()
    ran = image.delete("--id", before[0]["id"])
    assert ran.exit_code == 1
    assert f"there is no valid signing key for {RELEASES}" in ran.stderr
    command = f"sealgate notary remove {signing.gun}:1.4 --role {RELEASES} --server {signing.dtr.url} --trust-dir DIR"
    assert command in ran.stderr
    assert image.entries() == before


def test_tag_that_names_another_image_is_not_taken_away(tmp_path: Path, signing: NotarySigning) -> None:
    image = delegated(tmp_path, signing)
    signing.directory.add(only(signing.alice).key, "alice")
    signing.dtr.tag(PATH_OF_DTR, "1.4", signing.other)
    assert image.entries() == []
    assert image.delete("--key", only(signing.alice).key.public.fingerprint).exit_code == 2
    assert set(signing.tags(RELEASES)) == {"1.4"}


def test_role_with_two_signers_goes_as_a_whole(tmp_path: Path, signing: NotarySigning) -> None:
    image = delegated(tmp_path, signing)
    signing.owner.delegate((ADMIN,), signing.bob.certificates)
    for signer in (signing.alice, signing.bob):
        signing.directory.add(only(signer).key, "anyone")
    signing.sign("1.4", digest=signing.other, roles=(ADMIN,))
    signing.sign("1.4", roles=(ADMIN,))
    of_admin = [entry for entry in image.entries() if entry["metadata"]["role"] == ADMIN]
    assert len(of_admin) == 2
    assert image.delete("--id", of_admin[0]["id"]).exit_code == 1
    ran = image.delete(*(part for entry in of_admin for part in ("--id", entry["id"])))
    assert ran.exit_code == 0, ran.output
    assert set(signing.tags(ADMIN)) == set()
