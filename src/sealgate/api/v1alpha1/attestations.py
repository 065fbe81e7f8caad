"""Attestations that a cosign authenticator requires: type, conditions on the predicate, SLSA's rules in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.model import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

#: One line; the library that compiles it says more.
ConditionText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
#: The characters of URLs, without quotes and backslashes: the text goes into a condition.
_URL_TEXT = r"^https://[A-Za-z0-9._~:/?#@!$&()*,;=%+-]+$"
BuilderID = Annotated[str, StringConstraints(pattern=_URL_TEXT, max_length=512)]
SourceURL = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9._~:/-]*[A-Za-z0-9_~-]$", max_length=512)]
TagName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/+-]+$", max_length=255)]
PredicateType = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=255)]

SLSA_0_2, SLSA_1 = SLSA_TYPES = ("https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1")
#: Short names of predicate types, as `cosign attest --type` has them.
PREDICATE_TYPES: Mapping[str, str] = {
    "slsaprovenance": SLSA_0_2,
    "slsaprovenance02": SLSA_0_2,
    "slsaprovenance1": SLSA_1,
    "spdx": "https://spdx.dev/Document",
    "spdxjson": "https://spdx.dev/Document",
    "cyclonedx": "https://cyclonedx.org/bom",
    "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
    "openvex": "https://openvex.dev/ns",
    "link": "https://in-toto.io/Link/v1",
    "custom": "https://cosign.sigstore.dev/attestation/v1",
}


class SLSARules(Model):
    """What SLSA provenance must say, in words."""

    builder: BuilderID = Field(description="ID of the builder, exactly as the provenance has it, its version included.")
    source: SourceURL | None = Field(
        default=None,
        description="URL of the repository that was built, without a branch or a tag: https://github.com/org/repo.",
    )
    tag: TagName | None = Field(default=None, description="Tag of the source that was built: v1.2.3.")

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "!has(self.tag) || has(self.source)", "message": "tag needs source: set both, or remove tag"}
            ]
        }
    )

    @model_validator(mode="after")
    def _tag_belongs_to_source(self) -> Self:
        if self.tag is not None and self.source is None:
            raise ValueError("tag needs source: it is a tag of that repository")
        return self


class AttestationRequirement(Model):
    """One attestation that an image must have."""

    predicate_type: PredicateType = Field(
        description="Type of the predicate, exactly as the statement has it: https://slsa.dev/provenance/v1."
    )
    conditions: tuple[ConditionText, ...] = Field(
        default=(),
        max_length=8,
        description="CEL expressions over the variable predicate, all of which must be true of one attestation.",
    )
    slsa: SLSARules | None = Field(
        default=None, description="What SLSA provenance must say besides; for provenance v0.2 and v1."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"!has(self.slsa) || self.predicateType in {list(SLSA_TYPES)}",
                    "message": f"slsa needs a predicateType that it can read: {' or '.join(SLSA_TYPES)}",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _rules_fit_type(self) -> Self:
        if self.slsa is not None and self.predicate_type not in SLSA_TYPES:
            raise ValueError(f"slsa needs a predicateType that it can read: {' or '.join(SLSA_TYPES)}")
        return self
