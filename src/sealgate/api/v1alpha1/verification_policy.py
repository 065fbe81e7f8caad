"""The object `VerificationPolicy`: which images, in which namespaces, need which authenticators.

These are the edge: strict pydantic models of exactly what `kubectl apply` takes. Descriptions end up in the CRDs,
so that `kubectl explain` teaches. Field names in YAML are camelCase. What a model accepts is well formed; whether
patterns compile and keys parse is found by `sealgate.manifests.loading`, with file and line.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from sealgate.api.v1alpha1.model import Metadata, Model, ObjectName
from sealgate.api.v1alpha1.selectors import LabelSelector

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
