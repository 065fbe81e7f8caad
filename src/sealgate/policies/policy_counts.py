"""What a replica of the webhook has counted for each policy, as the document by which the operator reads it.

The port of the metrics serves it to every client that reaches that port, so it has numbers and names of policies, and
nothing about images. The operator treats it as foreign: a document that is not exactly of this form is refused as a
whole, and nothing in it can be more than a number for people.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sealgate.api.v1alpha1.model import ObjectName
from sealgate.errors import UnavailableError

#: Path of the document on the port of the metrics.
PATH: Final = "/policy-counts"
#: Minutes for which denials count.
MINUTES: Final = 60
#: Different images of a policy beyond which they are not told apart.
MAX_IMAGES: Final = 1000
#: The most policies in a document, and the most bytes of one.
MAX_POLICIES: Final = 20_000
MAX_BYTES: Final = 8 << 20
_MAX_COUNT: Final = 1_000_000_000

#: How many minutes ago, and how many denials then.
Bucket = tuple[Annotated[int, Field(ge=0, lt=MINUTES)], Annotated[int, Field(ge=1, le=_MAX_COUNT)]]
Buckets = Annotated[tuple[Bucket, ...], Field(max_length=MINUTES)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyCounts(_Part):
    """What one replica has counted for one policy.

    Attributes:
        images: different images that the policy covered in the last day, at most `MAX_IMAGES`.
        denied: images that were denied, or would have been if the policy's action were Enforce, by minute.
        dry_run: the same of dry runs, which are not among the others.
        last_denied: seconds since the last of `denied`; None where there was none.
    """

    images: int = Field(default=0, ge=0, le=MAX_IMAGES)
    denied: Buckets = ()
    dry_run: Buckets = ()
    last_denied: int | None = Field(default=None, ge=0, le=_MAX_COUNT)


class ReplicaCounts(_Part):
    """The document of one replica.

    Attributes:
        version: of the form of the document.
        replica: names the replica since its start: 16 random hex digits. After a restart it is another one.
        policies: counts by the policy's name; policies for which nothing was counted are left out.
    """

    version: Literal[1]
    replica: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    policies: Annotated[dict[ObjectName, PolicyCounts], Field(max_length=MAX_POLICIES)]


def encode_counts(counts: ReplicaCounts) -> bytes:
    """Return the document of a replica, in JSON."""
    return counts.model_dump_json(exclude_defaults=True).encode()


def decode_counts(document: bytes) -> ReplicaCounts:
    """Return what a document says.

    Raises:
        UnavailableError: it is not of the form that this release knows.
    """
    try:
        return ReplicaCounts.model_validate_json(document)
    except ValidationError as error:
        raise UnavailableError("the replica's counts are not in a form that this release knows") from error
