"""Fields of the cosign format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

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

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the accepted keys."""
        return numbered("keys", self.keys)
