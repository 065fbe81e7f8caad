"""Resources of the simulated API server, their paths, and its discovery documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
#: plural, namespace, name
Key = tuple[str, str, str]

#: plural -> (kind, group, version, namespaced), as in discovery.
RESOURCES: dict[str, tuple[str, str, str, bool]] = {
    "namespaces": ("Namespace", "", "v1", False),
    "secrets": ("Secret", "", "v1", True),
    "configmaps": ("ConfigMap", "", "v1", True),
    "serviceaccounts": ("ServiceAccount", "", "v1", True),
    "events": ("Event", "", "v1", True),
    "pods": ("Pod", "", "v1", True),
    "endpointslices": ("EndpointSlice", "discovery.k8s.io", "v1", True),
    "replicationcontrollers": ("ReplicationController", "", "v1", True),
    "podtemplates": ("PodTemplate", "", "v1", True),
    "deployments": ("Deployment", "apps", "v1", True),
    "replicasets": ("ReplicaSet", "apps", "v1", True),
    "statefulsets": ("StatefulSet", "apps", "v1", True),
    "daemonsets": ("DaemonSet", "apps", "v1", True),
    "jobs": ("Job", "batch", "v1", True),
    "cronjobs": ("CronJob", "batch", "v1", True),
    "rollouts": ("Rollout", "argoproj.io", "v1alpha1", True),
    "clusterroles": ("ClusterRole", "rbac.authorization.k8s.io", "v1", False),
    "policyreports": ("PolicyReport", "wgpolicyk8s.io", "v1alpha2", True),
    "reports": ("Report", "openreports.io", "v1alpha1", True),
    "leases": ("Lease", "coordination.k8s.io", "v1", True),
    "validatingwebhookconfigurations": (
        "ValidatingWebhookConfiguration",
        "admissionregistration.k8s.io",
        "v1",
        False,
    ),
    "mutatingwebhookconfigurations": ("MutatingWebhookConfiguration", "admissionregistration.k8s.io", "v1", False),
    "customresourcedefinitions": ("CustomResourceDefinition", "apiextensions.k8s.io", "v1", False),
    "authenticators": ("Authenticator", "sealgate.dev", "v1alpha1", False),
    "verificationpolicies": ("VerificationPolicy", "sealgate.dev", "v1alpha1", False),
    "verificationexceptions": ("VerificationException", "sealgate.dev", "v1alpha1", False),
    "signingpolicies": ("SigningPolicy", "sealgate.dev", "v1alpha1", False),
    "signingrequests": ("SigningRequest", "sealgate.dev", "v1alpha1", True),
    "signingbaselines": ("SigningBaseline", "sealgate.dev", "v1alpha1", True),
}
WITH_STATUS = frozenset(
    {
        "authenticators",
        "verificationpolicies",
        "verificationexceptions",
        "signingpolicies",
        "signingrequests",
        "pods",
        "namespaces",
    }
)
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[a-z]+))?"
)


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a path; a field that the path does not name is empty."""

    plural: str
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        """Of the object that it names."""
        return (self.plural, self.namespace, self.name)

    def covers(self, key: Key) -> bool:
        """Return whether an object is in the collection."""
        return key[0] == self.plural and self.namespace in ("", key[1])


def find_target(path: str) -> Target | None:
    """Return what a path names; None if there is no such collection."""
    match = _PATH.fullmatch(path)
    if match is None or match["plural"] not in RESOURCES:
        return None
    return Target(match["plural"], match["namespace"] or "", match["name"] or "", match["subresource"] or "")


def discover(path: str) -> Object | None:
    """Return the discovery document at a path, or None if the path has none."""
    groups = sorted({(group, version) for _, group, version, _ in RESOURCES.values() if group})
    if path == "/version":
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": group,
                    "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                    "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
                }
                for group, version in groups
            ],
        }
    for group, version in [("", "v1"), *groups]:
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            return {
                "kind": "APIResourceList",
                "groupVersion": f"{group}/{version}" if group else version,
                "resources": list(_resources(group)),
            }
    return None


def _resources(wanted: str) -> list[Object]:
    found = []
    for plural, (kind, group, _, namespaced) in RESOURCES.items():
        if group == wanted:
            verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
            names = {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced}
            found.append({**names, "verbs": verbs})
            if plural in WITH_STATUS:
                found.append({**names, "name": f"{plural}/status", "verbs": ["get", "patch", "update"]})
    return found
