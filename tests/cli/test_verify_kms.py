"""`sealgate verify`, `serve`, `key show` and `policy check` with keys in a KMS."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.cli.objects import pod, write
from tests.cli.running import sealgate, start
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import PrivateKey, new_key, public_pem
from tests.support.signers.sm2 import SM2PrivateKey
from tests.support.simulators.http_messages import encode
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

KEY_ID = "b1c2"


class KMSPolicyEnvironment:
    """An image signed with a key of a KMS, and the policy files for it."""

    def __init__(self, registry: RegistrySimulator, kms: DEWSimulator, folder: Path) -> None:
        self.registry, self.kms, self.folder = registry, kms, folder
        self.key = kms.add(KEY_ID, "SM2")
        assert isinstance(self.key.private, SM2PrivateKey)
        digest = registry.push_image("library/web", "1.0")
        signed = Classic(digest, new_key("ECDSA P-256"))
        payload = encode(signed.document())
        signed.payload, signed.signature = payload, self.key.private.sign(payload)
        push_classic(registry, "library/web", signed)
        self.write()

    def sign(self, tag: str, key: PrivateKey) -> None:
        push_classic(self.registry, "library/web", Classic(self.registry.push_image("library/web", tag), key))

    def write(self, *further: dict[str, Any], secret: bool = True, **source: Any) -> None:
        named = {
            "region": "cn-north-4",
            "projectId": PROJECT,
            "keyId": KEY_ID,
            "credentialsSecret": {"name": "dew"},
            "endpoint": self.kms.url,
            **source,
        }
        keys = [{"kms": {"huawei": named}, "algorithm": "SM2"}, *further]
        data = {name: value.decode() for name, value in self.kms.secret.items()}
        secrets = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "dew"}, "stringData": data}]
        rule = policy("library", f"{self.registry.host}/library/**", authenticators=["swr"])
        write(self.folder / "policies.yaml", authenticator("swr", *keys), rule, *(secrets if secret else []))

    @property
    def image(self) -> str:
        return f"{self.registry.host}/library/web:1.0"

    @property
    def options(self) -> list[object]:
        insecure = [part for host in (self.registry.host, self.kms.host) for part in ("--insecure-registry", host)]
        return ["--policies", self.folder, *insecure]

    def verify(self, *args: str, tag: str = "1.0") -> Result:
        return sealgate("verify", f"{self.registry.host}/library/web:{tag}", *self.options, *args)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[KMSPolicyEnvironment]:
    with RegistrySimulator() as registry, DEWSimulator() as kms:
        yield KMSPolicyEnvironment(registry, kms, tmp_path)


def test_an_image_signed_by_a_key_in_a_kms_is_admitted(environment: KMSPolicyEnvironment) -> None:
    result = environment.verify("--output", "json")
    assert result.exit_code == 0, result.output
    (entry,) = json.loads(result.stdout)
    (finding,) = entry["policies"][0]["findings"]
    assert finding["outcome"] == "verified"


def test_disabled_key_is_refused_with_a_reason(environment: KMSPolicyEnvironment) -> None:
    environment.key.state = "3"
    result = environment.verify()
    assert result.exit_code == 3
    assert "the key is disabled" in " ".join(result.stdout.split())


def test_unreachable_kms_means_undetermined(environment: KMSPolicyEnvironment) -> None:
    environment.kms.faults.status("", 500)
    result = environment.verify()
    assert result.exit_code == 3
    assert "Huawei DEW answers 500" in " ".join(result.stdout.split())


def test_a_key_that_was_disabled_does_not_stop_those_beside_it(environment: KMSPolicyEnvironment) -> None:
    following = new_key("ECDSA P-256", "following")
    environment.write({"pem": public_pem(following)})
    environment.sign("2.0", following)
    environment.sign("3.0", new_key("ECDSA P-256", "stranger"))
    assert [environment.verify(tag=tag).exit_code for tag in ("1.0", "2.0", "3.0")] == [0, 0, 1]
    environment.key.state = "3"
    assert environment.verify(tag="2.0").exit_code == 0
    for tag in ("1.0", "3.0"):
        refused = environment.verify(tag=tag)
        assert refused.exit_code == 1
        assert "the key is disabled" in " ".join(refused.stdout.split())


def test_unfetched_key_means_undetermined(
    environment: KMSPolicyEnvironment,
) -> None:
    following = new_key("ECDSA P-256", "following")
    environment.write({"pem": public_pem(following)})
    environment.sign("2.0", following)
    environment.kms.faults.status("", 500)
    assert environment.verify(tag="2.0").exit_code == 0
    environment.registry.push_image("library/web", "unsigned")
    assert environment.verify(tag="unsigned").exit_code == 1
    result = environment.verify()
    assert result.exit_code == 3
    assert "Huawei DEW answers 500" in " ".join(result.stdout.split())


def test_unlisted_kms_is_not_asked_over_plain_http(environment: KMSPolicyEnvironment) -> None:
    result = sealgate(
        "verify",
        f"{environment.registry.host}/library/web:1.0",
        "--policies",
        environment.folder,
        "--insecure-registry",
        environment.registry.host,
    )
    assert result.exit_code == 3
    assert environment.kms.requests == []


def test_policies_are_checked_without_asking_a_kms(environment: KMSPolicyEnvironment) -> None:
    assert sealgate("policy", "check", environment.folder).exit_code == 0
    assert environment.kms.requests == []


def test_credentials_that_are_not_among_the_files_are_missed(environment: KMSPolicyEnvironment) -> None:
    environment.write(secret=False)
    result = sealgate("policy", "check", environment.folder)
    assert result.exit_code == 2
    said = " ".join(result.stdout.split())
    assert "spec.cosign.keys[0].kms.huawei.credentialsSecret.name: there is no Secret named dew" in said


def test_invalid_kms_entry_is_reported_with_its_field(environment: KMSPolicyEnvironment) -> None:
    environment.write(region="evil.example.org")
    result = sealgate("policy", "check", environment.folder, "--output", "json")
    assert result.exit_code == 2
    (problem,) = json.loads(result.stdout)
    assert problem["field"] == "spec.cosign.keys[0].kms.huawei.region"


def test_an_sm2_key_is_shown(environment: KMSPolicyEnvironment) -> None:
    assert isinstance(environment.key.private, SM2PrivateKey)
    result = sealgate("key", "show", "-", "--output", "json", stdin=environment.key.private.public_pem)
    assert result.exit_code == 0
    (shown,) = json.loads(result.stdout)
    assert (shown["type"], shown["size"]) == ("SM2", 256)
    assert (shown["defaultAlgorithm"], shown["algorithms"]) == ("SM2", ["SM2"])


def test_server_fetches_kms_keys_and_admits_with_them(environment: KMSPolicyEnvironment) -> None:
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "shop",
        "operation": "CREATE",
        "object": pod("web", environment.image, namespace="shop"),
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    with start("serve", *environment.options, "--listen", "127.0.0.1:0", "--output", "json") as process:
        try:
            address, usable = "", False
            for line in process.stderr:
                entry = json.loads(line)
                address = entry["address"] if entry["msg"] == "reviews served" else address
                usable = usable or (entry["msg"] == "policies loaded" and entry["unusable"] == 0)
                if address and usable:
                    break
            with urllib3.PoolManager() as pool:
                answer = pool.request("POST", f"http://{address}/validate?timeout=30s", json=review, timeout=150)
            assert json.loads(answer.data)["response"]["allowed"], answer.data
        finally:
            process.send_signal(signal.SIGTERM)
