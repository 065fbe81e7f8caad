"""The fields of a key in Azure Key Vault or a managed HSM."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sealgate.api.v1alpha1.kms_provider import Endpoint, ProviderKey
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA

AzureKeyName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][-0-9A-Za-z]{0,126}$", max_length=127)]
AzureKeyVersion = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$", max_length=32)]


class AzureKMS(ProviderKey):
    """A key in Azure Key Vault or a managed HSM."""

    version_fields = frozenset({"key_version"})

    endpoint: Endpoint = Field(description="Address of the vault: https://NAME.vault.azure.net.")
    key: AzureKeyName = Field(description="Name of the key.")
    key_version: AzureKeyVersion | None = Field(
        default=None, description="The only version of the key that is accepted. Default: every version that it has."
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="Secret with tenantId, clientId and clientSecret of an application. Default: the workload identity "
        "of sealgate's ServiceAccount, or a managed identity of the node (the chart's value kms.azure).",
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the vault, if it is private.")

    @property
    def url(self) -> str:
        """The endpoint, without a slash at its end."""
        return self.endpoint.rstrip("/")

    @property
    def address(self) -> str | None:
        """The vault's address."""
        return self.endpoint

    @property
    def service(self) -> str:
        """The vault's address."""
        return self.endpoint

    @property
    def name(self) -> str:
        """The key's name."""
        return self.key

    @property
    def versions(self) -> tuple[str, ...]:
        """The only version that is accepted; empty for every version."""
        return () if self.key_version is None else (self.key_version,)
