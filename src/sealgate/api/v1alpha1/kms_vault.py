"""The fields of a key in the transit engine of HashiCorp Vault, or of OpenBao."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.kms_provider import Endpoint, ProviderKey
from sealgate.api.v1alpha1.model import Model, exactly_one
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA

_WORD = r"[0-9A-Za-z_]([-.0-9A-Za-z_]{0,62}[0-9A-Za-z_])?"
#: A path of words, none of which is `.` or `..`.
VaultPath = Annotated[str, StringConstraints(pattern=rf"^{_WORD}(/{_WORD}){{0,7}}$", max_length=256)]
VaultKeyName = Annotated[str, StringConstraints(pattern=rf"^{_WORD}$", max_length=64)]
VaultRole = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_][-.0-9A-Za-z_]{0,127}$", max_length=128)]


class VaultKubernetesAuth(Model):
    """Vault's Kubernetes (or JWT) auth method, with a token of sealgate's own ServiceAccount."""

    role: VaultRole = Field(description="Role of the auth method.")
    mount: VaultPath = Field(default="kubernetes", description="Path that the auth method is mounted at.")


class VaultKMS(ProviderKey):
    """A key in the transit engine of HashiCorp Vault, or of OpenBao."""

    version_fields = frozenset({"key_version"})

    endpoint: Endpoint = Field(description="Address of Vault: https://vault.example.org:8200.")
    mount: VaultPath = Field(default="transit", description="Path that the transit engine is mounted at.")
    key: VaultKeyName = Field(description="Name of the key.")
    key_version: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The only version of the key that is accepted. Default: every version that is not archived.",
    )
    namespace: VaultPath | None = Field(default=None, description="Namespace, which only some editions of Vault have.")
    kubernetes: VaultKubernetesAuth | None = Field(
        default=None,
        description="Log in with sealgate's ServiceAccount. The chart's value kms.vault.address must be the endpoint.",
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None, description="Secret with address, which must be the endpoint, and token."
    )
    ca: ServiceCA | None = Field(default=None, description="CA of Vault, if it is private.")

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.kubernetes) != has(self.credentialsSecret)",
                    "message": "set exactly one of kubernetes and credentialsSecret",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _has_one_login(self) -> Self:
        exactly_one(self, "way to log in", ("kubernetes", "credentials_secret"))
        return self

    def with_credentials(self, secret: CredentialsSecret) -> Self:
        """Return the same key, asked for with the token in a Secret instead of a login."""
        return self.model_copy(update={"credentials_secret": secret, "kubernetes": None})

    @property
    def address(self) -> str | None:
        """Vault's address."""
        return self.endpoint

    @property
    def service(self) -> str:
        """Vault's address."""
        return self.endpoint

    @property
    def name(self) -> str:
        """Namespace, mount and key in one word."""
        path = f"{self.mount}/{self.key}"
        return path if self.namespace is None else f"{self.namespace}/{path}"

    @property
    def versions(self) -> tuple[str, ...]:
        """The only version that is accepted; empty for every version."""
        return () if self.key_version is None else (str(self.key_version),)
