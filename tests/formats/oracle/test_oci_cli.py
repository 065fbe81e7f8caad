"""Oracle's own command line signs and verifies: `oci artifacts container image-signature`.

It runs with the addresses that it has built in, over TLS, against simulators of registry and vault that check its
signed requests. What it signs and uploads must verify here, and what does not verify here must not there either, but
for what it does not look at. What sealgate signs with the same vault must verify there, and be asked for and uploaded
in the same words.
"""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.budgets import Budgets
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import VerificationError
from sealgate.formats.build import build_check
from sealgate.formats.interface import Image, Sources
from sealgate.formats.oracle.service import SignatureService
from sealgate.formats.oracle.sign import build_signer
from sealgate.formats.signing import SigningContext, SigningOutcome
from sealgate.keys.resolvers import FileKeys
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.resolve import resolve_kms
from sealgate.kms.signing import KMSSigningKeys
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.builders.objects import authenticator_model
from tests.support.environments.registry_clients import client_for, session_of, settings_for, writer_of
from tests.support.real_tools.required import require_tool
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.connect_proxy import ConnectProxy
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.ocir import COMPARTMENT, REGION, APIKey, OCIRSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.formats.signing import SigningResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

VAULT = "bbqehaq3aadfa"
KEY_ID = f"ocid1.key.oc1.phx.{VAULT}.{'abyh' * 15}"
VERSION_ID = f"ocid1.keyversion.oc1.phx.{VAULT}.{'acy6' * 15}"
IMAGE_ID = f"ocid1.containerimage.oc1.phx.0.ansh81vru1zp.{'lqzj' * 15}"
REPOSITORY = "project01/acme-web-app"
IMAGE = f"phx.ocir.io/ansh81vru1zp/{REPOSITORY}:v2.0.test"
DIGEST = Digest("sha256:" + "4a" * 32)
ALGORITHMS = [f"SHA_{bits}_RSA_PKCS_PSS" for bits in (224, 256, 384, 512)]
FINGERPRINT = ":".join(["20", "3b", "97", "13"] * 4)


