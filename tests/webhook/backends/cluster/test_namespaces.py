from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sealgate.kubernetes.watch import Informer
from sealgate_webhook.backends.cluster.namespaces import PATH, ClusterNamespaces, read_namespace
from tests.kubernetes.conftest import running
from tests.support.clocks import FakeClock

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from tests.support.simulators.kubernetes import KubernetesSimulator


def test_labels_are_cached_and_fetched_for_a_new_namespace(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    cluster.put(PATH, {"metadata": {"name": "shop", "labels": {"env": "production"}}})
    read = threading.Event()
    listing = Informer(api, PATH, read_namespace, read.set, FakeClock(), log)
    namespaces = ClusterNamespaces(listing, api)
    assert namespaces.get("shop").labels["env"] == "production"
    with running([listing.run], cluster):
        assert read.wait(100)
        before = len(cluster.requests)
        assert namespaces.get("shop").labels["env"] == "production"
        assert namespaces.get("shop").labels["kubernetes.io/metadata.name"] == "shop"
        assert not any(request.path == f"{PATH}/shop" for request in cluster.requests[before:])
