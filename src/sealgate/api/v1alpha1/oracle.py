"""The `oracle` field of an `Authenticator`: signature records of Oracle Cloud's registry (OCIR)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.kms import OracleKeyID, OracleVersionID
from sealgate.api.v1alpha1.kms_provider import Region
from sealgate.api.v1alpha1.model import FormatSpec, KeySource, Model, numbered
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA, ServiceURL

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A compartment's id; the root compartment's is the tenancy's.
CompartmentID = Annotated[
    str, StringConstraints(pattern=r"^ocid1\.(compartment|tenancy)\.[-.0-9A-Za-z_]{1,230}$", max_length=255)
]

_PSS = "RSA_PSS_"


class OracleKey(KeyEntry):
    """One trusted key of a vault, and where its public key comes from. Exactly one source.

    A keyId may be in several entries, each with the public key of exactly its versions.
    """

    key_id: OracleKeyID = Field(description="OCID of the key, as signature records name it.")
    key_version_ids: tuple[OracleVersionID, ...] = Field(
        default=(),
        max_length=64,
        description="OCIDs of the versions that this entry is for; records of other versions do not count by it. "
        "Default: every version that the public key fits. With kms, write kms.oracle.keyVersionIds instead.",
    )

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that this entry is for; empty for every version."""
        return self.key_version_ids if self.kms is None else self.kms.versions

    @property
    def has_one_algorithm(self) -> bool:
        """Whether one is written; without, each of the four PSS algorithms is accepted."""
        return self.algorithm is not None

    @model_validator(mode="after")
    def _signs_as_image_signatures_do(self) -> Self:
        if self.algorithm is not None and not self.algorithm.startswith(_PSS):
            raise ValueError(
                f"has algorithm {self.algorithm}; image signatures have RSA_PSS_SHA_224, _256, _384 or _512"
            )
        if self.kms is not None and self.kms.oracle is None:
            raise ValueError("has a kms that is not oracle; keys of image signatures are in a vault of Oracle Cloud")
        if self.kms is not None and self.kms.oracle is not None and self.kms.oracle.key_id != self.key_id:
            raise ValueError("has another keyId than its kms; write the same in both")
        if self.kms is not None and self.key_version_ids:
            raise ValueError(
                "has keyVersionIds beside kms; write them in kms.oracle, where they choose the public keys"
            )
        return self


class OracleService(Model):
    """How Oracle's service of image signatures is reached; of an Authenticator and of a SigningPolicy."""

    region: Region = Field(description="Region of the registry, such as us-phoenix-1; signatures must name it.")
    endpoint: ServiceURL | None = Field(
        default=None,
        description="Address of the service. Default https://artifacts.REGION.oci.oraclecloud.com, or the same in the "
        "compartment's own realm.",
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the service, if it is private.")
    compartment_id: CompartmentID = Field(description="OCID of the compartment that the repository belongs to.")


class OracleSpec(OracleService, FormatSpec):
    """Signature records of Oracle Cloud's registry (OCIR), as `oci artifacts container image-signature` makes them."""

    compartment_id_in_subtree: bool = Field(
        default=False,
        description="Whether to search the compartments below it too; Oracle takes that only with the tenancy's OCID.",
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="Secret with an API key: tenancy, user, fingerprint, privateKey, and passphrase if it has one. "
        "Without it, requests are not signed, which Oracle does not take.",
    )
    trusted_keys: tuple[OracleKey, ...] = Field(
        min_length=1, max_length=64, description="Trusted keys; a signature by any one of them verifies."
    )
    description: str | None = Field(
        default=None, min_length=1, max_length=1024, description="The description that signatures must have."
    )
    metadata: dict[str, str] = Field(
        default_factory=dict, description="Members that the metadata of signatures must have, with exactly these texts."
    )

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the accepted keys."""
        return numbered("trustedKeys", self.trusted_keys)
