"""What Kyverno asks of references: an image must be named by its digest, which it may write into the pod itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Note of a policy for which `tags_are_denied`.
TAGS_DENIED = (
    "verifyDigest without mutateDigest denies images that a pod names by tag; here what the tag names is verified: set "
    "webhook.pinDigests to write its digest into the pod"
)


def tags_are_denied(settings: Mapping[str, Any]) -> bool:
    """Return whether images without a digest are denied; both members are true where they are not written.

    Args:
        settings: an entry of verifyImages, or validationConfigurations.
    """
    return settings.get("mutateDigest") is False and settings.get("verifyDigest") is not False
