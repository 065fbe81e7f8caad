"""`sealgate signatures` in the formats whose signatures are outside the image's repository, or records of a service."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator
from tests.support.signers.notary import certified
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.signers.simple_signing import Signer, payload
from tests.support.simulators.grafeas import NOTE, GrafeasSimulator, payload_of
from tests.support.simulators.notary import NotaryRepository, NotarySimulator
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, VERSION_ID, OCIRSimulator, message_of
from tests.support.simulators.openshift import OpenShiftSimulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.http import HTTPSimulator
    from tests.support.simulators.registry import RegistrySimulator

PATH = "ns/team/app"


def listed(folder: Path, image: str, spec: dict[str, Any], *servers: HTTPSimulator) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code, and the signatures of the image under one authenticator."""
    policies = write(folder / "policies.yaml", authenticator("qa", spec=spec))
    insecure = [part for server in servers for part in ("--insecure-registry", server.host)]
    ran = sealgate("signatures", image, "--policies", policies, "-o", "json", *insecure)
    (found,) = json.loads(ran.stdout)
    return ran.exit_code, found["signatures"]


def test_records_of_oracle_have_description_metadata_and_version(registry: RegistrySimulator, tmp_path: Path) -> None:
    key, stranger = new_key("RSA 2048", "oracle"), new_key("RSA 2048", "oracle-stranger")
    digest = registry.push_image(PATH, "1.0")
    with OCIRSimulator() as service:
        metadata = {"description": "Image for UAT", "metadata": '{"buildnumber":"8447"}'}
        service.sign(message_of(digest, "team/app", **metadata), key)
        service.sign(message_of(digest, "team/app"), stranger)
        for number in range(20):
            service.sign(message_of(digest, "team/app", kmsKeyId=f"ocid1.key.oc1..other{number}"), key)
        spec = {
            "region": REGION,
            "endpoint": service.url,
            "compartmentId": COMPARTMENT,
            "trustedKeys": [{"keyId": KEY_ID, "pem": public_pem(key)}],
        }
        code, found = listed(tmp_path, f"{registry.host}/{PATH}:1.0", {"oracle": spec}, registry, service)
    assert code == 0
    assert len(found) == 22
    good, forged, *others = found
    assert (good["outcome"], good["keyFingerprint"]) == ("verified", fingerprint(key))
    assert (good["statedKey"], good["keyVersion"], good["time"]) == (KEY_ID, VERSION_ID, "2026-11-01T10:00:00Z")
    assert (good["description"], good["metadata"]) == ("Image for UAT", {"buildnumber": "8447"})
    assert good["algorithm"] == "RSA_PSS_SHA_256"
    assert (forged["outcome"], forged["reason"]) == ("refused", "InvalidSignature")
    assert {each["reason"] for each in others} == {"UnknownKey"}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_attestations_name_their_key(registry: RegistrySimulator, tmp_path: Path, version: str) -> None:
    key, stranger = new_key("ECDSA P-256", "grafeas"), new_key("ECDSA P-256", "grafeas-stranger")
    digest = registry.push_image(PATH, "1.0")
    name = f"{registry.host}/{PATH}"
    with GrafeasSimulator(version=version) as server:
        for signer in (key, stranger):
            server.attest(f"https://{name}@{digest}", payload_of(digest, name), signer)
        spec = {
            "server": server.url,
            "apiVersion": version,
            "note": NOTE,
            "keys": [{"id": fingerprint(key), "pem": public_pem(key)}],
        }
        code, found = listed(tmp_path, f"{name}:1.0", {"grafeas": spec}, registry, server)
    assert code == 0
    assert [(each["outcome"], each["statedKey"]) for each in found] == [
        ("verified", fingerprint(key)),
        ("refused", fingerprint(stranger)),
    ]
    assert found[0]["algorithm"] == "ECDSA_SHA_256"
    assert found[0]["location"].startswith(f"{server.host}: ")


