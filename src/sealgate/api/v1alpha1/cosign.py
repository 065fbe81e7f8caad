"""Fields of the cosign format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sealgate.api.v1alpha1.attestations import AttestationRequirement
from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.model import FormatSpec, KeySource, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator


class CosignSpec(FormatSpec):
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

    attestations: tuple[AttestationRequirement, ...] = Field(
        default=(),
        max_length=8,
        description="Attestations that the image must have, each signed by one of the keys, besides its signature.",
    )
    signatures: Literal["Required", "NotRequired"] = Field(
        default="Required",
        description="NotRequired: the attestations are enough, without a signature; only beside attestations.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.signatures) || self.signatures == 'Required'"
                    " || (has(self.attestations) && size(self.attestations) > 0)",
                    "message": "signatures: NotRequired needs attestations; without them nothing would be required",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if self.signatures == "NotRequired" and not self.attestations:
            raise ValueError("signatures: NotRequired needs attestations; without them nothing would be required")
        return self

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the accepted keys."""
        return numbered("keys", self.keys)
