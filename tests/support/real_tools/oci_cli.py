"""Oracle's own command line, `oci artifacts container image-signature`, against simulators of registry and vault.

It runs with the addresses that it has built in, over TLS. The simulators check its signed requests. sealgate is beside
it, with the same vault and the same API key.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from functools import cache
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
from sealgate.formats.signing import SigningContext
from sealgate.keys.resolvers import FileKeys
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.credentials import KMSCredentials
from sealgate.kms.resolve import resolve_kms
from sealgate.kms.signing import KMSSigningKeys
from sealgate.references import Digest, parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.builders.objects import authenticator_model
from tests.support.environments.registry_clients import client_for, session_of, settings_for, writer_of
from tests.support.real_tools.required import require_tool
from tests.support.real_tools.verdicts import Judge, Verdict
from tests.support.signers.private_keys import new_key
from tests.support.simulators.connect_proxy import ConnectProxy
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.ocir import COMPARTMENT, REGION, APIKey, OCIRSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealgate.findings import Verified
    from sealgate.formats.signing import SigningResult
    from sealgate.reasons import Reason

VAULT = "bbqehaq3aadfa"
KEY_ID = f"ocid1.key.oc1.phx.{VAULT}.{'abyh' * 15}"
VERSION_ID = f"ocid1.keyversion.oc1.phx.{VAULT}.{'acy6' * 15}"
IMAGE_ID = f"ocid1.containerimage.oc1.phx.0.ansh81vru1zp.{'lqzj' * 15}"
REPOSITORY = "project01/acme-web-app"
IMAGE = f"phx.ocir.io/ansh81vru1zp/{REPOSITORY}:v2.0.test"
DIGEST = Digest("sha256:" + "4a" * 32)
FINGERPRINT = ":".join(["20", "3b", "97", "13"] * 4)


class Oracle:
    """Registry, vault, and the command line in front of them; sealgate beside it.

    Attributes:
        registry: the service of image signatures.
        vault: has one key in one version.
    """

    def __init__(self, folder: Path, registry: OCIRSimulator, vault: OCIVaultSimulator, proxy: ConnectProxy) -> None:
        self.registry, self.vault = registry, vault
        self._folder, self._proxy = folder, proxy
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
        return subprocess.run(
            [*self._command, command, *_options(options)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder), "SUPPRESS_LABEL_WARNING": "True"}

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
        verdict = self.judge()
        assert verdict.accepted, verdict.output
        return finds_valid(verdict)

    def judge(self) -> Verdict:
        """Return what Oracle's tool says about the image; it ends with 0 for an invalid signature too."""
        options = {
            "compartment_id": COMPARTMENT,
            "repo_name": REPOSITORY,
            "image_digest": DIGEST,
            "trusted_keys": KEY_ID,
        }
        names = {self._proxy.url: "PROXY"}
        judge = Judge(f"oci {_version_of(self._command[0])}", self._folder, self._environment, names)
        return judge.verdict("oci", *self._command[1:], "get-verify", *_options(options), program=self._command[0])

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
            credentials = KMSCredentials(MappingServiceSecrets(self._secrets))
            (status,) = resolve_kms(self._entry(), credentials, services, clock)
        assert status.pem, status.message
        return status.pem


def finds_valid(verdict: Verdict) -> bool:
    """Return what Oracle's tool says of the signature."""
    printed = "\n".join(verdict.output)
    valid: bool = json.loads(printed[printed.index("{") :])["data"]["is-signature-valid"]
    return valid


@cache
def _version_of(program: str) -> str:
    # It takes a second to start, and has its settings in the environment.
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull, "SUPPRESS_LABEL_WARNING": "True"}
    return subprocess.run(
        [program, "--version"], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def _options(options: Mapping[str, str]) -> list[str]:
    return [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]


@contextlib.contextmanager
def oracle_tools(folder: Path) -> Iterator[Oracle]:
    """Start registry, vault and proxy for the command line, which keeps its files in a folder."""
    hosts = (f"artifacts.{REGION}.oci.oraclecloud.com", f"{VAULT}-crypto.kms.{REGION}.oraclecloud.com")
    with (
        OCIRSimulator(tls=True, names=hosts[:1]) as registry,
        OCIVaultSimulator(tls=True, names=hosts[1:]) as vault,
        ConnectProxy(dict(zip(hosts, (registry.port, vault.port), strict=True))) as proxy,
    ):
        yield Oracle(folder, registry, vault, proxy)
