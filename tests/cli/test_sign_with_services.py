"""`sealgate sign` with keys in KMSs, and in the formats whose signatures are records of a service."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
import pytest

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.environments.kms import AWS_KEY
from tests.support.real_tools.openssl import openssl_verifies
from tests.support.signers.private_keys import new_key
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.aws_kms import AWSKMSSimulator
from tests.support.simulators.grafeas import NOTE, GrafeasSimulator
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.kms_keys import pem_of_key
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, VERSION_ID, APIKey, OCIRSimulator
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

    from tests.support.simulators.http import HTTPSimulator

OPENPGP_KEY = Path(__file__).parents[1] / "data" / "openpgp_secret_keys" / "ed25519.asc"
IMAGE_ID = "ocid1.containerimage.oc1.phx.0.ansh81vru1zp.aaaaaaaalqzj"


class Services:
    """A registry, and other simulators, with policy files for them.

    Attributes:
        registry: has the image `ns/app:1.0`.
        image: its reference.
        digest: its digest.
    """

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._hosts: list[str] = []
        self.registry = self.add(RegistrySimulator())
        self.digest = self.registry.push_image("ns/app", "1.0")
        self.image = f"{self.registry.host}/ns/app:1.0"

    def add(self, simulator: Any) -> Any:
        self._stack.enter_context(simulator)
        self._hosts.append(simulator.host)
        return simulator

    def run(self, command: str, *arguments: object) -> Result:
        insecure = [part for host in self._hosts for part in ("--insecure-registry", host)]
        return sealgate(command, self.image, *insecure, *arguments)

    def sign(self, *arguments: object) -> dict[str, Any]:
        """Sign the image; return what the command says about it."""
        done = self.run("sign", *arguments, "--output", "json")
        assert done.exit_code == 0, done.output
        (entry,) = json.loads(done.stdout)
        assert isinstance(entry, dict)
        return entry

    def verifies(self, spec: dict[str, Any], *secrets: dict[str, Any]) -> bool:
        """Return whether `sealgate verify` admits the image under an authenticator."""
        rule = policy("all", f"{self.registry.host}/**", authenticators=["qa"])
        write(self._folder / "policies.yaml", authenticator("qa", spec=spec), rule, *secrets)
        done = self.run("verify", "--policies", self._folder)
        assert done.exit_code in {0, 1}, done.output
        return done.exit_code == 0


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with ExitStack() as stack:
        yield Services(stack, tmp_path)


@pytest.fixture
def dew(services: Services, monkeypatch: pytest.MonkeyPatch) -> DEWSimulator:
    simulator = services.add(DEWSimulator())
    assert isinstance(simulator, DEWSimulator)
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", simulator.access_key)
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", simulator.secret_key)
    return simulator


@pytest.fixture
def kms(services: Services, monkeypatch: pytest.MonkeyPatch) -> AlibabaKMSSimulator:
    simulator = services.add(AlibabaKMSSimulator())
    assert isinstance(simulator, AlibabaKMSSimulator)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", simulator.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", simulator.access_key_secret)
    return simulator


@pytest.mark.parametrize(
    ("spec", "algorithm"), [("EC_P256", "ECDSA_SHA_256"), ("EC_P384", "ECDSA_SHA_384"), ("SM2", "SM2")]
)
def test_huawei_key_signs_as_cosign_does(services: Services, dew: DEWSimulator, spec: str, algorithm: str) -> None:
    key = dew.add("b1c2", spec)
    options = ("--key", f"huawei:cn-north-4/{PROJECT}/b1c2", "--kms-endpoint", dew.url)
    assert services.sign(*options)["algorithm"] == algorithm
    assert services.sign(*options)["outcome"] == "alreadySigned"
    assert services.verifies({"cosign": {"keys": [{"pem": pem_of_key(key.private), "algorithm": algorithm}]}})
    other = pem_of_key(new_key("ECDSA P-256", "another"))
    assert not services.verifies({"cosign": {"keys": [{"pem": other}]}})


def test_aws_key_signs_as_cosign_does(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    kms = services.add(AWSKMSSimulator())
    key = kms.add(AWS_KEY, "ECC_NIST_P256")
    environ = {"AWS_ACCESS_KEY_ID": kms.access_key_id, "AWS_SECRET_ACCESS_KEY": kms.secret_access_key}
    for name, value in {**environ, "AWS_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    services.sign("--key", f"awskms:///{AWS_KEY}", "--kms-endpoint", kms.url)
    assert services.verifies({"cosign": {"keys": [{"pem": pem_of_key(key.private)}]}})
    source = {"region": "eu-central-1", "keyId": AWS_KEY, "endpoint": kms.url, "credentialsSecret": {"name": "aws"}}
    data = {name: value.decode() for name, value in kms.secret.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws"}, "stringData": data}
    assert services.verifies({"cosign": {"keys": [{"kms": {"aws": source}}]}}, secret)


def test_vault_key_signs_as_cosign_does(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = services.add(VaultSimulator())
    key = vault.add("release", "ecdsa-p256", "1", "2")
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    several = services.run("sign", "--key", "hashivault://release")
    assert "has several versions; name the one that signs after a slash: 2, 1" in several.stderr
    assert services.sign("--key", "hashivault://release/2")["keyVersion"] == "2"
    assert services.verifies({"cosign": {"keys": [{"pem": pem_of_key(key.versions["2"])}]}})


def test_key_that_must_not_sign_stores_nothing(services: Services, dew: DEWSimulator) -> None:
    dew.add("b1c2", "EC_P256", state="3")
    done = services.run("sign", "--key", f"huawei:cn-north-4/{PROJECT}/b1c2", "--kms-endpoint", dew.url)
    assert done.exit_code == 1
    assert f"huawei:cn-north-4/{PROJECT}/b1c2 cannot sign: the key is disabled" in done.stderr
    assert services.registry.requests == []


def test_wrong_credentials_name_the_variables_and_the_rights(
    services: Services, kms: AlibabaKMSSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kms.add("key-1", "RSA_2048", "version-1")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "a-wrong-secret")
    done = services.run("sign", "--key", "alibaba:cn-hongkong/key-1", "--kms-endpoint", kms.url)
    assert done.exit_code == 3
    assert "check the credentials in the variables ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_AC" in done.stderr
    assert "kms:DescribeKey, kms:GetPublicKey and kms:AsymmetricSign" in done.stderr
    assert "a-wrong-secret" not in done.output


class TestGrafeas:
    @pytest.fixture
    def server(self, services: Services) -> GrafeasSimulator:
        simulator = services.add(GrafeasSimulator())
        assert isinstance(simulator, GrafeasSimulator)
        return simulator

    @pytest.mark.parametrize("algorithm", ["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"])
    def test_alibaba_key_attests_under_its_own_id(
        self, services: Services, kms: AlibabaKMSSimulator, server: GrafeasSimulator, algorithm: str, tmp_path: Path
    ) -> None:
        pem = pem_of_key(kms.add("key-1", "RSA_2048", "version-1", "version-2").versions["version-2"])
        entry = services.sign(
            *("--format", "grafeas", "--server", server.url, "--note", NOTE),
            *("--key", "alibaba:cn-hongkong/key-1/version-2", "--kms-endpoint", kms.url, "--algorithm", algorithm),
        )
        assert (entry["format"], entry["keyVersion"], entry["algorithm"]) == ("grafeas", "version-2", algorithm)
        attestation = server.occurrences[0]["attestation"]
        (stored,) = attestation["signatures"]
        assert stored["publicKeyId"] == "key-1"
        signature, payload = b64decode(stored["signature"]), b64decode(attestation["serializedPayload"])
        assert openssl_verifies(tmp_path, pem, algorithm, signature, payload)
        known = {"id": "key-1", "pem": pem, "algorithm": algorithm}
        assert services.verifies({"grafeas": {"server": server.url, "note": NOTE, "keys": [known]}})

    def test_openpgp_key_in_a_file_attests(self, services: Services, server: GrafeasSimulator) -> None:
        entry = services.sign(
            *("--format", "grafeas", "--server", server.url, "--note", NOTE, "--key", OPENPGP_KEY),
        )
        assert entry["algorithm"] == "OpenPGP"
        public = str(pysequoia.Cert.from_bytes(OPENPGP_KEY.read_bytes()))
        assert services.verifies({"grafeas": {"server": server.url, "note": NOTE, "keys": [{"pgp": public}]}})

    def test_alibaba_key_signs_with_the_algorithms_of_its_rules_only(
        self, services: Services, kms: AlibabaKMSSimulator, server: GrafeasSimulator
    ) -> None:
        kms.add("key-1", "EC_P256", "version-1")
        done = services.run(
            *("sign", "--format", "grafeas", "--server", server.url, "--note", NOTE),
            *("--key", "alibaba:cn-hongkong/key-1", "--kms-endpoint", kms.url),
        )
        assert done.exit_code == 1
        assert "RSA_PSS_SHA_256 or RSA_PKCS1_SHA_256, and not ECDSA_SHA_256; use an RSA key" in done.stderr
        assert server.occurrences == []

    def test_token_is_read_from_the_variable_or_a_file(
        self,
        services: Services,
        dew: DEWSimulator,
        server: GrafeasSimulator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        dew.add("b1c2", "EC_P256")
        server.token = "the-token"
        (tmp_path / "token").write_text("the-token\n")
        options: list[object] = ["--format", "grafeas", "--server", server.url, "--note", NOTE]
        options += ["--key", f"huawei:cn-north-4/{PROJECT}/b1c2", "--kms-endpoint", dew.url, "--attestor", "qa"]
        assert services.run("sign", *options).exit_code == 3
        assert services.sign(*options, "--token-file", tmp_path / "token")["outcome"] == "signed"
        monkeypatch.setenv("GRAFEAS_TOKEN", "the-token")
        assert services.sign(*options)["outcome"] == "alreadySigned"
        (stored,) = server.occurrences[0]["attestation"]["signatures"]
        assert stored["publicKeyId"] == "qa"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ((), "--note is missing"),
            (("--note", NOTE), "--server is missing"),
            (("--note", "qa", "--server", "https://g.example.org"), "must be written as projects/PROJECT/notes/NOTE"),
            (("--note", "a/b", "--server", "https://g.example.org"), "must be written as projects/PROJECT/notes/NOTE"),
            (("--note", NOTE, "--server", "g.example.org"), "--server g.example.org must be written as https://"),
            (("--note", NOTE, "--server", "https://g", "--project", "p"), "must be written as projects/PROJECT"),
        ],
    )
    def test_options_are_checked_before_anything_is_asked(
        self, services: Services, options: tuple[str, ...], message: str
    ) -> None:
        done = services.run("sign", "--format", "grafeas", "--key", "huawei:r/p/k", *options)
        assert done.exit_code == 2
        assert message in done.stderr
        assert services.registry.requests == []


class TestOracle:
    @pytest.fixture
    def simulators(self, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[HTTPSimulator]:
        """Registry and vault, with a configuration of `oci` for both."""
        ocir, vault = services.add(OCIRSimulator()), services.add(OCIVaultSimulator())
        assert isinstance(vault, OCIVaultSimulator)
        api_key: APIKey = vault.api_key
        ocir.api_key = api_key
        ocir.images[IMAGE_ID] = (services.digest, "app")
        vault.add(KEY_ID, "RSA 2048", VERSION_ID)
        (tmp_path / "api.pem").write_bytes(api_key.secret["privateKey"])
        tenancy, user, fingerprint = api_key.key_id
        text = f"[DEFAULT]\nuser={user}\ntenancy={tenancy}\nfingerprint={fingerprint}\nregion={REGION}\n"
        (tmp_path / "oci.config").write_text(f"{text}key_file={tmp_path / 'api.pem'}\n")
        monkeypatch.setenv("OCI_CLI_CONFIG_FILE", str(tmp_path / "oci.config"))
        return [ocir, vault]

    def test_key_of_a_vault_signs_a_record(
        self, services: Services, simulators: list[HTTPSimulator], tmp_path: Path
    ) -> None:
        ocir, vault = simulators
        assert isinstance(vault, OCIVaultSimulator)
        assert isinstance(ocir, OCIRSimulator)
        options = [
            *("--format", "oracle", "--server", ocir.url, "--compartment", COMPARTMENT),
            *("--key", f"oracle:{KEY_ID}/{VERSION_ID}", "--kms-endpoint", vault.url),
            *("--description", "Image for UAT", "--metadata", '{"buildnumber":"8447"}'),
        ]
        entry = services.sign(*options)
        assert (entry["keyVersion"], entry["algorithm"]) == (VERSION_ID, "RSA_PSS_SHA_256")
        assert services.sign(*options)["outcome"] == "alreadySigned"
        (record,) = ocir.records
        message = b64decode(record["message"])
        said = json.loads(message)
        assert (said["region"], said["description"]) == (REGION, "Image for UAT")
        pem = pem_of_key(vault.keys[KEY_ID].versions[VERSION_ID])
        assert openssl_verifies(tmp_path, pem, "RSA_PSS_SHA_256", b64decode(record["signature"]), message)
        data = {name: value.decode() for name, value in vault.api_key.secret.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "oci"}, "stringData": data}
        trusted = {"keyId": KEY_ID, "pem": pem}
        spec = {
            "region": REGION,
            "endpoint": ocir.url,
            "compartmentId": COMPARTMENT,
            "credentialsSecret": {"name": "oci"},
            "trustedKeys": [trusted],
            "metadata": {"buildnumber": "8447"},
        }
        assert services.verifies({"oracle": spec}, secret)
        assert not services.verifies({"oracle": {**spec, "description": "another"}}, secret)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--key", "release.key"), "with a key in a vault only: --key oracle:KEY-OCID/VERSION-OCID"),
            (("--key", f"oracle:{KEY_ID}/{VERSION_ID}"), "--compartment is missing"),
            (("--key", f"oracle:{KEY_ID}/{VERSION_ID}", "--compartment", "mine"), "must be written as ocid1.compart"),
            (
                ("--key", f"oracle:{KEY_ID}", "--compartment", COMPARTMENT),
                "not written as oracle:KEY-OCID/VERSION-OCID",
            ),
        ],
    )
    @pytest.mark.usefixtures("simulators")
    def test_options_are_checked_before_anything_is_asked(
        self, services: Services, options: tuple[str, ...], message: str
    ) -> None:
        done = services.run("sign", "--format", "oracle", *options)
        assert done.exit_code == 2
        assert message in done.stderr
        assert services.registry.requests == []

    def test_metadata_follows_the_rule_of_oracle(self, services: Services, simulators: list[HTTPSimulator]) -> None:
        ocir, vault = simulators
        done = services.run(
            *("sign", "--format", "oracle", "--server", ocir.url, "--compartment", COMPARTMENT),
            *("--key", f"oracle:{KEY_ID}/{VERSION_ID}", "--kms-endpoint", vault.url, "--metadata", '{"build": "1"}'),
        )
        assert done.exit_code == 2
        assert "must be alphanumeric, without white space" in done.stderr