def test_simple_signatures_have_time_and_creator(tmp_path: Path) -> None:
    signer, stranger = Signer(), Signer()
    with OpenShiftSimulator() as registry:
        digest = registry.push_image("team/api", "1.4")
        image = f"{registry.host}/team/api:1.4"
        for each in (signer, stranger):
            registry.sign(digest, each.sign(payload(digest, image)))
        spec = {"simpleSigning": {"keyring": {"inline": signer.public}, "store": {"openshift": {}}}}
        code, found = listed(tmp_path, image, spec, registry)
    assert code == 0
    good, foreign = found
    assert (good["outcome"], good["algorithm"], good["format"]) == ("verified", "OpenPGP", "simpleSigning")
    assert good["size"] > 0
    assert good["location"] == f"{registry.host}: signature 1 in the registry's list of signatures"
    assert foreign["outcome"] == "refused"


def test_file_of_a_folder_is_named_by_its_path(registry: RegistrySimulator, tmp_path: Path) -> None:
    signer = Signer()
    digest = registry.push_image("team/api", "1.4")
    image = f"{registry.host}/team/api:1.4"
    folder = tmp_path / "lookaside" / f"team/api@{digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    (folder / "signature-1").write_bytes(signer.sign(payload(digest, image)))
    (folder / "signature-2").write_bytes(b"not a signature")
    lookaside = {"lookaside": {"url": f"file://{tmp_path}/lookaside"}}
    spec = {"simpleSigning": {"keyring": {"inline": signer.public}, "store": lookaside}}
    code, found = listed(tmp_path, image, spec, registry)
    assert code == 0
    assert [(each["outcome"], each["location"]) for each in found] == [
        ("verified", str(folder / "signature-1")),
        ("refused", str(folder / "signature-2")),
    ]


def notary_listing(folder: Path, *, days: int, tag: str = "1") -> tuple[int, list[dict[str, Any]]]:
    """Return what is listed of an image whose tag "1" is signed, with files that end in so many days."""
    now = datetime.now(UTC)
    with NotarySimulator() as dtr:
        gun = f"{dtr.host}/dev/nginx"
        for name in ("1", "2"):
            dtr.push_image("dev/nginx", name)
        root = certified(gun, begins=now - timedelta(days=1), ends=now + timedelta(days=400))
        repository = dtr.host_repository(NotaryRepository(gun, now, root))
        repository.sign_tag("1", dtr.manifest("dev/nginx", "1")[1], "targets")
        for role in ("root", "targets"):
            repository.expire(role, now + timedelta(days=days, hours=1))
        repository.publish()
        spec = {"notary": {"server": dtr.url, "root": {"pem": root.certificate_pem}}}
        return listed(folder, f"{gun}:{tag}", spec, dtr)


def test_signers_of_a_notary_tag_are_listed(tmp_path: Path) -> None:
    code, (signature,) = notary_listing(tmp_path, days=90)
    assert (code, signature["outcome"], signature["warnings"]) == (0, "verified", [])
    assert signature["metadata"]["role"] == "targets"


def test_end_of_notary_files_is_warned_about(tmp_path: Path) -> None:
    _, (signature,) = notary_listing(tmp_path, days=29)
    assert len(signature["warnings"]) == 2
    assert "in 29 days" in signature["warnings"][0]


def test_signed_files_do_not_sign_another_tag(tmp_path: Path) -> None:
    assert notary_listing(tmp_path, days=90, tag="2") == (1, [])


def test_store_that_does_not_answer_is_listed(registry: RegistrySimulator, tmp_path: Path) -> None:
    digest = registry.push_image(PATH, "1.0")
    assert digest
    with GrafeasSimulator() as server:
        server.faults.status("/", 500)
        keys = [{"pem": public_pem(new_key("ECDSA P-256", "grafeas"))}]
        spec = {"grafeas": {"server": server.url, "apiVersion": "v1", "note": NOTE, "keys": keys}}
        code, (entry,) = listed(tmp_path, f"{registry.host}/{PATH}:1.0", spec, registry, server)
    assert (code, entry["outcome"]) == (3, "unavailable")
