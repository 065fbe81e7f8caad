"""Keys in key management services that are used with the identity of a metadata service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.metadata_identities import metadata_identities
from sealgate.kms.platform import platform_identities
from sealgate.kms.resolve import resolve_kms
from sealgate.kms.signing import KMSSigningKeys
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.environments.kms import KMSEnvironment
from tests.support.environments.pull_credentials import RoutedServices
from tests.support.simulators.aws_kms import AWSKMSSimulator
from tests.support.simulators.azure_key_vault import AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.metadata import MetadataSimulator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.status import KeyStatus
    from sealgate.kms.signing import KMSSigningKey
    from tests.support.environments.kms import KMSSimulator

SIMULATORS: dict[str, type[KMSSimulator]] = {
    "aws": AWSKMSSimulator,
    "azure": AzureKeyVaultSimulator,
    "google": GoogleKMSSimulator,
    "huawei": DEWSimulator,
}
#: Where the bearers of a metadata service are sent, as policies name it.
PUBLIC = {"azure": "https://shop-1.vault.azure.net", "google": "https://cloudkms.googleapis.com"}


class MetadataKeys(KMSEnvironment):
    """A KMS that accepts what the metadata service of the node gives; see `KMSEnvironment`.

    Args:
        provider: "aws", "azure", "google" or "huawei".
        folder: for the token of the agent of EKS.
        enabled: the providers for which the settings have the metadata service asked; by default this one.
        environ: further variables of the process.
    """

    def __init__(
        self,
        provider: str,
        folder: Path,
        *,
        enabled: Iterable[str] | None = None,
        environ: dict[str, str] | None = None,
        azure_client: str = "",
    ) -> None:
        super().__init__(SIMULATORS[provider])
        self.metadata = MetadataSimulator(clock=self.clock)
        self.add_key()
        self._accept()
        (folder / "agent").write_text(self.metadata.token)
        self.environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "agent"),
            **(environ or {}),
        }
        asked = metadata_identities(
            (provider,) if enabled is None else enabled,
            self.environ,
            self.clock,
            azure_client=azure_client,
            client=self.metadata.client(),
        )
        self.identities = platform_identities(self.environ, metadata=asked)
        self.routed = RoutedServices(dict.fromkeys(PUBLIC.values(), self.kms) | {self.kms.url: self.kms}, self.clock)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.routed.close()
        self.metadata.close()
        super().__exit__(kind, error, traceback)

    def own_entry(self, **fields: Any) -> KeyEntry:
        """Return an entry without credentials, for the address that its cloud has."""
        endpoint = {"azure": PUBLIC["azure"], "google": None}.get(self.provider, self.kms.url)
        return self.entry(**{"endpoint": endpoint, "credentialsSecret": None, **fields})

    def read(self, entry: KeyEntry | None = None) -> KeyStatus:
        """Read the key of an entry, which has one version."""
        services = self.routed.services(self.deadline())
        (status,) = resolve_kms(entry or self.own_entry(), self.credentials, services, self.clock)
        return status

    def open(self) -> KMSSigningKey:
        """Return the key, ready to sign."""
        budgets = Budgets(REQUESTS_PER_MINUTE, BURST, self.clock)
        keys = KMSSigningKeys(self.routed, MappingServiceSecrets(self.secrets), self.clock, budgets, self.identities)
        return keys.open(self.own_entry(), Deadline.after(self.clock, 20))

    def _accept(self) -> None:
        kms, (key, secret, token) = self.kms, self.metadata.access_key
        if isinstance(kms, AWSKMSSimulator):
            kms.sessions[key] = (secret, token)
        elif isinstance(kms, DEWSimulator):
            kms.access_key, kms.secret_key, kms.security_token = key, secret, token
        elif isinstance(kms, AzureKeyVaultSimulator):
            kms.tokens.append(self.metadata.bearer)
        elif isinstance(kms, GoogleKMSSimulator):
            kms.sessions.append(self.metadata.bearer)
