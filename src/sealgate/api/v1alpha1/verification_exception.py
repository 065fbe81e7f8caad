"""The object `VerificationException`: images that run unverified in some namespaces, for a limited time.

The way out of an emergency that leaves a trace: it says why, by whom and until when. An exception never changes except
that it ends earlier, so that what was agreed on is what is in force.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from sealgate.api.v1alpha1.model import Metadata, Model
from sealgate.api.v1alpha1.status import Status
from sealgate.api.v1alpha1.verification_policy import TagPattern

#: The most hours that an exception may be made for, unless an installation says otherwise.
MAX_HOURS = 72

NamespaceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", min_length=1, max_length=63)
]


class ExceptionImage(Model):
    """Which images: a pattern over repository names as in a VerificationPolicy, or one digest."""

    repository: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="Pattern over registry/path, as in a VerificationPolicy.",
    )
    tags: tuple[TagPattern, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Patterns over the tag; default any. A tag without a digest counts as written. Beside a digest it "
        "counts only if the registry says that it names that digest: leave tags out, or name the digest, for an image "
        "with a digest whose registry is down.",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        max_length=71,
        description="Instead of repository: the digest that the image is written with, in any repository.",
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.repository is None) == (self.digest is None):
            raise ValueError("needs exactly one of repository and digest")
        if self.digest is not None and self.tags is not None:
            raise ValueError("has tags beside a digest, which names one image already; remove them")
        return self


class VerificationExceptionSpec(Model):
    """Which images run unverified, where, why and until when."""

    images: tuple[ExceptionImage, ...] = Field(min_length=1, max_length=64, description="The images.")
    namespaces: tuple[NamespaceName, ...] = Field(
        min_length=1, max_length=64, description="Names of the namespaces; the exception holds in no other."
    )
    reason: str = Field(min_length=1, max_length=1024, description="Why it is needed, for those who read it later.")
    ticket: str | None = Field(
        default=None, min_length=1, max_length=256, description="Where the matter is tracked, such as a URL."
    )
    expires_at: str = Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$",
        max_length=32,
        json_schema_extra={"format": "date-time"},
        description="When it ends. At most the chart's exceptions.maxHours ahead; later only an earlier time is taken.",
    )
    requested_by: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="The user who made it. sealgate writes it; what you write here is replaced.",
    )

    @field_validator("expires_at")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        try:
            # In UTC too, which the first and the last hours of the calendar do not have in every timezone.
            datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError("is not a time; write it as in 2026-12-24T18:00:00Z") from error
        return value

    @property
    def end(self) -> datetime:
        """When the exception ends, timezone-aware."""
        return datetime.fromisoformat(self.expires_at)


class VerificationException(Model):
    """Images that run unverified in some namespaces, for a limited time."""

    model_config = ConfigDict(extra="ignore")

    api_version: Literal["sealgate.dev/v1alpha1"]
    kind: Literal["VerificationException"]
    metadata: Metadata
    spec: VerificationExceptionSpec


class VerificationExceptionStatus(Status):
    """Whether a VerificationException is in force; only the operator writes here, and nothing is decided by it."""
