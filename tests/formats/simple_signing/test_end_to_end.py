"""The command line admits or denies images under simpleSigning policies in YAML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.simple_signing import Signer, payload
from tests.support.simulators.openshift import OpenShiftSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGNER = Signer()


@pytest.fixture
def registry() -> Iterator[OpenShiftSimulator]:
    with OpenShiftSimulator() as registry:
        yield registry


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "SEALGATE_POLICIES"):
        monkeypatch.delenv(name, raising=False)


def policies(folder: Path, keyring: dict[str, Any], store: dict[str, Any], *more: dict[str, Any]) -> Path:
    documents = [
        authenticator("ops-gpg", spec={"simpleSigning": {"keyring": keyring, "store": store}}),
        policy("production", authenticators=["ops-gpg"]),
        *more,
    ]
    path = folder / "policies.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


def verify(registry: OpenShiftSimulator, path: Path, tag: str) -> tuple[int, dict[str, Any]]:
    image = f"{registry.host}/team/app:{tag}"
    ran = sealgate("verify", "--policies", path, "--insecure-registry", registry.host, "--output", "json", image)
    (verdict,) = json.loads(ran.stdout)
    return ran.exit_code, verdict


def test_image_signed_through_the_extension_is_admitted(registry: OpenShiftSimulator, tmp_path: Path) -> None:
    signed = registry.push_image("team/app", "signed")
    registry.push_image("team/app", "unsigned")
    registry.sign(signed, SIGNER.sign(payload(signed, f"{registry.host}/team/app:signed")))
    path = policies(tmp_path, {"inline": SIGNER.public}, {"openshift": {}})
    code, admitted = verify(registry, path, "signed")
    assert (code, admitted["verdict"]) == (0, "admit")
    (finding,) = admitted["policies"][0]["findings"]
    assert (finding["format"], finding["outcome"]) == ("simpleSigning", "verified")
    assert len(finding["keyFingerprints"][0]) == 40
    code, denied = verify(registry, path, "unsigned")
    assert (code, denied["verdict"]) == (1, "deny")
    assert denied["policies"][0]["findings"][0]["reason"] == "NoSignature"


def test_keyring_in_a_secret_and_signatures_in_a_folder_work(registry: OpenShiftSimulator, tmp_path: Path) -> None:
    digest = registry.push_image("team/app", "1")
    folder = tmp_path / "sigstore" / "team" / f"app@{digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    (folder / "signature-1").write_bytes(SIGNER.sign(payload(digest, f"{registry.host}/team/app:1")))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ops-gpg"},
        "stringData": {"keyring.asc": SIGNER.public},
    }
    keyring = {"secretRef": {"name": "ops-gpg", "key": "keyring.asc"}}
    store = {"lookaside": {"url": (tmp_path / "sigstore").as_uri()}}
    path = policies(tmp_path, keyring, store, secret)
    assert verify(registry, path, "1")[0] == 0
    (folder / "signature-1").unlink()
    assert verify(registry, path, "1")[0] == 1


def test_silent_registry_means_neither_admitted_nor_denied(registry: OpenShiftSimulator, tmp_path: Path) -> None:
    registry.push_image("team/app", "1")
    registry.faults.status("/extensions/", 500)
    code, verdict = verify(registry, policies(tmp_path, {"inline": SIGNER.public}, {"openshift": {}}), "1")
    assert (code, verdict["verdict"]) == (3, "unavailable")


def test_a_keyring_with_a_secret_key_is_wrong_and_is_not_repeated(registry: OpenShiftSimulator, tmp_path: Path) -> None:
    path = policies(tmp_path, {"inline": SIGNER.secret}, {"openshift": {}})
    ran = sealgate("policy", "check", path)
    assert ran.exit_code == 2
    assert "simpleSigning.keyring" in ran.output
    assert SIGNER.secret.splitlines()[5] not in ran.output
    assert registry.requests == []
