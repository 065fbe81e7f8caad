"""What the signing worker writes into the `status` of a SigningPolicy and of a SigningRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from sealgate.api.v1alpha1.status import Status, StatusModel, Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The most entries of each list of a status.
MAX_LISTED = 16


class SigningCounts(StatusModel):
    """How many tags ended in which way."""

    signed: int = Field(default=0, ge=0, description="Signatures made.")
    already_signed: int = Field(default=0, ge=0, description="Tags that had a valid signature by the key already.")
    failed: int = Field(default=0, ge=0, description="Tags that could not be signed.")
    waiting: int = Field(default=0, ge=0, description="Tags that wait to be signed.")


class BaselineStatus(StatusModel):
    """What was there when the policy was made, or last changed: it is signed by a manual run only."""

    state: Literal["Recording", "Recorded", "Lost", "TooLarge"] = Field(
        description="Recording: events wait. Recorded: new images are signed. Lost: nothing is signed until a "
        "manual run. TooLarge: nothing is signed until the policy covers fewer tags."
    )
    key: str = Field(
        max_length=64,
        description="Hash of what the policy says about images, key and format; another one is recorded anew.",
    )
    entries: int = Field(default=0, ge=0, description="Tags in the baseline.")
    objects: int = Field(default=0, ge=0, description="SigningBaselines that hold them.")
    checksum: str = Field(
        default="", max_length=64, description="Hash of all entries; without it the baseline is lost."
    )
    recorded_at: Timestamp | None = Field(default=None, description="When it was complete.")


class RepositoriesStatus(StatusModel):
    """The repositories that the policy covers, as far as they could be found."""

    found: int = Field(default=0, ge=0, description="Repositories found by name, by the catalog and by events.")
    problems: tuple[str, ...] = Field(
        default=(), max_length=MAX_LISTED, description="Registries and repositories that could not be listed, and why."
    )


class RunStatus(StatusModel):
    """The last manual run."""

    id: str = Field(max_length=256, description="The value of the annotation sealgate.dev/run that started it.")
    state: Literal["Running", "Ended"] = Field(description="Whether it still runs.")
    started_at: Timestamp = Field(description="When it began.")
    ended_at: Timestamp | None = Field(default=None, description="When it ended.")
    total: int = Field(default=0, ge=0, description="Tags that it covers.")
    counts: SigningCounts = Field(default_factory=SigningCounts, description="What became of them so far.")
    checkpoint: str = Field(
        default="", max_length=1024, description="The last tag, in order, up to which all are done: registry/path:tag."
    )


class SigningFailure(StatusModel):
    """Why one image was not signed."""

    image: str = Field(max_length=1024, description="registry/path:tag.")
    message: str = Field(max_length=4096, description="Why, and what to do.")
    time: Timestamp = Field(description="When it failed.")


class SigningPolicyStatus(Status):
    """What the signing worker has done for a SigningPolicy; only it writes here."""

    format: str = Field(default="", max_length=64, description="The format that the spec has.")
    key_fingerprint: str = Field(
        default="", max_length=128, description="Fingerprint of the key that signs: sha256:HEX."
    )
    counts: SigningCounts = Field(
        default_factory=SigningCounts, description="What became of tags since the policy was made."
    )
    baseline: BaselineStatus | None = Field(default=None, description="What was there before the policy.")
    repositories: RepositoriesStatus = Field(default_factory=RepositoriesStatus, description="What is covered.")
    undecided: tuple[str, ...] = Field(
        default=(),
        max_length=MAX_LISTED,
        description="Images pushed while the baseline was recorded, which cannot be told from older ones: a manual run "
        "signs them.",
    )
    last_run: RunStatus | None = Field(default=None, description="The last manual run.")
    last_errors: tuple[SigningFailure, ...] = Field(
        default=(), max_length=MAX_LISTED, description="The last failures, the newest first."
    )


class SigningRequestStatus(StatusModel):
    """What became of a SigningRequest; only the signing worker writes here."""

    state: Literal["Waiting", "Signed", "AlreadySigned", "Dropped", "Undecided", "Failed"] = Field(
        default="Waiting", description="Waiting requests are tried again; all others have ended."
    )
    message: str = Field(default="", max_length=4096, description="Why it waits, was dropped or failed.")
    attempts: int = Field(default=0, ge=0, description="Number of attempts.")
    accepted_at: Timestamp | None = Field(
        default=None, description="spec.acceptedAt that this status is about; with another one the request waits again."
    )
    retry_at: Timestamp | None = Field(default=None, description="When it is tried again.")
    ended_at: Timestamp | None = Field(default=None, description="When it ended; it is removed some time later.")


def request_status(obj: Mapping[str, Any]) -> SigningRequestStatus:
    """Return a SigningRequest's current status; an empty one if it is not valid."""
    try:
        return SigningRequestStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return SigningRequestStatus()


def has_ended(obj: Mapping[str, Any]) -> bool:
    """Return whether a SigningRequest has ended, and was not accepted again since."""
    status = request_status(obj)
    accepted = (obj.get("spec") or {}).get("acceptedAt")
    return status.state != "Waiting" and status.accepted_at == accepted
