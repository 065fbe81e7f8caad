"""The JSON payload that "simple signing" and its descendants sign: which image, under which name, as what.

::

    {"critical": {"identity": {"docker-reference": "registry.example.org/team/api"},
                  "image": {"docker-manifest-digest": "sha256:4a4a…4a"},
                  "type": "cosign container image signature"},
     "optional": {"env": "prod"}}

Unknown members of `critical` are refused: that is what critical means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.parsing.evidence import (
    object_member,
    only_members,
    optional_text,
    parse_object,
    text_member,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SimplePayload:
    """What a payload says.

    Attributes:
        digest: of the image, as written.
        docker_reference: the name it was signed under, as written; empty where the payload has none.
        type: what kind of signature it says it is.
        optional: the optional members, of any JSON type; empty where they are null or missing.
    """

    digest: str
    docker_reference: str
    type: str
    optional: Mapping[str, object]


def parse_simple_payload(data: bytes, what: str) -> SimplePayload:
    """Take a payload apart, once its signature is verified.

    `identity` and `optional` may be missing, since some signers leave them out; a format that needs them says so.

    Args:
        data: the exact bytes that were signed.
        what: what they are, for messages ("the payload").

    Raises:
        VerificationError: it is malformed, or has members that must not be ignored.
    """
    payload = parse_object(data, what)
    only_members(payload, ("critical", "optional"), what)
    critical = object_member(payload, "critical", what)
    only_members(critical, ("identity", "image", "type"), f"critical of {what}")
    image = object_member(critical, "image", what)
    only_members(image, ("docker-manifest-digest",), f"image of {what}")
    return SimplePayload(
        digest=text_member(image, "docker-manifest-digest", what),
        docker_reference=_docker_reference(critical, what),
        type=text_member(critical, "type", what),
        optional={} if payload.get("optional") is None else object_member(payload, "optional", what),
    )


def _docker_reference(critical: Mapping[str, object], what: str) -> str:
    if critical.get("identity") is None:
        return ""
    identity = object_member(critical, "identity", what)
    only_members(identity, ("docker-reference",), f"identity of {what}")
    return optional_text(identity, "docker-reference", what) or ""
