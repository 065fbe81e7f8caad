"""`sealgate verify` with options that a format needs: a state directory, an expected identity."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import push_bundle
from tests.support.signers.keyless import ROOT, V2, bundle, keyless
from tests.support.signers.notary import certified
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.signers.sigstore import ISSUER, SUBJECT
from tests.support.signers.simple_signing import Signer, payload
from tests.support.simulators.notary import NotaryRepository, NotarySimulator
from tests.support.simulators.openshift import OpenShiftSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from pathlib import Path

PATH = "dev/nginx"


def verdict(*args: object) -> tuple[int, dict[str, Any]]:
    result = sealgate("verify", *args, "--output", "json")
    (image,) = json.loads(result.stdout)
    return result.exit_code, image


def test_repository_rollback_is_refused_with_a_state_directory(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with NotarySimulator() as dtr:
        gun = f"{dtr.host}/{PATH}"
        dtr.push_image(PATH, "1")
        manifest = dtr.manifest(PATH, "1")[1]
        root = certified(gun, begins=now - timedelta(days=1), ends=now + timedelta(days=1))
        repository = dtr.host_repository(NotaryRepository(gun, now, root))
        repository.sign_tag("1", manifest, "targets")
        yesterday = repository.publish().copy()
        repository.bump("timestamp", "snapshot", "targets")
        repository.publish()
        policies = write(
            tmp_path / "policies.yaml",
            authenticator("dtr", spec={"notary": {"server": dtr.url, "root": {"pem": root.certificate_pem}}}),
            policy("dtr", f"{dtr.host}/**", authenticators=["dtr"]),
        )
        ask = (f"{gun}:1", "--policies", policies, "--insecure-registry", dtr.host, "--state", tmp_path / "state")
        assert verdict(*ask)[1]["verdict"] == "admit"
        dtr.host_repository(yesterday)
        code, image = verdict(*ask)
        assert (code, image["verdict"]) == (1, "deny")
        assert image["policies"][0]["findings"][0]["reason"] == "Rollback"
        assert verdict(*ask[:-2])[1]["verdict"] == "admit"


@pytest.mark.parametrize("tls", [True, False])
def test_registry_is_the_notary_server_with_or_without_tls(tmp_path: Path, *, tls: bool) -> None:
    now = datetime.now(UTC)
    with NotarySimulator(tls=tls) as dtr:
        gun = f"{dtr.host}/{PATH}"
        dtr.push_image(PATH, "1")
        root = certified(gun, begins=now - timedelta(days=1), ends=now + timedelta(days=1))
        repository = dtr.host_repository(NotaryRepository(gun, now, root))
        repository.sign_tag("1", dtr.manifest(PATH, "1")[1], "targets")
        repository.publish()
        policies = write(
            tmp_path / "policies.yaml",
            authenticator("dtr", spec={"notary": {"root": {"pem": root.certificate_pem}}}),
            policy("dtr", f"{dtr.host}/**", authenticators=["dtr"]),
        )
        authority = tmp_path / "ca.pem"
        authority.write_text(dtr.ca_pem)
        reached = ("--insecure-registry", dtr.host, *(("--registry-ca", f"{dtr.host}={authority}") if tls else ()))
        assert verdict(f"{gun}:1", "--policies", policies, *reached)[1]["verdict"] == "admit"
        for asked in dtr.requests:
            assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("expected", "verdict_", "code"), [("registry.example.org/team/api:1.4", "admit", 0), ("other/name:1", "deny", 1)]
)
def test_expected_identity_must_match_the_signature(tmp_path: Path, expected: str, verdict_: str, code: int) -> None:
    signer = Signer()
    with OpenShiftSimulator() as registry:
        digest = registry.push_image("team/api", "1.4")
        registry.sign(digest, signer.sign(payload(digest, "registry.example.org/team/api:1.4")))
        policies = write(
            tmp_path / "policies.yaml",
            authenticator(
                "ops", spec={"simpleSigning": {"keyring": {"inline": signer.public}, "store": {"openshift": {}}}}
            ),
            policy("ops", f"{registry.host}/**", authenticators=["ops"]),
        )
        ask = (f"{registry.host}/team/api:1.4", "--policies", policies, "--insecure-registry", registry.host)
        assert verdict(*ask)[1]["verdict"] == "deny"
        found, image = verdict(*ask, "--expected-identity", expected)
        assert (found, image["verdict"]) == (code, verdict_)


def test_expected_identity_needs_a_simple_signing_authenticator(tmp_path: Path) -> None:
    policies = write(
        tmp_path / "policies.yaml",
        authenticator("release", public_pem(new_key("ECDSA P-256"))),
        policy("release", "registry.example.org/**", authenticators=["release"]),
    )
    result = sealgate("verify", "registry.example.org/a", "--policies", policies, "--expected-identity", "a:1")
    assert result.exit_code == 2
    assert "needs a simple signing authenticator, and the policies have none" in result.stderr


@pytest.mark.parametrize(
    ("kind", "member", "field"), [("Secret", "stringData", "secretRef"), ("ConfigMap", "data", "configMapRef")]
)
def test_keyless_signature_is_verified_with_the_root_in_an_object(
    tmp_path: Path, kind: str, member: str, field: str
) -> None:
    with RegistrySimulator() as registry:
        digest = registry.push_image(PATH, "1")
        push_bundle(registry, PATH, bundle(digest, V2))
        data = {"trusted_root.json": ROOT}
        holder = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "sigstore"}, member: data}
        reference = {field: {"name": "sigstore", "key": "trusted_root.json"}}
        for subject, code in ((SUBJECT, 0), ("joe@example.com", 1)):
            identity = {"issuer": ISSUER, "subject": subject}
            policies = write(
                tmp_path / "policies.yaml",
                holder,
                authenticator("release", spec=keyless(identity, trustedRoot=reference)),
                policy("release", f"{registry.host}/**"),
            )
            ask = (f"{registry.host}/{PATH}:1", "--policies", policies, "--insecure-registry", registry.host)
            assert verdict(*ask)[0] == code
