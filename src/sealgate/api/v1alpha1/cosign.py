"""Fields of the cosign format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sealgate.api.v1alpha1.attestations import AttestationRequirement
from sealgate.api.v1alpha1.keyless import KeylessSpec, TrustedRootSource
from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.model import FormatSpec, KeySource, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator


class CosignSpec(FormatSpec):
    """Signatures as cosign stores them: the .sig tag, OCI 1.1 referrers, bundles; by keys, by identities, or both."""

    keys: tuple[KeyEntry, ...] = Field(
        default=(),
        max_length=64,
        description="Accepted keys; a signature by any one of them verifies.",
        json_schema_extra={"minItems": 1},
    )
    keyless: KeylessSpec | None = Field(
        default=None,
        description="Identities, for signatures with short-lived certificates. Needs trustedRoot.",
    )
    trusted_root: TrustedRootSource | None = Field(
        default=None,
        description="The CAs, logs and timestamp authorities that prove who signed and when. Only with keyless, or "
        "with requireTransparencyLog.",
    )
    require_transparency_log: bool | None = Field(
        default=None,
        description="Whether a signature must be in a transparency log of the trusted root. Default: yes for keyless, "
        "no for keys. Without a log, a keyless signature needs a timestamp.",
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
        description="Attestations that the image must have, each by one of the signers, besides its signature.",
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
                },
                {
                    "rule": "has(self.keys) || has(self.keyless)",
                    "message": "nothing could sign: write keys, keyless or both",
                },
                {
                    "rule": "has(self.trustedRoot) == (has(self.keyless) || (has(self.requireTransparencyLog) && "
                    "self.requireTransparencyLog))",
                    "message": "trustedRoot belongs to keyless and to requireTransparencyLog: true; write it with one "
                    "of these, and only then",
                },
            ]
        }
    )

    @model_validator(mode="after")
    def _requires_something(self) -> Self:
        if self.signatures == "NotRequired" and not self.attestations:
            raise ValueError("signatures: NotRequired needs attestations; without them nothing would be required")
        return self

    @model_validator(mode="after")
    def _accepts_some_signer(self) -> Self:
        if not self.keys and self.keyless is None:
            raise ValueError("has neither keys nor keyless, so nothing could sign; write one or both")
        uses_root = self.keyless is not None or self.require_transparency_log is True
        if uses_root and self.trusted_root is None:
            raise ValueError("needs trustedRoot, which proves keyless signatures and log entries; write it")
        if self.trusted_root is not None and not uses_root:
            raise ValueError(
                "has trustedRoot, which only keyless and requireTransparencyLog: true use; write one or drop it"
            )
        return self

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the accepted keys, then the trusted root."""
        yield from numbered("keys", self.keys)
        if self.trusted_root is not None:
            yield "trustedRoot", self.trusted_root
