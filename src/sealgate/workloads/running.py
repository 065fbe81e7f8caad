"""What a node runs, compared with what was verified: the `imageID` of a container in a Pod's status.

An image has several digests: of its index, of the manifest of each platform, and of each platform's configuration.
Which of them `imageID` has depends on the container runtime, and so does the repository that it names: the one of the
first image with that content which the node pulled. The repository is therefore ignored, and only a digest that
certainly belongs to another image counts as a difference. Everything else is *unknown*.

The status is written by kubelets. A user with rights on `pods/status` can forge it, so a match is a report, no proof.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sealgate.workloads.images import ContainerImage, ImageKind
    from sealgate.workloads.kinds import WorkloadKind

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
#: The most characters of an `imageID`; longer text is no reference.
MAX_IMAGE_ID: Final = 1024
#: Phases of Pods, and conditions of Jobs, that run no more.
_ENDED: Final = ("Succeeded", "Failed")
_FINISHED: Final = ("Complete", "Failed")
_STATUSES: Final[tuple[tuple[str, ImageKind], ...]] = (
    ("containerStatuses", "container"),
    ("initContainerStatuses", "init"),
    ("ephemeralContainerStatuses", "ephemeral"),
)


class Running(StrEnum):
    """What an `imageID` says about a verified subject."""

    MATCH = "match"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


def compare_running(image_id: str, subject: str | None, contents: Collection[str] | None = None) -> Running:
    """Return whether a container runs a subject.

    Args:
        image_id: `imageID` of the container, such as `registry.example.org/app@sha256:...`, `sha256:...` or
            `docker-pullable://...`.
        subject: the digest that was verified (`sha256:<hex>`); None if the image was not resolved.
        contents: the digests of everything that a node may name for the subject (the manifest of each platform and
            their configurations); None if they are not all known.

    Returns:
        MATCH if the ID has the digest of the subject or of its contents; DIFFERS if it has a digest and all digests of
        the subject are known; otherwise UNKNOWN.
    """
    _, _, digest = image_id.rpartition("@")
    digest = digest.rpartition("/")[2]
    if subject is None or len(image_id) > MAX_IMAGE_ID or not _DIGEST.fullmatch(digest):
        return Running.UNKNOWN
    if digest == subject or digest in (contents or ()):
        return Running.MATCH
    return Running.UNKNOWN if contents is None else Running.DIFFERS


def runs_nothing(obj: Mapping[str, Any], kind: WorkloadKind) -> bool:
    """Return whether an object is a Pod or a Job that has ended, or a former revision of a Deployment.

    Args:
        obj: the object as parsed JSON.
        kind: its kind.
    """
    if (kind.group, kind.kind) == ("", "Pod"):
        return (obj.get("status") or {}).get("phase") in _ENDED
    if (kind.group, kind.kind) == ("batch", "Job"):
        return _has_finished(obj)
    if (kind.group, kind.kind) != ("apps", "ReplicaSet"):
        return False
    owners = (obj.get("metadata") or {}).get("ownerReferences")
    return bool(owners) and (obj.get("spec") or {}).get("replicas") == 0


def _has_finished(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions")
    return any(
        condition.get("type") in _FINISHED and condition.get("status") == "True"
        for condition in (conditions if isinstance(conditions, list) else ())
        if isinstance(condition, Mapping)
    )


def running_ids(pod: Mapping[str, Any]) -> Mapping[tuple[ImageKind, str], str]:
    """Return the `imageID` of each container that a node has begun, by the kind and the name of the container.

    Args:
        pod: a Pod as parsed JSON; members of its status that are not as they should be are left out.
    """
    return dict(_ids(pod.get("status")))


def image_id_of(image: ContainerImage, ids: Mapping[tuple[ImageKind, str], str]) -> str | None:
    """Return the `imageID` of the container that an image is for; None if no node has begun it.

    Args:
        image: an image of the Pod.
        ids: what `running_ids` returns for the Pod.
    """
    return ids.get((image.kind, image.container))


def _ids(status: object) -> Iterator[tuple[tuple[ImageKind, str], str]]:
    if not isinstance(status, Mapping):
        return
    for member, kind in _STATUSES:
        statuses = status.get(member)
        for item in statuses if isinstance(statuses, list) else ():
            name, image_id = (item.get("name"), item.get("imageID")) if isinstance(item, Mapping) else (None, None)
            if isinstance(name, str) and isinstance(image_id, str) and image_id:
                yield (kind, name), image_id
