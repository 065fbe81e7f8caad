"""Key entries: one accepted public key, where it comes from, and the algorithm it signs with."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sealgate.api.v1alpha1.kms import KMSSource
from sealgate.api.v1alpha1.model import KeySource, SecretKeySelector, exactly_one

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
    "ED25519_PH",
    "SM2",
]

#: The most bytes of a distinguishing id.
MAX_ID_BYTES = 128


class KeyEntry(KeySource):
    """One accepted public key: where it comes from, and which algorithm it signs with. Exactly one source."""

    pem: str | None = Field(
        default=None, max_length=65536, description="The public key itself: PEM, -----BEGIN PUBLIC KEY-----."
    )
    secret_ref: SecretKeySelector | None = Field(default=None, description="A Secret that holds the PEM.")
    kms: KMSSource | None = Field(default=None, description="A key in a key management service.")
    algorithm: AlgorithmName | None = Field(
        default=None,
        description="The only algorithm accepted from this key. Default by key type: P-256 ECDSA_SHA_256, "
        "P-384 ECDSA_SHA_384, P-521 ECDSA_SHA_512, RSA RSA_PKCS1_SHA_256, Ed25519 ED25519, SM2 SM2.",
    )
    distinguishing_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ID_BYTES,
        description="The id of the signer that SM2 signs with every message, only with algorithm SM2. Default "
        "1234567812345678, the default of GM/T 0009.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.distinguishingId) || (has(self.algorithm) && self.algorithm == 'SM2')",
                    "message": "distinguishingId belongs to algorithm SM2: write algorithm: SM2, or leave it out",
                }
            ]
        }
    )

    @property
    def is_inline(self) -> bool:
        """Whether the entry itself has the key."""
        return self.secret_ref is None and self.kms is None

    @property
    def resolvable(self) -> bool:
        """Whether a `KeyResolver` is asked for it; an entry that has a key of another kind inline is not."""
        return True

    @property
    def has_one_algorithm(self) -> bool:
        """Whether a key verifies with one algorithm only, its default or the one written; else signatures name it."""
        return True

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "key source", ("pem", "secret_ref", "kms"))
        return self

    @model_validator(mode="after")
    def _has_an_id_only_with_sm2(self) -> Self:
        if self.distinguishing_id is None:
            return self
        if self.algorithm != "SM2":
            raise ValueError("has a distinguishingId, which belongs to algorithm SM2; write algorithm: SM2 or drop it")
        if len(self.distinguishing_id.encode()) > MAX_ID_BYTES:
            raise ValueError(f"has a distinguishingId of more than {MAX_ID_BYTES} bytes; no signer has one")
        return self
