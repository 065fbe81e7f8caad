from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnavailableError
from sealgate.kubernetes.lists import PAGE, list_objects
from tests.support.simulators.kubernetes import Fault

if TYPE_CHECKING:
    from sealgate.kubernetes.client import KubernetesAPI
    from tests.support.simulators.kubernetes import KubernetesSimulator

PATH = "/api/v1/namespaces/shop/configmaps"


def put(cluster: KubernetesSimulator, count: int) -> None:
    for number in range(count):
        cluster.put(PATH, {"metadata": {"name": f"c{number}"}})


def test_pages_are_read_one_after_another(cluster: KubernetesSimulator, api: KubernetesAPI) -> None:
    put(cluster, 5)
    cluster.page_limit = 2
    found = list(list_objects(api, PATH, "ConfigMap"))
    assert [item["metadata"]["name"] for item in found] == ["c0", "c1", "c2", "c3", "c4"]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
    assert len([request for request in cluster.requests if f"limit={PAGE}" in request.path]) == 3


def test_a_page_that_fails_ends_the_list(cluster: KubernetesSimulator, api: KubernetesAPI) -> None:
    put(cluster, 3)
    cluster.page_limit = 2
    cluster.faults.append(Fault("GET", "continue=", 503))
    found = list_objects(api, PATH, "ConfigMap")
    assert [next(found)["metadata"]["name"], next(found)["metadata"]["name"]] == ["c0", "c1"]
    with pytest.raises(UnavailableError):
        next(found)
