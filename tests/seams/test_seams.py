"""A new format and a new KMS provider work everywhere by the files that CONTRIBUTING.md lists, and no others."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.keys import private_pem
from tests.cli.objects import write
from tests.seams.additions import Addition, copy_sources, listed_sources, run_commands, run_python
from tests.seams.format_additions import FORMAT
from tests.seams.kms_additions import PROVIDER
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.private_keys import fingerprint, new_key, public_pem, sign
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, encode, json_answer
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = new_key("ECDSA P-256", "toy")
OTHER = new_key("ECDSA P-256", "other")
CLI = "from sealgate.cli import main; main()"
STATUS = """
import json, sys
from datetime import UTC, datetime

import yaml
from sealgate.clocks import SystemClock
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate.kms.key_source import KMSKeySource
from sealgate.service_secrets import MappingServiceSecrets
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.status.authenticators import assess

settings = HostSettings(insecure=frozenset({sys.argv[2]}))
obj = next(yaml.safe_load_all(open(sys.argv[1])))
with ServiceClient(settings) as client:
    source = KMSKeySource(client, MappingServiceSecrets({"toy": {"token": b"t0ken"}}), SystemClock())
    found = assess(obj, SecretKeys(lambda _: None), [source], datetime.now(UTC))
print(json.dumps({"ready": found.ready, "message": found.message, **found.status.model_dump(by_alias=True)}))
"""


class ToyKMS(HTTPSimulator):
    """A KMS with one key; see `tests.seams.kms_additions`."""

    def respond(self, request: RecordedRequest) -> Answer:
        if (request.method, request.path, request.headers.get("authorization")) == ("POST", "/k1/sign", "Bearer t0ken"):
            return json_answer({"signature": base64.b64encode(sign(KEY, request.body)).decode()})
        return super().respond(request)


class ToyEnvironment:
    """An image with a toy signature by a key of a toy KMS, the policy files for it, and the sources with both."""

    def __init__(self, folder: Path, registry: RegistrySimulator, kms: ToyKMS) -> None:
        self.sources, self.policies = folder / "sources", folder / "policies"
        self.policies.mkdir()
        self.registry, self.kms = registry, kms
        copy_sources(self.sources, FORMAT, PROVIDER)
        kms.documents["/k1"] = json_answer({"pem": public_pem(KEY), "kind": "ECDSA P-256"})
        for tag, key in (("signed", KEY), ("stranger", OTHER)):
            self.push(tag, key)
        self.registry.push_image("library/web", "unsigned")
        source = {"keyId": "k1", "endpoint": kms.url, "credentialsSecret": {"name": "toy"}}
        self.authenticator = authenticator("toy", spec={"toy": {"keys": [{"kms": {"toy": source}}]}})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "toy"}, "stringData": {"token": "t0ken"}}
        rule = policy("library", f"{registry.host}/library/**", authenticators=["toy"])
        write(self.policies / "policies.yaml", self.authenticator, rule, secret)

    def push(self, tag: str, key: Any) -> None:
        digest = self.registry.push_image("library/web", tag)
        signature = base64.b64encode(sign(key, digest.encode())).decode()
        config = self.registry.push_blob("library/web", b"{}")
        manifest = {
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [],
            "annotations": {"org.example.toy/signature": signature},
        }
        self.registry.push_manifest("library/web", digest.replace(":", "-") + ".toy", encode(manifest))

    def sealgate(self, *args: object) -> Any:
        return run_python(self.sources, CLI, *args)

    def verify(self, tag: str) -> Any:
        return self.sealgate(*self.command("verify", tag, *self.decided))

    def sign(self, tag: str, *options: object) -> Any:
        return self.sealgate(*self.command("sign", tag, *options))

    @property
    def decided(self) -> tuple[object, ...]:
        """The options by which an image is verified."""
        return "--policies", self.policies

    def command(self, command: str, tag: str, *options: object) -> tuple[object, ...]:
        """Return the arguments of a command about an image."""
        insecure = [part for host in (self.registry.host, self.kms.host) for part in ("--insecure-registry", host)]
        return command, f"{self.registry.host}/library/web:{tag}", *options, *insecure, "-o", "json"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyEnvironment]:
    with RegistrySimulator() as registry, ToyKMS() as kms:
        yield ToyEnvironment(tmp_path_factory.mktemp("toy"), registry, kms)


def test_toy_signature_by_a_key_of_a_toy_kms_verifies(toy: ToyEnvironment) -> None:
    result = toy.verify("signed")
    assert result.returncode == 0, result.stderr
    (entry,) = json.loads(result.stdout)
    (finding,) = entry["policies"][0]["findings"]
    assert (finding["outcome"], finding["format"]) == ("verified", "toy")
    assert fingerprint(KEY) in json.dumps(finding)


def test_what_sign_stores_in_the_toy_format_verifies(toy: ToyEnvironment, tmp_path: Path) -> None:
    toy.registry.push_image("library/web", "new")
    (tmp_path / "toy.key").write_text(private_pem(KEY))
    sign = toy.command("sign", "new", "--format", "toy", "--key", tmp_path / "toy.key")
    first, again, verified = run_commands(toy.sources, sign, sign, toy.command("verify", "new", *toy.decided))
    for outcome, result in (("signed", first), ("alreadySigned", again)):
        assert result.returncode == 0, result.stderr
        (entry,) = json.loads(result.stdout)
        assert (entry["outcome"], entry["keyFingerprint"]) == (outcome, fingerprint(KEY))
    assert verified.returncode == 0


def test_key_of_the_toy_kms_signs_as_cosign_does(toy: ToyEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.registry.push_image("library/web", "cosign")
    monkeypatch.setenv("TOY_TOKEN", "t0ken")
    result = toy.sign("cosign", "--key", "toy:k1", "--kms-endpoint", toy.kms.url, "--storage", "referrers")
    assert result.returncode == 0, result.stderr
    (entry,) = json.loads(result.stdout)
    assert (entry["outcome"], entry["format"], entry["keyVersion"]) == ("signed", "cosign", "1")
    assert entry["keyFingerprint"] == fingerprint(KEY)


@pytest.mark.parametrize(("tag", "reason"), [("stranger", "InvalidSignature"), ("unsigned", "NoSignature")])
def test_image_without_a_good_toy_signature_is_refused(toy: ToyEnvironment, tag: str, reason: str) -> None:
    result = toy.verify(tag)
    assert result.returncode == 1, result.stderr
    (entry,) = json.loads(result.stdout)
    (finding,) = entry["policies"][0]["findings"]
    assert (finding["outcome"], finding["reason"]) == ("refused", reason)


def test_key_show_names_the_key_as_findings_do(toy: ToyEnvironment, tmp_path: Path) -> None:
    file = tmp_path / "toy.pub"
    file.write_text(public_pem(KEY))
    result = toy.sealgate("key", "show", "--output", "json", file)
    (shown,) = json.loads(result.stdout)
    assert shown["fingerprint"] == fingerprint(KEY)


def test_toy_objects_are_checked_like_all_others(toy: ToyEnvironment, tmp_path: Path) -> None:
    assert toy.sealgate("policy", "check", toy.policies).returncode == 0
    broken = {**toy.authenticator, "spec": {"toy": {"keys": [{"pem": "-----BEGIN PUBLIC KEY-----\nx"}]}}}
    write(tmp_path / "broken.yaml", broken)
    result = toy.sealgate("policy", "check", tmp_path)
    assert result.returncode == 2
    assert "spec.toy.keys[0].pem" in result.stdout + result.stderr


def test_status_has_the_toy_key(toy: ToyEnvironment) -> None:
    result = run_python(toy.sources, STATUS, toy.policies / "policies.yaml", toy.kms.host)
    assert result.returncode == 0, result.stderr
    status = json.loads(result.stdout)
    assert (status["ready"], status["format"], status["keySummary"]) == (True, "toy", "1/1")
    (key,) = status["keys"]
    assert (key["source"], key["state"]) == (f"kms toy k1 at {toy.kms.url}", "Accepted")
    assert key["fingerprint"] == fingerprint(KEY)


def test_generated_crd_has_both(toy: ToyEnvironment, tmp_path: Path) -> None:
    result = toy.sealgate("crd", "--directory", tmp_path)
    assert result.returncode == 0, result.stderr
    crd = yaml.safe_load((tmp_path / "sealgate.dev_authenticators.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert any("has(self.toy)" in rule["rule"] for rule in spec["x-kubernetes-validations"])
    kms = spec["properties"]["toy"]["properties"]["keys"]["items"]["properties"]["kms"]
    assert any("has(self.toy)" in rule["rule"] for rule in kms["x-kubernetes-validations"])
    assert kms["properties"]["toy"]["required"] == ["keyId", "endpoint", "credentialsSecret"]


@pytest.mark.parametrize(("title", "addition"), [("A new format", FORMAT), ("A new KMS provider", PROVIDER)])
def test_contributing_lists_every_source_file_that_is_touched(title: str, addition: Addition) -> None:
    assert listed_sources(title) == addition.touched
