"""The `kms` field of a key entry: public keys that are read from a key management service.

A provider is a subclass of `ProviderKey` (`sealgate.api.v1alpha1.kms_provider`) and a field of `KMSSource`; everything
else follows from them.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.kms_aws import AWSKMS
from sealgate.api.v1alpha1.kms_azure import AzureKMS
from sealgate.api.v1alpha1.kms_google import GoogleKMS
from sealgate.api.v1alpha1.kms_provider import Endpoint, ProviderKey, Region, RegionalKey
from sealgate.api.v1alpha1.kms_vault import VaultKMS
from sealgate.api.v1alpha1.model import Model, exactly_one
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA

HuaweiID = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][-0-9A-Za-z]{0,63}$", max_length=64)]
AlibabaKeyID = Annotated[
    str, StringConstraints(pattern=r"^(acs:kms:[-a-z0-9]{1,64}:[0-9]{1,32}:key/)?[0-9A-Za-z][-0-9A-Za-z]{0,127}$")
]
AlibabaVersionID = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][-0-9A-Za-z]{0,127}$", max_length=128)]
OracleKeyID = Annotated[str, StringConstraints(pattern=r"^ocid1\.key\.[-.0-9A-Za-z_]{1,240}$", max_length=255)]
OracleVersionID = Annotated[
    str, StringConstraints(pattern=r"^ocid1\.keyversion\.[-.0-9A-Za-z_]{1,230}$", max_length=255)
]


class HuaweiKMS(RegionalKey):
    """A key in Huawei Cloud's Data Encryption Workshop (DEW)."""

    region: Region = Field(description="Region of the key, such as cn-north-4.")
    project_id: HuaweiID = Field(description="Project of the key.")
    key_id: HuaweiID = Field(description="The key's id.")
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="Secret with accessKey and secretKey, and securityToken with temporary ones. Default: the agency "
        "of the node (the chart's value kms.huawei.metadataService).",
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Address of the service. Default https://kms.REGION.myhuaweicloud.com."
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the service, if it is private.")

    @property
    def url(self) -> str:
        """The endpoint, or the region's own, without a slash at its end."""
        return (self.endpoint or f"https://kms.{self.region}.myhuaweicloud.com").rstrip("/")

    @property
    def name(self) -> str:
        """Region, project and key in one word."""
        return f"{self.region}/{self.project_id}/{self.key_id}"


class AlibabaKMS(RegionalKey):
    """A key in Alibaba Cloud KMS."""

    version_fields = frozenset({"key_version_id"})

    region: Region = Field(description="Region of the key, such as cn-hongkong.")
    key_id: AlibabaKeyID = Field(
        max_length=255,
        description="The key's id, or its ARN when it belongs to another account; aliases are not taken.",
    )
    key_version_id: AlibabaVersionID | None = Field(
        default=None, description="The only version of the key that is accepted. Default: every version it has."
    )
    credentials_secret: CredentialsSecret = Field(
        description="Secret with accessKeyId and accessKeySecret, and securityToken with temporary ones."
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Address of the service. Default https://kms.REGION.aliyuncs.com."
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the service, if it is private.")

    @property
    def url(self) -> str:
        """The endpoint, or the region's own, without a slash at its end."""
        return (self.endpoint or f"https://kms.{self.region}.aliyuncs.com").rstrip("/")

    @property
    def name(self) -> str:
        """Region and key in one word."""
        return f"{self.region}/{self.key_id}"

    @property
    def versions(self) -> tuple[str, ...]:
        """The only version that is accepted; empty for every version."""
        return () if self.key_version_id is None else (self.key_version_id,)


class OracleKMS(ProviderKey):
    """A key in an Oracle Cloud vault."""

    version_fields = frozenset({"key_version_ids"})

    # Validated and dropped, so that it makes no difference between two keys; see `deprecations`.
    region: Annotated[Region | None, AfterValidator(lambda _: None)] = Field(
        default=None, description="Deprecated and ignored, the endpoint names the region. A later release refuses it."
    )
    key_id: OracleKeyID = Field(description="The key's OCID.")
    key_version_ids: tuple[OracleVersionID, ...] = Field(
        default=(),
        max_length=64,
        description="OCIDs of the only versions of the key that are accepted. Default: every version it has.",
    )
    endpoint: Endpoint = Field(
        description="Management endpoint of the vault: https://VAULT-management.kms.REGION.oraclecloud.com."
    )
    credentials_secret: CredentialsSecret = Field(
        description="Secret with an API key: tenancy, user, fingerprint, privateKey, and passphrase if it has one."
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the vault, if it is private.")

    @property
    def name(self) -> str:
        """The key's OCID, which names region and vault."""
        return self.key_id

    @property
    def address(self) -> str | None:
        """The vault's management endpoint."""
        return self.endpoint

    @property
    def service(self) -> str:
        """The vault's management endpoint."""
        return self.endpoint

    @property
    def versions(self) -> tuple[str, ...]:
        """The only versions that are accepted; empty for every version."""
        return self.key_version_ids


class KMSSource(Model):
    """A public key in a key management service. Exactly one provider."""

    huawei: HuaweiKMS | None = Field(default=None, description="Huawei Cloud Data Encryption Workshop (DEW).")
    alibaba: AlibabaKMS | None = Field(default=None, description="Alibaba Cloud KMS.")
    oracle: OracleKMS | None = Field(default=None, description="Oracle Cloud Vault.")
    aws: AWSKMS | None = Field(default=None, description="AWS Key Management Service (KMS).")
    google: GoogleKMS | None = Field(default=None, description="Google Cloud KMS.")
    azure: AzureKMS | None = Field(default=None, description="Azure Key Vault, or a managed HSM.")
    vault: VaultKMS | None = Field(default=None, description="HashiCorp Vault, or OpenBao: the transit engine.")

    @model_validator(mode="after")
    def _has_one_provider(self) -> Self:
        exactly_one(self, "KMS", tuple(type(self).model_fields))
        return self

    @property
    def provider(self) -> str:
        """The field that is set: "huawei"."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def of(self) -> ProviderKey:
        """The key as its provider describes it."""
        found = getattr(self, self.provider)
        assert isinstance(found, ProviderKey)  # noqa: S101 - every field of the model is one
        return found

    @property
    def source(self) -> str:
        """The name of the key in `status.keys[].source` and messages: `kms PROVIDER ID`, and `at ENDPOINT` if set.

        The same ID at another address is another key.
        """
        address = "" if self.of.address is None else f" at {self.of.address}"
        return f"kms {self.provider} {self.of.name}{address}"

    @property
    def service(self) -> str:
        """The service that is asked: the same for all keys of one service."""
        return f"{self.provider} {self.of.service}"

    @property
    def versions(self) -> tuple[str, ...]:
        """The only versions of the key that are accepted; empty for every version."""
        return self.of.versions

    def is_same_key(self, other: KMSSource) -> bool:
        """Return whether both name one key, in any versions, and ask for it in the same way."""
        versions = set(self.of.version_fields)
        return self.provider == other.provider and (
            self.of.model_dump(exclude=versions) == other.of.model_dump(exclude=versions)
        )
