"""JSON patches that pin the tags of a Pod's images to digests.

A tag may be moved between the moment it is verified and the moment a node pulls it. `repo:tag@sha256:...` cannot.
The text stays as it was written, tag and all, so that patterns over tags and formats that sign tags still apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealgate.references import Digest, Reference
    from sealgate.workloads.images import ContainerImage


def pin(text: str, reference: Reference, digest: Digest) -> str:
    """Return an image's text with the digest behind it; the tag that it implies is written out.

    Args:
        text: the image as written, without a digest.
        reference: the same, parsed.
        digest: digest of the tag.
    """
    return f"{text}@{digest}" if reference.tag is not None else f"{text}:{reference.effective_tag}@{digest}"


def pin_operations(images: Iterable[ContainerImage], pinned: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """Return the operations (RFC 6902) that replace images by their pinned form.

    Each replacement is preceded by a test that the text is still the one that was read: had another webhook changed
    the object meanwhile, the whole patch would fail instead of pinning the wrong container.

    Args:
        images: the object's images, each with its field.
        pinned: image text -> pinned text; images without one are left unchanged.
    """
    operations: list[Mapping[str, str]] = []
    for image in images:
        value = pinned.get(image.image)
        if value is not None:
            path = _pointer(image.field)
            operations.append({"op": "test", "path": path, "value": image.image})
            operations.append({"op": "replace", "path": path, "value": value})
    return tuple(operations)


def _pointer(field: str) -> str:
    """Return the JSON pointer of a field ("spec.containers[0].image" is "/spec/containers/0/image")."""
    return "/" + field.replace("[", ".").replace("]", "").replace(".", "/")
