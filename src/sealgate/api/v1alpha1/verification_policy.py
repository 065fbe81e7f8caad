"""The objects as people write them: `Authenticator` and `VerificationPolicy`, `sealgate.dev/v1alpha1`.

These are the edge: strict pydantic models of exactly what `kubectl apply` takes. Descriptions end up in the CRDs,
so that `kubectl explain` teaches. Field names in YAML are camelCase. What a model accepts is well formed; whether
patterns compile and keys parse is found by `sealgate.manifests.loading`, with file and line.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from sealgate.api.v1alpha1.grafeas import GrafeasSpec
from sealgate.api.v1alpha1.keys import (
    AlgorithmName,
    KeyEntry,
    Metadata,
    Model,
    ObjectName,
    SecretKey,
    exactly_one,
)
from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.api.v1alpha1.oracle import OracleSpec
from sealgate.api.v1alpha1.simple_signing import SimpleSigningSpec
from sealgate.policies.labels import check_label_key, check_label_value

API_VERSION = "sealgate.dev/v1alpha1"

# What other parts look for here although it stands in `sealgate.api.v1alpha1.keys`.
__all__ = ["AlgorithmName", "KeyEntry", "Metadata", "Model", "ObjectName", "SecretKey"]


class CosignSpec(Model):
    """Signatures as cosign stores them: the .sig tag, OCI 1.1 referrers, key-based bundles."""

    keys: tuple[KeyEntry, ...] = Field(
        min_length=1, max_length=64, description="Accepted keys; a signature by any one of them verifies."
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Members that the signed payload must carry, with exactly these values."
    )
    match_repository: bool = Field(
        default=False, description="Whether the signed payload must name the image's own repository."
    )
    signature_repository: str | None = Field(
        default=None,
        max_length=511,
        description="Repository (registry/path) that holds the signatures instead of the image's own.",
    )


class AuthenticatorSpec(Model):
    """A named root of trust: exactly one format, with the keys it accepts."""

    cosign: CosignSpec | None = Field(default=None, description="Signatures made by cosign.")
    simple_signing: SimpleSigningSpec | None = Field(
        default=None, description="OpenPGP signatures: OpenShift, atomic, podman, skopeo."
    )
    notary: NotarySpec | None = Field(
        default=None, description="Signed tags in Notary v1: Docker Content Trust, DTR and UCP."
    )
    grafeas: GrafeasSpec | None = Field(
        default=None, description="Attestations in Grafeas: kritis, and Alibaba Cloud's kritis-validation-hook."
    )
    oracle: OracleSpec | None = Field(default=None, description="Signature records of Oracle Cloud's registry (OCIR).")

    @model_validator(mode="after")
    def _has_one_format(self) -> Self:
        exactly_one(self, "format", tuple(type(self).model_fields))
        return self


class Authenticator(Model):
    """A named root of trust."""

    model_config = ConfigDict(extra="ignore")

    api_version: Literal["sealgate.dev/v1alpha1"]
    kind: Literal["Authenticator"]
    metadata: Metadata
    spec: AuthenticatorSpec


#: A tag has at most 128 characters, so a pattern need not be longer; what a CRD's rules may cost depends on it.
TagPattern = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class ImageSelector(Model):
    """Which images: a pattern over normalised repository names, and patterns over tags."""

    repository: str = Field(
        min_length=1,
        max_length=512,
        description="Pattern over registry/path: * any run without /, ** any run, ? one character but /, "
        "{a, b} one of the options. Anchored at both ends.",
    )
    tags: tuple[TagPattern, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Patterns over the tag; default any. app is app:latest. Beside a digest a tag counts only if the "
        "registry says that it names that digest now; if not, or without a tag, every pattern covers the image.",
    )


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str = Field(min_length=1, max_length=317, description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How values are compared.")
    values: tuple[str, ...] = Field(default=(), description="Values for In and NotIn.")

    @model_validator(mode="after")
    def _has_values_where_they_mean_something(self) -> Self:
        check_label_key(self.key)
        for value in self.values:
            check_label_value(value)
        if self.operator in ("In", "NotIn") and not self.values:
            raise ValueError(f"{self.operator} needs values; list at least one, or write Exists or DoesNotExist")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise ValueError(f"{self.operator} takes no values; leave them out, or write In or NotIn")
        return self


class LabelSelector(Model):
    """A Kubernetes label selector: all of its parts must hold; an empty one selects everything."""

    match_labels: dict[str, str] = Field(default_factory=dict, description="Labels and their exact values.")
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(default=(), description="Expressions.")

    @model_validator(mode="after")
    def _has_labels_that_can_be(self) -> Self:
        for key, value in self.match_labels.items():
            check_label_key(key)
            check_label_value(value)
        return self


class Requirement(Model):
    """Which authenticators must verify the image."""

    authenticators: tuple[ObjectName, ...] = Field(
        min_length=1, max_length=16, description="Names of Authenticators; each at most once."
    )
    count: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="How many of them must verify, each by a key of its own; default all.",
    )

    @property
    def needed(self) -> int:
        """How many authenticators must verify; at least 1."""
        return len(self.authenticators) if self.count is None else self.count

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        twice = sorted({name for name in self.authenticators if self.authenticators.count(name) > 1})
        if twice:
            raise ValueError(f"names {', '.join(twice)} more than once; each authenticator counts once, list it once")
        if self.count is not None and self.count > len(self.authenticators):
            raise ValueError(
                f"can never be met: count is {self.count}, but authenticators has {len(self.authenticators)}; "
                "lower count or list more"
            )
        return self


class VerificationPolicySpec(Model):
    """Which images, in which namespaces, need which authenticators, and what happens if not."""

    action: Literal["Enforce", "Warn", "Audit", "Exempt"] = Field(
        default="Enforce",
        description="Enforce denies, Warn admits with a warning, Audit admits and records: both inform and never give "
        "permission. Exempt has no require: it only keeps its images from being unmatched. None of the three weakens "
        "another policy's Enforce.",
    )
    namespace_selector: LabelSelector = Field(
        default_factory=LabelSelector, description="Namespaces by their labels; default every namespace."
    )
    images: tuple[ImageSelector, ...] = Field(min_length=1, max_length=256, description="Images that are covered.")
    exclude_images: tuple[ImageSelector, ...] = Field(
        default=(),
        max_length=256,
        description="Images that this policy does not cover after all; it exempts them from nothing. Entries with tags "
        "hold beside a digest only if the registry says that the tag names that digest now.",
    )
    require: Requirement | None = Field(
        default=None,
        validate_default=True,
        description="What must verify. Required, except with action Exempt, which takes none.",
    )

    @field_validator("require")
    @classmethod
    def _fits_the_action(cls, require: Requirement | None, info: ValidationInfo) -> Requirement | None:
        action = info.data.get("action")  # absent if it is invalid, which is reported instead
        if action == "Exempt" and require is not None:
            raise ValueError("has no meaning with action Exempt, which verifies nothing; remove require or the action")
        if action not in (None, "Exempt") and require is None:
            raise ValueError("is required: name the authenticators that must verify, or write action: Exempt")
        return require


class VerificationPolicy(Model):
    """Which images, in which namespaces, need which authenticators."""

    model_config = ConfigDict(extra="ignore")

    api_version: Literal["sealgate.dev/v1alpha1"]
    kind: Literal["VerificationPolicy"]
    metadata: Metadata
    spec: VerificationPolicySpec
