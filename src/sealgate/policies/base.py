"""What the models of all objects share, apart so that each format's models can stand in a module of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

ObjectName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", min_length=1, max_length=253)
]


class Model(BaseModel):
    """What all models share: unknown fields refused, nothing coerced, nothing changed after."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        validate_by_name=False,
        validate_by_alias=True,
    )


class Metadata(BaseModel):
    """The parts of `metadata` that sealgate reads; Kubernetes owns the rest, so unknown members are fine."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    name: ObjectName
    generation: int = 0
    resource_version: str = ""


class SecretKey(Model):
    """One key of a Secret in sealgate's own namespace (in standalone mode: of a Secret among the policy files)."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: str = Field(min_length=1, max_length=253, description="Key inside the Secret's data.")


AlgorithmName = Literal[
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
    "ECDSA_SHA_512",
    "RSA_PKCS1_SHA_224",
    "RSA_PKCS1_SHA_256",
    "RSA_PKCS1_SHA_384",
    "RSA_PKCS1_SHA_512",
    "RSA_PSS_SHA_224",
    "RSA_PSS_SHA_256",
    "RSA_PSS_SHA_384",
    "RSA_PSS_SHA_512",
    "ED25519",
]


class KeyEntry(Model):
    """One accepted public key: where it comes from, and which algorithm it signs with. Exactly one source."""

    pem: str | None = Field(
        default=None, max_length=65536, description="The public key itself: PEM, -----BEGIN PUBLIC KEY-----."
    )
    secret_ref: SecretKey | None = Field(default=None, description="A Secret that holds the PEM.")
    algorithm: AlgorithmName | None = Field(
        default=None,
        description="The only algorithm accepted from this key. Default by key type: P-256 ECDSA_SHA_256, "
        "P-384 ECDSA_SHA_384, P-521 ECDSA_SHA_512, RSA RSA_PKCS1_SHA_256, Ed25519 ED25519.",
    )
