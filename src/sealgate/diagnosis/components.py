"""Checks of what runs and what is installed: versions of the components, replicas, and the CRDs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.api.crds import custom_resource_definition
from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sealgate.api.crds import Kind

_COMPONENT: Final = "app.kubernetes.io/component"
_VERSION: Final = "app.kubernetes.io/version"
_SCHEMA: Final = "sealgate.dev/schema"
_APPLY: Final = "sealgate crd | kubectl apply --server-side --field-manager=helm --force-conflicts -f -"


def check_versions(own: str, deployments: Sequence[Mapping[str, Any]]) -> Check:
    """Return a check that all components have one version, which is that of this command.

    Args:
        own: version of this command.
        deployments: the release's Deployments.
    """
    versions = {_label(one, _COMPONENT) or _name(one): _label(one, _VERSION) for one in deployments}
    named = ", ".join(f"{quote(name, 64)} {quote(version, 32) or 'not labelled'}" for name, version in versions.items())
    message = f"command line {quote(own, 32)}, {named}"
    if len(set(versions.values())) > 1:
        remedy = "end the upgrade or roll it back: helm history, then helm upgrade or helm rollback"
        return Check(Area.VERSIONS, "components", Outcome.PROBLEM, message, remedy)
    if own not in versions.values():
        remedy = "use the sealgate command of the cluster's version: checks of CRDs compare with that of this one"
        return Check(Area.VERSIONS, "components", Outcome.WARNING, message, remedy)
    return Check(Area.VERSIONS, "components", Outcome.OK, message)


def check_components(configured: Iterable[str], deployments: Iterable[Mapping[str, Any]]) -> Iterator[Check]:
    """Yield a check of each component that has settings and no Deployment.

    Args:
        configured: the components whose settings are in the cluster.
        deployments: the release's Deployments.
    """
    deployed = {_label(one, _COMPONENT) for one in deployments}
    for component in sorted(set(configured) - deployed):
        message = f"the release has settings for the {quote(component, 64)}, and its Deployment is missing"
        yield Check(Area.CLUSTER, quote(component, 64), Outcome.PROBLEM, message, "helm upgrade, or helm rollback")


def check_replicas(deployment: Mapping[str, Any], namespace: str) -> Check:
    """Return a check that the replicas of a Deployment are ready.

    Args:
        deployment: the object.
        namespace: its namespace, for what to do.
    """
    status = deployment.get("status") or {}
    wanted = (deployment.get("spec") or {}).get("replicas", 1)
    ready = status.get("readyReplicas") or 0
    current = status.get("updatedReplicas") or 0
    name = quote(_name(deployment))
    message = f"{ready} of {wanted} replicas ready"
    if ready < wanted or current < wanted:
        outcome = Outcome.WARNING if ready else Outcome.PROBLEM
        if ready >= wanted:
            message += f", {current} of them of the newest revision"
        remedy = f"kubectl -n {quote(namespace, 64)} describe pods, and kubectl logs of {name}"
        return Check(Area.CLUSTER, name, outcome, message, remedy)
    if not wanted:
        return Check(Area.CLUSTER, name, Outcome.WARNING, "it is scaled to 0 replicas", "scale it up, or helm upgrade")
    return Check(Area.CLUSTER, name, Outcome.OK, message)


def check_definition(kind: Kind, found: Mapping[str, Any] | None) -> Check:
    """Return a check that the cluster has the CRD of this version.

    Args:
        kind: the kind.
        found: the CustomResourceDefinition; None if the cluster does not have it.
    """
    wanted = custom_resource_definition(kind)
    name = wanted["metadata"]["name"]
    if found is None:
        return Check(Area.VERSIONS, name, Outcome.PROBLEM, "the cluster does not have this kind", _APPLY)
    conditions = (found.get("status") or {}).get("conditions") or ()
    refused = [one for one in conditions if one.get("type") == "Established" and one.get("status") != "True"]
    if refused:
        message = f"the API server does not serve it: {quote(refused[0].get('message') or '')}"
        return Check(Area.VERSIONS, name, Outcome.PROBLEM, message, "kubectl describe crd")
    schema = (found["metadata"].get("annotations") or {}).get(_SCHEMA)
    if schema != wanted["metadata"]["annotations"][_SCHEMA]:
        message = "its schema is that of another version than this command"
        remedy = f"if this command has the version of the cluster: {_APPLY}"
        return Check(Area.VERSIONS, name, Outcome.WARNING, message, remedy)
    return Check(Area.VERSIONS, name, Outcome.OK, "its schema is that of this command")


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["name"])


def _label(obj: Mapping[str, Any], label: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(label) or "")