class Oracle:
    """Registry, vault, and the command line in front of them; sealgate beside it.

    Attributes:
        registry: the service of image signatures.
        vault: has one key in one version.
    """

    def __init__(self, folder: Path, registry: OCIRSimulator, vault: OCIVaultSimulator, proxy: ConnectProxy) -> None:
        self.registry, self.vault = registry, vault
        self._folder = folder
        private = new_key("RSA 2048", "a user of Oracle Cloud")
        assert isinstance(private, rsa.RSAPrivateKey)
        api_key = APIKey(private, (f"ocid1.tenancy.oc1..{'t' * 60}", f"ocid1.user.oc1..{'u' * 60}", FINGERPRINT))
        registry.api_key = vault.api_key = api_key
        registry.images[IMAGE_ID] = (DIGEST, REPOSITORY)
        vault.add(KEY_ID, "RSA 2048", VERSION_ID)
        self._secrets: Mapping[str, Mapping[str, bytes]] = {"oci": api_key.secret}
        key_file = folder / "api_key.pem"
        key_file.write_bytes(api_key.secret["privateKey"])
        authorities = folder / "ca.pem"
        authorities.write_text(registry.ca_pem + vault.ca_pem)
        tenancy, user, fingerprint = api_key.key_id
        config = folder / "config"
        config.write_text(
            f"[DEFAULT]\nuser={user}\ntenancy={tenancy}\nfingerprint={fingerprint}\nregion={REGION}\n"
            f"key_file={key_file}\n"
        )
        for path in (config, key_file):
            path.chmod(0o600)
        self._command = [
            *(require_tool("oci"), "--config-file", str(config), "--cert-bundle", str(authorities)),
            *("--proxy", proxy.url, "artifacts", "container", "image-signature"),
        ]

    def run(self, command: str, **options: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the group."""
        given = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "SUPPRESS_LABEL_WARNING": "True"}
        return subprocess.run(
            [*self._command, command, *given], env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def sign(self, algorithm: str = "SHA_256_RSA_PKCS_PSS", **more: str) -> dict[str, Any]:
        """Sign the image and upload the signature; return the record."""
        done = self.run(
            "sign-upload",
            compartment_id=COMPARTMENT,
            kms_key_id=KEY_ID,
            kms_key_version_id=VERSION_ID,
            signing_algorithm=algorithm,
            image_id=IMAGE_ID,
            **more,
        )
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = self.registry.records[-1]
        return record

    def oracle_finds_it_valid(self) -> bool:
        """Ask Oracle's tool whether the image is signed by the key."""
        done = self.run(
            "get-verify",
            compartment_id=COMPARTMENT,
            repo_name=REPOSITORY,
            image_digest=DIGEST,
            trusted_keys=KEY_ID,
        )
        assert done.returncode == 0, done.stderr
        answer: bool = json.loads(done.stdout[done.stdout.index("{") :])["data"]["is-signature-valid"]
        return answer

    def verify(self, pem: str | None = None, **fields: Any) -> Verified:
        """Verify the image with sealgate; with the key inline, by default the one in the vault."""
        trusted = {"keyId": KEY_ID, "keyVersionIds": [VERSION_ID], "pem": pem or self.public_pem}
        spec = {
            "region": REGION,
            "endpoint": self.registry.url,
            "ca": {"pem": self.registry.ca_pem},
            "compartmentId": COMPARTMENT,
            "credentialsSecret": {"name": "oci"},
            "trustedKeys": [trusted],
            **fields,
        }
        authenticator = authenticator_model("ocir", spec={"oracle": spec})
        clock = SystemClock()
        deadline = Deadline.after(clock, 30)
        with RegistryClient(settings_for(self.registry)) as client:
            sources = Sources(
                registry=client.session(NoCredentials(), deadline),
                services=client.services(deadline),
                clock=clock,
                deadline=deadline,
                secrets=MappingServiceSecrets(self._secrets),
            )
            return build_check(authenticator, FileKeys({})).verify(Image(parse_reference(IMAGE), DIGEST), sources)

    def sealgate_signs(self, algorithm: str = "RSA_PSS_SHA_256", **text: str) -> SigningResult:
        """Sign the image with sealgate, with the key in the vault and the API key that the command line uses."""
        clock = SystemClock()
        deadline = Deadline.after(clock, 60)
        service = SignatureService(self.registry.url, self.registry.ca_pem, COMPARTMENT, subtree=False)
        secrets = MappingServiceSecrets(self._secrets)
        with client_for(self.registry, self.vault) as client:
            keys = KMSSigningKeys(client, secrets, clock, Budgets(REQUESTS_PER_MINUTE, BURST, clock))
            key = keys.open(self._entry(algorithm=algorithm, keyVersionIds=[VERSION_ID]), deadline)
            signer = build_signer(service, "oci", key, KEY_ID, region=REGION, **text)
            session, writer = session_of(client, seconds=60), writer_of(client, seconds=60)
            sources = Sources(session, client.services(deadline), clock, deadline, secrets=secrets)
            return signer.sign(Image(parse_reference(IMAGE), DIGEST), SigningContext(sources, writer))

    def _entry(self, algorithm: str | None = None, **fields: Any) -> KeyEntry:
        kms = {"keyId": KEY_ID, "endpoint": self.vault.url, "ca": {"pem": self.vault.ca_pem}, **fields}
        document = {"kms": {"oracle": {**kms, "credentialsSecret": {"name": "oci"}}}, "algorithm": algorithm}
        return KeyEntry.model_validate(document)

    def refuses(self, reason: Reason, **fields: Any) -> None:
        """Require that sealgate refuses the image for that reason."""
        with pytest.raises(VerificationError) as caught:
            self.verify(**fields)
        assert caught.value.reason is reason, caught.value.message

    @property
    def public_pem(self) -> str:
        """The public key, as sealgate reads it out of the vault with the API key that the command line uses."""
        clock = SystemClock()
        with RegistryClient(settings_for(self.vault)) as client:
            services = client.services(Deadline.after(clock, 30))
            (status,) = resolve_kms(self._entry(), MappingServiceSecrets(self._secrets), services, clock)
        assert status.pem, status.message
        return status.pem


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Oracle]:
    hosts = (f"artifacts.{REGION}.oci.oraclecloud.com", f"{VAULT}-crypto.kms.{REGION}.oraclecloud.com")
    with (
        OCIRSimulator(tls=True, names=hosts[:1]) as registry,
        OCIVaultSimulator(tls=True, names=hosts[1:]) as vault,
        ConnectProxy(dict(zip(hosts, (registry.port, vault.port), strict=True))) as proxy,
    ):
        yield Oracle(tmp_path, registry, vault, proxy)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signature_of_the_oci_cli_verifies(oracle: Oracle, algorithm: str) -> None:
    oracle.refuses(Reason.NO_SIGNATURE)
    record = oracle.sign(algorithm, description="Image for UAT testing", metadata='{"buildNumber":"123"}')
    assert record["signingAlgorithm"] == algorithm
    verified = oracle.verify(description="Image for UAT testing", metadata={"buildNumber": "123"})
    assert len(verified.fingerprints) == 1
    oracle.refuses(Reason.ANNOTATION_MISMATCH, description="Image for production")
    oracle.refuses(Reason.ANNOTATION_MISMATCH, metadata={"buildNumber": "124"})


