"""What the operator writes into `status`, and the webhook reads from it.

The models are what the CRDs promise, so that writer and reader agree. They are read leniently (an
older webhook meets a newer operator while a release is rolled out) and written through `model_dump(by_alias=True)`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.keyless import TrustedRootSource
    from sealgate.api.v1alpha1.model import SecretKeySelector

Timestamp = Annotated[
    str,
    StringConstraints(max_length=64),
    Field(json_schema_extra={"format": "date-time"}),
]


class StatusModel(BaseModel):
    """What all parts of a status share: camelCase, unknown members left alone."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, validate_by_name=True, validate_by_alias=True
    )


class Condition(StatusModel):
    """One standard Kubernetes condition."""

    type: str = Field(
        min_length=1, max_length=316, description="What the condition is about; Ready says whether all of it works."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: str = Field(
        min_length=1, max_length=1024, description="Why, as one word for machines: CamelCase, stable between releases."
    )
    message: str = Field(default="", max_length=32768, description="Why, for a person, and what to do about it.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that the condition was worked out from."
    )


class KeyStatus(StatusModel):
    """One public key that the operator has read from where the spec says, or why it could not or must not be used."""

    source: str = Field(
        min_length=1,
        max_length=1024,
        description="Where the key was read, the same words for the same source at any position in the spec: "
        "'secretRef NAME/KEY', 'configMapRef NAME/KEY', 'source Fetched', 'kms PROVIDER ID'.",
    )
    state: Literal["Accepted", "Refused"] = Field(
        description="Accepted keys verify signatures; Refused ones are listed so that you see why, and never used."
    )
    reason: str = Field(
        default="",
        max_length=1024,
        description="Why a key is refused, as one word: SecretNotFound, InvalidKey, Disabled, Expired, Revoked ...",
    )
    message: str = Field(default="", max_length=4096, description="Why a key is refused, for a person.")
    pem: str | None = Field(
        default=None,
        max_length=65536,
        description="The public key as it was read: PEM, armored OpenPGP, or a trusted root (JSON).",
    )
    algorithm: str | None = Field(
        default=None,
        max_length=64,
        description="The only algorithm that is accepted from this key; absent where signatures name one of several.",
    )
    fingerprint: str | None = Field(
        default=None,
        max_length=128,
        description="sha256: and the hex digest of the key's SubjectPublicKeyInfo; what findings and logs name.",
    )
    key_version: str | None = Field(default=None, max_length=256, description="Version of the key in its KMS.")
    observed_at: Timestamp | None = Field(default=None, description="When the key was last read.")
    valid_until: Timestamp | None = Field(
        default=None,
        description="The key is not used after this time unless it was read again; keeps a lost KMS from being "
        "trusted for ever. Absent for sources that are watched.",
    )
    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation for which the key was last read."
    )

    @property
    def end(self) -> datetime | None:
        """The moment after which it is not used; None where there is none.

        Raises:
            ValueError: `valid_until` is no time.
        """
        if self.valid_until is None:
            return None
        end = datetime.fromisoformat(self.valid_until)
        return end if end.tzinfo is not None else end.replace(tzinfo=UTC)

    def is_usable(self, now: datetime) -> bool:
        """Return whether signatures may be verified with it at that time."""
        if self.state != "Accepted" or not self.pem:
            return False
        try:
            return self.end is None or now < self.end
        except ValueError:
            return False


class Status(StatusModel):
    """What the statuses of both kinds share."""

    observed_generation: int = Field(
        default=0,
        ge=-1,
        description="The metadata.generation that this status was worked out from; -1 while none was.",
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        description="What works and what does not; Ready sums it up. Stalled and Reconciling are there only while they "
        "hold, as in kstatus.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class AuthenticatorStatus(Status):
    """What the operator has found out about the keys of an Authenticator; only it writes here."""

    format: str = Field(default="", max_length=64, description="The format that the spec has.")
    key_summary: str = Field(
        default="", max_length=32, description="How many keys can be used of how many, such as 2/3."
    )
    keys: tuple[KeyStatus, ...] = Field(
        default=(),
        max_length=256,
        description="The keys that are not in the spec itself, as they were last read.",
    )


class PolicyActivity(StatusModel):
    """What the webhook's replicas have counted for a VerificationPolicy; nothing is decided by it."""

    images: str = Field(
        max_length=32,
        description="Different images that it covered in the last day, as counted by the replica that saw most; 1000+ "
        "for that many or more.",
    )
    denials: int = Field(
        ge=0,
        description="Images that did not meet it in the last hour: with Enforce they were denied, with Warn and Audit "
        "they would have been.",
    )
    dry_run_denials: int = Field(default=0, ge=0, description="The same of dry runs, which are not among the denials.")
    last_denial: Timestamp | None = Field(default=None, description="When an image last did not meet it.")


class VerificationPolicyStatus(Status):
    """What the operator has found out about a VerificationPolicy; only it writes here."""

    activity: PolicyActivity | None = Field(
        default=None, description="What it covered and denied. Absent where the webhook's replicas cannot be read."
    )


def root_source(source: TrustedRootSource) -> str:
    """Return how `status.keys[].source` names a trusted root that is neither in the spec nor shipped."""
    if source.secret_ref is not None:
        return secret_source(source.secret_ref)
    reference = source.config_map_ref
    return f"source {source.source}" if reference is None else f"configMapRef {reference.name}/{reference.key}"


def secret_source(reference: SecretKeySelector) -> str:
    """Return how `status.keys[].source` names a key of a Secret."""
    return f"secretRef {reference.name}/{reference.key}"
