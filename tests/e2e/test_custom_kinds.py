"""A custom resource named like a kind of Kubernetes' own is verified as what it is: a kind of another group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e import release
from tests.e2e.kube import apply, eventually, kubectl
from tests.e2e.objects import maker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Shelf
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

GROUP, VERSION, CRD = "apps.kruise.io", "v1beta1", "statefulsets.apps.kruise.io"
ENTRY = {
    "group": GROUP,
    "versions": [VERSION],
    "resource": "statefulsets",
    "kind": "StatefulSet",
    "podSpec": "spec.template.spec",
}


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
    """Define the kind and have its objects verified."""
    try:
        apply(definition()).checked()
        kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=60s").checked()
        release.upgrade({"customKinds": [ENTRY]})
        release.replaced()
        yield
    finally:
        release.upgrade({"customKinds": []})
        kubectl("delete", "crd", CRD, "--ignore-not-found").checked()


def kruise(name: str, image: str) -> Object:
    return {**maker("StatefulSet", name, image), "apiVersion": f"{GROUP}/{VERSION}"}


@pytest.mark.usefixtures("custom")
def test_attack_44_a_kind_named_like_a_built_in_one_is_verified(team: Team, shelf: Shelf) -> None:
    def refused() -> bool:
        return not team.create(kruise("probe", shelf.unsigned.tagged), dry_run=True).ok

    eventually(refused, "the rule for the custom kind to be in force")
    done = team.create(kruise("app", shelf.unsigned.tagged))
    assert not done.ok
    assert 'admission webhook "workloads.sealgate.dev" denied the request' in done.err
    assert "spec.template.spec.containers[0]" in done.err
    team.create(kruise("app", shelf.signed.tagged)).checked()
    team.create({"apiVersion": f"{GROUP}/{VERSION}", "kind": "StatefulSet", "metadata": {"name": "empty"}}).checked()
    assert not team.create(maker("StatefulSet", "built-in", shelf.unsigned.tagged)).ok
