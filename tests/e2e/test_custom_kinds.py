"""A custom resource that has the kind name of a built-in workload is verified as a kind of its own group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.kube import apply, eventually, kubectl
from tests.e2e.objects import workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

GROUP = release.CUSTOM_KIND["group"]
(VERSION,) = release.CUSTOM_KIND["versions"]
CRD = f"statefulsets.{GROUP}"


def definition() -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "statefulsets",
                "singular": "statefulset",
                "kind": "StatefulSet",
                "listKind": "StatefulSetList",
            },
            "versions": [version],
        },
    }


@pytest.fixture
def custom() -> Iterator[None]:
    """Create the CRD of `release.CUSTOM_KIND`."""
    try:
        apply(definition()).checked()
        kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=150s").checked()
        yield
    finally:
        kubectl("delete", "crd", CRD, "--ignore-not-found").checked()


def kruise(name: str, image: str) -> Object:
    return {**workload("StatefulSet", name, image), "apiVersion": f"{GROUP}/{VERSION}"}


@pytest.mark.usefixtures("custom")
def test_attack_44_custom_kind_named_like_built_in_is_verified(team: Team, samples: SampleImages) -> None:
    def refused() -> bool:
        # Until the API server serves the kind, the creation fails for another reason.
        return "denied the request" in team.create(kruise("probe", samples.unsigned.tagged), dry_run=True).err

    eventually(refused, "the rule for the custom kind to be in force")
    done = team.create(kruise("app", samples.unsigned.tagged))
    assert not done.ok
    assert 'admission webhook "workloads.sealgate.dev" denied the request' in done.err
    assert "spec.template.spec.containers[0]" in done.err
    team.create(kruise("app", samples.signed.tagged)).checked()
    team.create({"apiVersion": f"{GROUP}/{VERSION}", "kind": "StatefulSet", "metadata": {"name": "empty"}}).checked()
    assert not team.create(workload("StatefulSet", "built-in", samples.unsigned.tagged)).ok