def test_wrong_key_and_changed_message_are_refused_by_both(oracle: Oracle) -> None:
    record = oracle.sign()
    assert oracle.oracle_finds_it_valid()
    oracle.verify()
    oracle.refuses(Reason.INVALID_SIGNATURE, pem=public_pem(new_key("RSA 2048", "another key")))
    message = b64decode(record["message"])
    record["message"] = b64encode(message.replace(b'"description":""', b'"description":"changed"')).decode()
    assert not oracle.oracle_finds_it_valid()
    oracle.refuses(Reason.INVALID_SIGNATURE)


def test_signature_of_another_image_is_refused_unlike_by_the_oci_cli(oracle: Oracle) -> None:
    other = "sha256:" + "5b" * 32
    oracle.registry.images[IMAGE_ID] = (other, REPOSITORY)
    oracle.sign()
    oracle.registry.honours_filter = False  # as a registry would that lists a signature under the wrong image
    assert oracle.oracle_finds_it_valid()
    oracle.refuses(Reason.DIGEST_MISMATCH)


@pytest.mark.parametrize("algorithm", ["RSA_PSS_SHA_256", "RSA_PSS_SHA_512"])
def test_oci_cli_accepts_the_signature_of_sealgate(oracle: Oracle, algorithm: str) -> None:
    result = oracle.sealgate_signs(algorithm, description="Image for UAT", metadata='{"buildnumber":"8447"}')
    assert result.outcome is SigningOutcome.SIGNED
    assert oracle.oracle_finds_it_valid()
    (record,) = oracle.registry.records
    message = b64decode(record["message"])
    record["message"] = b64encode(message.replace(b"8447", b"8448")).decode()
    assert not oracle.oracle_finds_it_valid()
    oracle.refuses(Reason.INVALID_SIGNATURE)


def test_sealgate_and_the_oci_cli_sign_the_same_in_the_same_words(oracle: Oracle) -> None:
    text = {"description": 'Für "UAT"', "metadata": '{"buildnumber":"8447"}'}
    oracle.sign(**text)
    assert oracle.sealgate_signs(**text).outcome is SigningOutcome.ALREADY_SIGNED
    oracle.registry.records.clear()
    oracle.sealgate_signs(**text)
    signing = [json.loads(asked.body) for asked in oracle.vault.requests if asked.path.endswith("/sign")]
    uploads = [json.loads(asked.body) for asked in oracle.registry.requests if asked.method == "POST"]
    assert signing[0] == signing[1]
    # Each PSS signature has a salt of its own.
    assert len({upload.pop("signature") for upload in uploads}) == 2
    assert uploads[0] == uploads[1]
