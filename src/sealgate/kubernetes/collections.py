"""Collections of the API server in which the objects of a kind are listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds

#: Group and version, and the collection, of each built-in kind.
_COLLECTIONS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("", "Pod"): ("api/v1", "pods"),
    ("", "ReplicationController"): ("api/v1", "replicationcontrollers"),
    ("", "PodTemplate"): ("api/v1", "podtemplates"),
    ("apps", "Deployment"): ("apis/apps/v1", "deployments"),
    ("apps", "ReplicaSet"): ("apis/apps/v1", "replicasets"),
    ("apps", "StatefulSet"): ("apis/apps/v1", "statefulsets"),
    ("apps", "DaemonSet"): ("apis/apps/v1", "daemonsets"),
    ("batch", "Job"): ("apis/batch/v1", "jobs"),
    ("batch", "CronJob"): ("apis/batch/v1", "cronjobs"),
}


def listed_kinds(kinds: WorkloadKinds) -> tuple[WorkloadKind, ...]:
    """Return the kinds that API servers list: all but those of the group `extensions`, which is not served any more."""
    return tuple(kind for kind in kinds.kinds if kind.group != "extensions")


def find_collection(api: KubernetesAPI, kind: WorkloadKind) -> tuple[str, str]:
    """Return the path of the group and version of a kind ("apis/apps/v1") and the name of its collection.

    The API server is asked only about kinds that are not Kubernetes' own; its preferred version counts.

    Raises:
        NotFoundError: the cluster does not have the kind.
        UnavailableError: the API server could not be asked (and its subclasses).
    """
    known = _COLLECTIONS.get((kind.group, kind.kind))
    if known is not None:
        return known
    groups = api.discover("/apis").get("groups") or ()
    preferred = [group.get("preferredVersion") or {} for group in groups if group.get("name") == kind.group]
    version = str(preferred[0].get("groupVersion")) if preferred else ""
    if not version:
        raise NotFoundError(f"the cluster has no {kind}")
    for resource in api.discover(f"/apis/{version}").get("resources") or ():
        if resource.get("kind") == kind.kind and "/" not in str(resource.get("name")):
            return f"apis/{version}", str(resource["name"])
    raise NotFoundError(f"the cluster has no {kind}")
