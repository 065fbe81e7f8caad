"""Platforms that assign user IDs to pods, as OpenShift does, and control planes that can only reach nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import CHART, NAMESPACE
from tests.e2e import release
from tests.e2e.kube import apply, eventually, get, helm, kubectl
from tests.e2e.objects import pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

#: A user ID of a range as OpenShift assigns it to a namespace.
USER = 1000680000
ADMISSION = "admissionregistration.k8s.io/v1"
NAME = "e2e-restricted-v2"
PORT = 18443


def _crd() -> Object:
    """Return a CRD with the API group by which the chart recognises OpenShift."""
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {
        "plural": "securitycontextconstraints",
        "singular": "securitycontextconstraint",
        "kind": "SecurityContextConstraints",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
        "spec": {"group": "security.openshift.io", "scope": "Cluster", "names": names, "versions": [version]},
    }


def _restricted_v2() -> list[Object]:
    """Return admission policies that treat user IDs of pods in sealgate's namespace as the SCC restricted-v2 does."""
    match: Object = {
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
    }
    context = "object.spec.?securityContext"
    assign = (
        "Object{spec: Object.spec{securityContext: Object.spec.securityContext{"
        f"runAsUser: {context}.?runAsUser.orValue({USER}), fsGroup: {context}.?fsGroup.orValue({USER})}}}}}}"
    )
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": assign}}
    checks = [
        {"expression": f"{context}.?runAsUser.orValue(0) == {USER}", "message": "runAsUser: invalid value"},
        {"expression": f"{context}.?fsGroup.orValue(0) == {USER}", "message": "fsGroup: invalid value"},
    ]
    specs: dict[str, Object] = {
        "MutatingAdmissionPolicy": {"reinvocationPolicy": "Never", "mutations": [mutation]},
        "ValidatingAdmissionPolicy": {"validations": checks},
    }
    bindings: dict[str, Object] = {
        "MutatingAdmissionPolicy": {},
        "ValidatingAdmissionPolicy": {"validationActions": ["Deny"]},
    }
    objects = []
    for kind, spec in specs.items():
        metadata = {"name": NAME}
        full = {"matchConstraints": match, "failurePolicy": "Fail", **spec}
        objects.append({"apiVersion": ADMISSION, "kind": kind, "metadata": metadata, "spec": full})
        binding = {"policyName": NAME, **bindings[kind]}
        objects.append({"apiVersion": ADMISSION, "kind": f"{kind}Binding", "metadata": metadata, "spec": binding})
    return objects


@pytest.fixture(scope="module", autouse=True)
def _restored() -> Iterator[None]:
    """Restore the values that the tests of this module have changed, all at once."""
    yield
    release.upgrade({"webhook": {**release.values()["webhook"], "hostNetwork": {"enabled": False}, "replicas": 2}})


@pytest.fixture
def _openshift() -> Iterator[None]:
    objects = [_crd(), *_restricted_v2()]
    apply(*objects).checked()
    yield
    for obj in objects:
        kubectl("delete", obj["kind"], obj["metadata"]["name"], "--ignore-not-found").checked()


@pytest.mark.usefixtures("_openshift")
def test_runs_under_user_ids_that_openshift_assigns(team: Team, samples: SampleImages) -> None:
    mine = pod("mine", samples.signed.tagged, securityContext={"runAsUser": 65532})
    refused = "runAsUser: invalid value"
    eventually(lambda: refused in _create(mine), "pods with a user ID of their own are refused")
    eventually(lambda: "invalid value" not in _create(pod("any", samples.signed.tagged)), "others are given one")
    # Helm asks the API server which groups it serves.
    eventually(lambda: "security.openshift.io" in kubectl("get", "--raw", "/apis").checked().out, "the group is served")
    # Without the hostPath volume of other tests, which only privileged SCCs allow.
    release.upgrade({"webhook": {"extraVolumes": [], "extraVolumeMounts": []}})
    script = (
        "import os, pathlib, json; "
        "print(json.dumps([os.getuid(), os.getgid(), os.access('/', os.W_OK), os.environ['HOME'], os.getgroups()]))"
    )
    for component in ("webhook", "operator"):
        for found in release.pods(component):
            name = found["metadata"]["name"]
            done = kubectl("-n", NAMESPACE, "exec", name, "--", "python", "-c", script).checked()
            user, group, writable, home, groups = json.loads(done.out)
            assert (user, group, writable, home) == (USER, 0, False, "/tmp")  # noqa: S108 - the volume for temporary files
            assert USER in groups
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    helm("test", release.NAME, "--namespace", NAMESPACE).checked()
    # The pods with the hostPath volume, which the standard forbids, may still be ending.
    eventually(lambda: not _warnings_of_restricted(), "every pod of the release meets the restricted standard")


def _warnings_of_restricted() -> str:
    label = "pod-security.kubernetes.io/enforce=restricted"
    done = kubectl("label", "--dry-run=server", "--overwrite", "namespace", NAMESPACE, label).checked()
    return done.err if "Warning" in done.err else ""


def _create(obj: Object) -> str:
    return kubectl("-n", NAMESPACE, "create", "--dry-run=server", "-f", "-", text=json.dumps(obj)).err


def test_host_network_needs_a_privileged_namespace() -> None:
    label = "pod-security.kubernetes.io/enforce"
    kubectl("label", "namespace", NAMESPACE, f"{label}=baseline").checked()
    try:
        done = _upgrade(hostNetwork={"enabled": True})
    finally:
        kubectl("label", "namespace", NAMESPACE, f"{label}-").checked()
    assert not done.ok
    assert "webhook.hostNetwork needs Pod Security level privileged" in done.err


@pytest.fixture
def _host_network() -> None:
    _upgrade(hostNetwork={"enabled": True}, replicas=1).checked()


@pytest.mark.usefixtures("_host_network")
def test_webhook_answers_on_the_host_network(team: Team, samples: SampleImages) -> None:
    (node,) = get("nodes")["items"]
    (address,) = (found["address"] for found in node["status"]["addresses"] if found["type"] == "InternalIP")
    eventually(lambda: _endpoints() == {(address, PORT)}, "the webhook is called at its node")
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    helm("test", release.NAME, "--namespace", NAMESPACE).checked()
    # Two replicas cannot share the host ports of the only node.
    deployment = f"deployment/{release.NAME}-webhook"
    _upgrade(replicas=2, wait=False).checked()
    eventually(lambda: "didn't have free ports" in _unscheduled(), "the second replica waits for another node")
    _upgrade(replicas=1).checked()
    # A rollout ends the old replica first, because the new one needs its ports.
    release.restart("webhook")
    kubectl("-n", NAMESPACE, "rollout", "status", deployment, "--timeout=150s").checked()
    team.wait_for_decision(samples.signed.tagged, admitted=True)


def _upgrade(*, wait: bool = True, **webhook: Any) -> Any:
    return helm(
        *("upgrade", release.NAME, str(CHART), "--namespace", NAMESPACE, "--reset-then-reuse-values"),
        *(("--wait", "--timeout", "5m") if wait else ()),
        *("--values", "-"),
        text=json.dumps({"webhook": webhook}),
    )


def _endpoints() -> set[tuple[str, int]]:
    select = f"kubernetes.io/service-name={release.NAME}-webhook"
    slices = get("endpointslices", "-n", NAMESPACE, "-l", select)["items"]
    return {
        (address, port["port"])
        for found in slices
        for endpoint in found["endpoints"] or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
        for port in found["ports"]
        if port["name"] == "https"
    }


def _unscheduled() -> str:
    return json.dumps([found["status"].get("conditions") for found in release.pods("webhook")])
