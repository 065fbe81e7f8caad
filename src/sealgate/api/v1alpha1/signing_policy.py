"""The object `SigningPolicy`: which images are signed, with which key, on which trigger.

What the schema cannot say (patterns, algorithms of keys, the key's state) is found by `sealgate.manifests` and by the
signing worker, which reports it in the status.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from sealgate.api.v1alpha1.keys import MAX_ID_BYTES, AlgorithmName
from sealgate.api.v1alpha1.kms import KMSSource
from sealgate.api.v1alpha1.model import Metadata, Model, ObjectName, SecretKeySelector, exactly_one
from sealgate.api.v1alpha1.services import CredentialsSecret
from sealgate.api.v1alpha1.signing_formats import (
    CosignSigning,
    GrafeasSigning,
    NotarySigning,
    NotationSigning,
    OracleSigning,
    SigningFormatSpec,
    SimpleSigning,
)
from sealgate.api.v1alpha1.verification_policy import ImageSelector

_FORMATS = ("cosign", "simple_signing", "notary", "notation", "grafeas", "oracle")


class SigningKeySource(Model):
    """The key that signs. Exactly one of kms, secretRef and authenticator.

    Secrets lie in the namespace of the signing Secrets, and must be among those that the chart lists.
    """

    kms: KMSSource | None = Field(
        default=None, description="A key in a key management service; it must have, or name, exactly one version."
    )
    secret_ref: SecretKeySelector | None = Field(
        default=None,
        description="A Secret with a private key: PEM, encrypted by cosign or openssl, or armored OpenPGP. The member "
        "`passphrase` of the same Secret has the passphrase of an encrypted key.",
    )
    authenticator: ObjectName | None = Field(
        default=None, description="Name of an Authenticator whose only key, one in a key management service, signs."
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="Only with authenticator: Secret with the credentials that sign; those that the Authenticator "
        "names are for reading the public key.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.authenticator) == has(self.credentialsSecret)",
                    "message": "credentialsSecret belongs to authenticator: set both or neither",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "key", ("kms", "secret_ref", "authenticator"))
        if (self.authenticator is None) != (self.credentials_secret is None):
            raise ValueError("must have credentialsSecret with authenticator, and only with it; set both or neither")
        return self


class SigningPolicySpec(Model):
    """Which images are signed, with which key, on which trigger."""

    description: str = Field(default="", max_length=1024, description="What the policy is for; for people.")
    images: tuple[ImageSelector, ...] = Field(
        min_length=1,
        max_length=64,
        description="Images that are signed. The registry of a repository pattern must be written without wildcards.",
    )
    exclude_images: tuple[ImageSelector, ...] = Field(
        default=(), max_length=64, description="Images that this policy does not sign after all."
    )
    cosign: CosignSigning | None = Field(default=None, description="Sign as cosign does.")
    simple_signing: SimpleSigning | None = Field(
        default=None, description="Sign with OpenPGP, as OpenShift, atomic, podman and skopeo verify."
    )
    notary: NotarySigning | None = Field(default=None, description="Sign tags in Notary v1.")
    notation: NotationSigning | None = Field(default=None, description="Sign as Notation does.")
    grafeas: GrafeasSigning | None = Field(default=None, description="Store attestations in Grafeas.")
    oracle: OracleSigning | None = Field(default=None, description="Store records in Oracle Cloud's registry.")
    key: SigningKeySource = Field(description="The key that signs.")
    algorithm: AlgorithmName | None = Field(
        default=None,
        description="The algorithm of signatures. Default by key type, as in an Authenticator; with authenticator its "
        "key's own.",
    )
    distinguishing_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ID_BYTES,
        description="The id of the signer that SM2 signs with every message, only with algorithm SM2.",
    )
    trigger: Literal["EventAndManual", "Manual"] = Field(
        default="EventAndManual",
        description="EventAndManual: new images are signed when a push event or a resync finds them. Manual: only what "
        "a run finds, which the annotation sealgate.dev/run starts.",
    )
    tags_per_minute: int = Field(
        default=300,
        ge=1,
        le=30000,
        description="The most tags that are signed in a minute under this policy, and up to 10 more in the first "
        "minute after a pause.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"[{', '.join(f'has(self.{to_camel(name)})' for name in _FORMATS)}]"
                    ".filter(set, set).size() == 1",
                    "message": f"set exactly one format: {' or '.join(to_camel(name) for name in _FORMATS)}",
                },
                {
                    "rule": "!has(self.distinguishingId) || (has(self.algorithm) && self.algorithm == 'SM2')",
                    "message": "distinguishingId belongs to algorithm SM2: write algorithm: SM2, or leave it out",
                },
                {
                    "rule": "!has(self.oracle) || !has(self.key.secretRef)",
                    "message": "oracle signs with a key in a vault: write key.kms.oracle, or key.authenticator",
                },
                {
                    "rule": "!(has(self.notary) || has(self.simpleSigning)) || has(self.key.secretRef)",
                    "message": "notary and simpleSigning sign with a private key in a Secret: write key.secretRef",
                },
            ]
        }
    )

    @model_validator(mode="after")
    def _has_one_format_that_fits_the_key(self) -> Self:
        exactly_one(self, "format", _FORMATS)
        in_secret = self.key.secret_ref is not None
        if self.oracle is not None and (in_secret or (self.key.kms is not None and self.key.kms.oracle is None)):
            raise ValueError("has oracle with a key that is not in a vault; write key.kms.oracle, or key.authenticator")
        if (self.notary is not None or self.simple_signing is not None) and not in_secret:
            raise ValueError(f"has {self.format}, which signs with a private key in a Secret; write key.secretRef")
        if self.distinguishing_id is not None and self.algorithm != "SM2":
            raise ValueError("has a distinguishingId, which belongs to algorithm SM2; write algorithm: SM2 or drop it")
        return self

    @property
    def chosen(self) -> SigningFormatSpec:
        """The fields of the format that is set."""
        found = next(value for name in _FORMATS if (value := getattr(self, name)) is not None)
        assert isinstance(found, SigningFormatSpec)  # noqa: S101 - every one of the fields is
        return found

    @property
    def format(self) -> str:
        """Name of the format that is set, as it is written in the spec: "simpleSigning"."""
        return next(to_camel(name) for name in _FORMATS if getattr(self, name) is not None)


class SigningPolicy(Model):
    """Which images are signed, with which key, on which trigger."""

    model_config = ConfigDict(extra="ignore")

    api_version: Literal["sealgate.dev/v1alpha1"]
    kind: Literal["SigningPolicy"]
    metadata: Metadata
    spec: SigningPolicySpec
