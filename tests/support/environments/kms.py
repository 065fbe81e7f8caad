"""A simulated KMS, a policy entry for one of its keys, and the code under test that resolves the entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.http.services import ServiceClient
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.credentials import Identities, KMSCredentials
from sealgate.kms.resolve import resolve_kms
from sealgate.kms.signing import KMSSigningKeys
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import Names, settings_for
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.aws_kms import AWSKMSSimulator
from tests.support.simulators.azure_key_vault import AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.api.v1alpha1.status import KeyStatus
    from sealgate.kms.signing import KMSSigningKey

KMSSimulator = (
    DEWSimulator
    | AlibabaKMSSimulator
    | OCIVaultSimulator
    | AWSKMSSimulator
    | GoogleKMSSimulator
    | AzureKeyVaultSimulator
    | VaultSimulator
)
PROVIDERS: Mapping[type[KMSSimulator], str] = {
    DEWSimulator: "huawei",
    AlibabaKMSSimulator: "alibaba",
    OCIVaultSimulator: "oracle",
    AWSKMSSimulator: "aws",
    GoogleKMSSimulator: "google",
    AzureKeyVaultSimulator: "azure",
    VaultSimulator: "vault",
}
AWS_KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
GOOGLE_KEY = "projects/shop-1/locations/global/keyRings/release/cryptoKeys/images"
ORACLE_KEY = "ocid1.key.oc1.phx.vault.k"
KEY_IDS = {
    "huawei": "b1c2-d3",
    "alibaba": "key-hzz630494463",
    "oracle": ORACLE_KEY,
    "aws": AWS_KEY,
    "google": GOOGLE_KEY,
    "azure": "release",
    "vault": "release",
}
SECRET = "cloud"
#: Where the region of entries is, for providers that require one of their own.
REGIONS = {"aws": "eu-central-1"}


class KMSEnvironment:
    """A KMS simulator with a client; a context manager.

    Args:
        simulator: class of the KMS simulator.
        more: arguments of the simulator's constructor.

    Attributes:
        kms: the simulator, with the right credentials in the Secret `SECRET`.
        clock: clock of the client and the simulator.
        secrets: data of the Secrets, by name.
        identities: of the process; none at first.
        names: resolver of the client, with a record of the lookups.
    """

    def __init__(self, simulator: type[KMSSimulator], **more: Any) -> None:
        self.provider = PROVIDERS[simulator]
        self.clock = FakeClock()
        self.kms = simulator(clock=self.clock, **more)
        self.names = Names({"127.0.0.1": "127.0.0.1"})
        self.client = ServiceClient(settings_for(self.kms), clock=self.clock, resolver=self.names)
        self.secrets: dict[str, dict[str, bytes]] = {SECRET: dict(self.kms.secret)}
        self.identities = Identities()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kms.close()
        self.client.close()

    def add_key(self) -> None:
        """Store a good ECDSA key, on P-256, under the name that entries have."""
        if isinstance(self.kms, DEWSimulator):
            self.kms.add(self.key_id, "EC_P256")
        elif isinstance(self.kms, AlibabaKMSSimulator):
            self.kms.add(self.key_id, "EC_P256", "version-1")
        elif isinstance(self.kms, AWSKMSSimulator):
            self.kms.add(self.key_id, "ECC_NIST_P256")
        elif isinstance(self.kms, GoogleKMSSimulator):
            self.kms.add(self.key_id, "EC_SIGN_P256_SHA256")
        elif isinstance(self.kms, AzureKeyVaultSimulator):
            self.kms.add(self.key_id, "ECDSA P-256")
        elif isinstance(self.kms, VaultSimulator):
            self.kms.add(self.key_id, "ecdsa-p256")
        else:
            self.kms.add(self.key_id, "ECDSA P-256", "ocid1.keyversion.oc1.phx.vault.v1")

    @property
    def key_id(self) -> str:
        """The key that entries name."""
        return KEY_IDS[self.provider]

    def source(self, **fields: Any) -> dict[str, Any]:
        """Return the provider's fields of an entry, as in YAML; None leaves one out."""
        named: dict[str, Any] = {"credentialsSecret": {"name": SECRET}, "endpoint": self.kms.url}
        if self.provider in {"azure", "google", "vault"}:
            named["key"] = self.key_id
        else:
            named |= {"region": REGIONS.get(self.provider, "cn-north-4"), "keyId": self.key_id}
        if self.provider == "huawei":
            named["projectId"] = PROJECT
        return {name: value for name, value in {**named, **fields}.items() if value is not None}

    def entry(self, algorithm: str | None = None, distinguishing_id: str | None = None, **fields: Any) -> KeyEntry:
        """Return an entry that names the key."""
        document = {"kms": {self.provider: self.source(**fields)}}
        more = {"algorithm": algorithm, "distinguishingId": distinguishing_id}
        return KeyEntry.model_validate({**document, **{name: value for name, value in more.items() if value}})

    def signing_key(self, algorithm: str | None = None, **fields: Any) -> KMSSigningKey:
        """Open the key of an entry for signing; arguments as for `entry`."""
        return self.signing_keys().open(self.entry(algorithm, **fields), self.deadline())

    def signing_keys(self) -> KMSSigningKeys:
        budgets = Budgets(REQUESTS_PER_MINUTE, BURST, self.clock)
        return KMSSigningKeys(self.client, MappingServiceSecrets(self.secrets), self.clock, budgets, self.identities)

    @property
    def credentials(self) -> KMSCredentials:
        return KMSCredentials(MappingServiceSecrets(self.secrets), self.identities)

    def deadline(self) -> Deadline:
        return Deadline.after(self.clock, 20)

    def resolve(self, entry: KeyEntry | None = None) -> tuple[KeyStatus, ...]:
        """Ask about an entry; the usual one by default."""
        services = self.client.services(self.deadline())
        return resolve_kms(entry or self.entry(), self.credentials, services, self.clock)

    def resolve_one(self, entry: KeyEntry | None = None) -> KeyStatus:
        """Ask about an entry whose key has one version."""
        (status,) = self.resolve(entry)
        return status
