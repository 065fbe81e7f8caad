"""The `kms` field of a key entry: public keys that are read from a key management service."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.model import Model, exactly_one
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA

PROVIDERS = ("huawei", "alibaba", "oracle")

#: Regions and projects become parts of host names and paths, so they are words and nothing else.
Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,62}[a-z0-9])?$", max_length=64)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+/?$", max_length=512)]
HuaweiID = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][-0-9A-Za-z]{0,63}$", max_length=64)]
AlibabaKeyID = Annotated[
    str, StringConstraints(pattern=r"^(acs:kms:[-a-z0-9]{1,64}:[0-9]{1,32}:key/)?[0-9A-Za-z][-0-9A-Za-z]{0,127}$")
]
AlibabaVersionID = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][-0-9A-Za-z]{0,127}$", max_length=128)]
OracleKeyID = Annotated[str, StringConstraints(pattern=r"^ocid1\.key\.[-.0-9A-Za-z_]{1,240}$", max_length=255)]
OracleVersionID = Annotated[
    str, StringConstraints(pattern=r"^ocid1\.keyversion\.[-.0-9A-Za-z_]{1,230}$", max_length=255)
]


class HuaweiKMS(Model):
    """A key in Huawei Cloud's Data Encryption Workshop (DEW)."""

    region: Region = Field(description="Region of the key, such as cn-north-4.")
    project_id: HuaweiID = Field(description="Project of the key.")
    key_id: HuaweiID = Field(description="The key's id.")
    credentials_secret: CredentialsSecret = Field(
        description="Secret with accessKey and secretKey, and securityToken with temporary ones."
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Address of the service. Default https://kms.REGION.myhuaweicloud.com."
    )
    ca: ServiceCA | None = Field(default=None, description="Authorities of the service, when they are private.")

    @property
    def name(self) -> str:
        """Region, project and key in one word."""
        return f"{self.region}/{self.project_id}/{self.key_id}"


class AlibabaKMS(Model):
    """A key in Alibaba Cloud KMS."""

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
    ca: ServiceCA | None = Field(default=None, description="Authorities of the service, when they are private.")

    @property
    def name(self) -> str:
        """Region and key in one word."""
        return f"{self.region}/{self.key_id}"


class OracleKMS(Model):
    """A key in an Oracle Cloud vault."""

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
    ca: ServiceCA | None = Field(default=None, description="Authorities of the vault, when they are private.")

    @property
    def name(self) -> str:
        """The key's OCID, which names region and vault."""
        return self.key_id


class KMSSource(Model):
    """A public key in a key management service. Exactly one provider."""

    huawei: HuaweiKMS | None = Field(default=None, description="Huawei Cloud Data Encryption Workshop (DEW).")
    alibaba: AlibabaKMS | None = Field(default=None, description="Alibaba Cloud KMS.")
    oracle: OracleKMS | None = Field(default=None, description="Oracle Cloud Vault.")

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"[{', '.join(f'has(self.{name})' for name in PROVIDERS)}].filter(set, set).size() == 1",
                    "message": f"set exactly one KMS: {' or '.join(PROVIDERS)}",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _has_one_provider(self) -> Self:
        exactly_one(self, "KMS", PROVIDERS)
        return self

    @property
    def provider(self) -> str:
        """The field that is set: "huawei"."""
        return next(name for name in PROVIDERS if getattr(self, name) is not None)

    @property
    def source(self) -> str:
        """How `status.keys[].source` and messages name the key: `kms PROVIDER ID`, and `at ENDPOINT` where one is set.

        The same id at another address is another key.
        """
        place = "" if self.of.endpoint is None else f" at {self.of.endpoint}"
        return f"kms {self.provider} {self.of.name}{place}"

    @property
    def service(self) -> str:
        """Who is asked: the same for all keys of one service."""
        return f"{self.provider} {self.of.endpoint or self.of.region}"

    def is_same_key(self, other: KMSSource) -> bool:
        """Return whether both name one key and ask for it in the same way, of whichever versions."""
        versions = {"key_version_id", "key_version_ids"}
        return self.provider == other.provider and (
            self.of.model_dump(exclude=versions) == other.of.model_dump(exclude=versions)
        )

    @property
    def versions(self) -> tuple[str, ...]:
        """The only versions of the key that are accepted; empty for every version."""
        if self.oracle is not None:
            return self.oracle.key_version_ids
        only = self.alibaba.key_version_id if self.alibaba is not None else None
        return () if only is None else (only,)

    @property
    def of(self) -> HuaweiKMS | AlibabaKMS | OracleKMS:
        """What the provider needs to know."""
        found = self.huawei or self.alibaba or self.oracle
        assert found is not None  # noqa: S101 - the validator has seen to it
        return found
