"""The object `SigningRequest`: one accepted push, kept until it is signed or dropped.

The endpoint for push events writes the spec, the signing worker the status. The name is a hash of what is requested, so
that an event that is sent twice is one object, and a request whose name does not fit its content is not obeyed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from sealgate.api.v1alpha1.model import Model, ObjectName

_NAME_DIGITS = 48

UID = Annotated[str, StringConstraints(pattern=r"^[-0-9A-Za-z.]{1,128}$", max_length=128)]


class RequestedPolicy(Model):
    """The policy under which a push was accepted."""

    name: ObjectName = Field(description="Name of the SigningPolicy.")
    uid: UID = Field(description="Its metadata.uid: a policy that was made anew is another one.")
    generation: int = Field(ge=1, description="Its metadata.generation at that time.")


class SigningRequestSpec(Model):
    """What was pushed, and under which policy it is to be signed."""

    policy: RequestedPolicy
    repository: str = Field(min_length=1, max_length=511, description="Normalised: registry/path.")
    tag: str = Field(min_length=1, max_length=128, description="The tag that was pushed.")
    digest: str = Field(pattern=r"^sha(256|512):[0-9a-f]{64,128}$", max_length=135, description="What it named then.")
    source: str = Field(default="", max_length=253, description="The source of events that reported the push.")
    accepted_at: str = Field(
        max_length=64,
        json_schema_extra={"format": "date-time"},
        description="When the push was accepted last. A request that has ended starts again when it changes.",
    )

    model_config = ConfigDict(extra="ignore")


def request_name(policy: RequestedPolicy, repository: str, tag: str, digest: str) -> str:
    """Return the name of the `SigningRequest` for a push.

    Args:
        policy: UID and generation count, its name does not.
        repository: normalised name.
        tag: the tag.
        digest: `sha256:<hex>`.
    """
    parts = json.dumps([policy.uid, policy.generation, repository, tag, digest])
    return f"push-{hashlib.sha256(parts.encode()).hexdigest()[:_NAME_DIGITS]}"
